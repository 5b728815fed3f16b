-- A running sum over the whole table in one partition: a sort and a window that cannot be split by key.
SELECT count(*), max(running), sum(CAST(running AS DOUBLE))
FROM (
    SELECT sum(l_quantity) OVER (ORDER BY l_shipdate, l_orderkey, l_linenumber) AS running
    FROM lineitem
) w;
