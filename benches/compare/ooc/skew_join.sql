-- A join in which half the rows of lineitem share one key (that of order 2): partitioning by key cannot even it out.
SELECT count(*), sum(length(l_comment) + length(o_comment)), max(o_totalprice)
FROM (SELECT CASE WHEN l_orderkey % 2 = 0 THEN 2 ELSE l_orderkey END AS k, l_comment FROM lineitem) l
JOIN orders ON o_orderkey = k;
