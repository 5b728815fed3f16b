-- Grouping by a long text column with millions of different values.
SELECT count(*), max(n), sum(length(l_comment)), sum(quantity)
FROM (
    SELECT l_comment, count(*) AS n, sum(l_quantity) AS quantity
    FROM lineitem
    GROUP BY l_comment
) g;
