-- Grouping by three keys that are nearly unique: about as many groups as rows.
SELECT count(*), max(n), sum(price)
FROM (
    SELECT l_orderkey, l_partkey, l_suppkey, count(*) AS n, sum(l_extendedprice) AS price
    FROM lineitem
    GROUP BY l_orderkey, l_partkey, l_suppkey
) g;
