-- Lineitem written to a folder for each of 2,526 ship dates: many open files, or a shuffle first.
-- check: SELECT count(*), count(DISTINCT l_shipdate), sum(l_orderkey), sum(l_extendedprice), sum(length(l_comment)) FROM read_parquet('{output}/**/*.parquet', hive_partitioning = true)
-- duckdb: COPY (SELECT * FROM lineitem) TO '{output}' (FORMAT parquet, PARTITION_BY (l_shipdate))
COPY (
    SELECT * FROM lineitem
) TO '{output}' STORED AS PARQUET PARTITIONED BY (l_shipdate);
