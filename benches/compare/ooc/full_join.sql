-- A full outer join of odd orders with lineitem (first lines left out): rows without a partner on both sides.
SELECT count(*), count(o_orderkey), count(l_orderkey), sum(length(o_comment)), sum(length(l_comment))
FROM (SELECT o_orderkey, o_comment FROM orders WHERE o_orderkey % 2 = 1) o
FULL JOIN (SELECT l_orderkey, l_comment FROM lineitem WHERE l_linenumber > 1) l ON o_orderkey = l_orderkey;
