-- All sixteen columns of lineitem sorted by price and comment and written to Parquet: an external sort of wide rows.
-- check: SELECT count(*), sum(l_orderkey), sum(l_extendedprice), sum(length(l_comment)), sum(CASE WHEN (l_extendedprice, l_comment) < (price, comment) THEN 1 ELSE 0 END) FROM (SELECT *, lag(l_extendedprice) OVER () AS price, lag(l_comment) OVER () AS comment FROM '{output}')
COPY (
    SELECT * FROM lineitem ORDER BY l_extendedprice, l_comment
) TO '{output}';
