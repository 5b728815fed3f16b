-- Lineitem joined with itself on its key: neither side fits in memory, and both carry text.
SELECT count(*), sum(length(a.l_comment) + length(b.l_comment))
FROM lineitem a
JOIN lineitem b ON a.l_orderkey = b.l_orderkey AND a.l_linenumber = b.l_linenumber;
