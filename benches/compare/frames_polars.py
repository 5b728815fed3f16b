"""The queries written for Polars: the CSV suite, and those of the others that its SQL cannot run."""

import polars as pl
from polars import col


def scan(suite, table, path):
    """Opens a table lazily; the word null is a null, and the dates of taxi are read as dates, as
    the other engines do."""
    if suite != "csv":
        return pl.scan_parquet(path)
    return pl.scan_csv(path, null_values=["null"], infer_schema_length=10_000, try_parse_dates=table == "taxi")


def count(tables, _):
    """Counts the rows of taxi."""
    return tables["taxi"].select(pl.len())


def taxi(tables, _):
    """Takes the mean fare and distance by payment type."""
    return tables["taxi"].group_by("payment_type").agg(col("total_amount").mean(), col("trip_distance").mean())


def arcos(tables, _):
    """Sums the weight of drug by year, state and county."""
    year = col("TRANSACTION_DATE").cast(pl.String).str.tail(4)
    weight = col("CALC_BASE_WT_IN_GM") * col("MME_Conversion_Factor")
    return tables["arcos"].group_by(year, "BUYER_STATE", "BUYER_COUNTY").agg(weight.sum())


def arcosmax(tables, _):
    """Finds the largest dosage among tablets."""
    return tables["arcos"].filter(col("Measure") == "TAB").select(col("DOSAGE_UNIT").max())


def strings(tables, _):
    """Counts the tablets and adds up the lengths of eight text columns."""
    columns = [
        "REPORTER_NAME", "REPORTER_ADDRESS1", "REPORTER_CITY", "BUYER_NAME",
        "BUYER_ADDRESS1", "BUYER_CITY", "Product_Name", "Combined_Labeler_Name",
    ]
    tablets = tables["arcos"].filter(col("Measure") == "TAB")
    return tablets.select(pl.len(), *(col(name).str.len_chars().sum() for name in columns))


def topk(tables, _):
    """Finds the hundred dearest rides."""
    keys = ["total_amount", "trip_distance", "tpep_pickup_datetime"]
    return tables["taxi"].sort(keys, descending=True, nulls_last=True).head(100)


def wide_join(tables, written):
    """Joins lineitem with orders and writes every column."""
    joined = tables["lineitem"].join(
        tables["orders"], left_on="l_orderkey", right_on="o_orderkey", coalesce=False, maintain_order="none"
    )
    return joined.sink_parquet(written, maintain_order=False, lazy=True)


def sort_wide(tables, written):
    """Sorts lineitem by price and comment and writes every column."""
    return tables["lineitem"].sort("l_extendedprice", "l_comment").sink_parquet(written, lazy=True)


def array_agg(tables, _):
    """Collects the comments of each supplier in a list."""
    length = col("l_comment").list.len()
    return tables["lineitem"].group_by("l_suppkey").agg("l_comment").select(
        pl.len(), length.sum().alias("sum"), length.max().alias("max")
    )


CSV_QUERIES = (count, taxi, arcos, arcosmax, strings, topk)
OOC_QUERIES = (wide_join, sort_wide, array_agg)
QUERIES = {("csv", query.__name__): query for query in CSV_QUERIES}
QUERIES |= {("ooc", query.__name__): query for query in OOC_QUERIES}
