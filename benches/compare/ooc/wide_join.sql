-- Every column of lineitem and orders joined and written to Parquet: the answer is bigger than either input.
-- check: SELECT count(*), sum(l_orderkey), sum(o_totalprice), sum(l_extendedprice), sum(length(l_comment)), sum(length(o_comment)) FROM '{output}'
COPY (
    SELECT * FROM lineitem JOIN orders ON l_orderkey = o_orderkey
) TO '{output}';
