-- Lines whose order has no line of another supplier: an anti join of lineitem with itself and a residual inequality.
SELECT count(*), sum(a.l_extendedprice), sum(length(a.l_comment))
FROM lineitem a
WHERE NOT EXISTS (
    SELECT 1 FROM lineitem b WHERE b.l_orderkey = a.l_orderkey AND b.l_suppkey <> a.l_suppkey
);
