-- Sums over many small partitions and averages over seven huge ones, next to every row.
SELECT count(*), sum(total), sum(mean)
FROM (
    SELECT sum(l_quantity) OVER (PARTITION BY l_orderkey) AS total,
           avg(l_extendedprice) OVER (PARTITION BY l_shipmode) AS mean
    FROM lineitem
) w;
