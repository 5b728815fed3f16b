-- All comments of each supplier collected in a list: group states that hold the whole column.
SELECT count(*), sum(n), max(n)
FROM (
    SELECT l_suppkey, cardinality(array_agg(l_comment)) AS n
    FROM lineitem
    GROUP BY l_suppkey
) g;
