-- Row numbers and previous values over two partitionings: lineitem is sorted twice.
SELECT sum(n), sum(previous), count(previous)
FROM (
    SELECT row_number() OVER (PARTITION BY l_suppkey ORDER BY l_orderkey, l_linenumber) AS n,
           lag(l_quantity) OVER (PARTITION BY l_partkey ORDER BY l_orderkey, l_linenumber) AS previous
    FROM lineitem
) w;
