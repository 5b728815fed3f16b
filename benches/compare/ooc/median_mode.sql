-- Exact median and distinct count per ship mode: aggregates whose state grows with the rows of a group.
SELECT l_shipmode, median(l_extendedprice), count(DISTINCT l_partkey)
FROM lineitem
GROUP BY l_shipmode;
