"""The queries of the CSV suite written for Dask."""

import dask.dataframe as dd

# Dask finds the types in the first 256 kB and fails on a fraction in a column of whole numbers.
TAXI_NUMBERS = [
    "VendorID", "passenger_count", "trip_distance", "pickup_longitude", "pickup_latitude", "RateCodeID",
    "dropoff_longitude", "dropoff_latitude", "payment_type", "fare_amount", "extra", "mta_tax", "tip_amount",
    "tolls_amount", "improvement_surcharge", "total_amount",
]


def scan(path, **options):
    """Reads a CSV file in blocks of 64 MB; only the word null and nothing are nulls."""
    return dd.read_csv(path, blocksize="64MB", keep_default_na=False, na_values=["null", ""], **options)


def count(tables):
    """Counts the rows of taxi."""
    return [(len(scan(tables["taxi"], usecols=["VendorID"], dtype="float64")),)]


def taxi(tables):
    """Takes the mean fare and distance by payment type."""
    columns = ["payment_type", "total_amount", "trip_distance"]
    frame = scan(tables["taxi"], usecols=columns, dtype="float64")
    means = frame.groupby("payment_type")[["total_amount", "trip_distance"]].mean().compute()
    return list(means[["total_amount", "trip_distance"]].itertuples(name=None))


def arcos(tables):
    """Sums the weight of drug by year, state and county."""
    columns = ["TRANSACTION_DATE", "BUYER_STATE", "BUYER_COUNTY", "CALC_BASE_WT_IN_GM", "MME_Conversion_Factor"]
    dtype = {"TRANSACTION_DATE": "string", "MME_Conversion_Factor": "float64"}
    frame = scan(tables["arcos"], usecols=columns, dtype=dtype)
    frame["year"] = frame["TRANSACTION_DATE"].str[-4:]
    frame["weight"] = frame["CALC_BASE_WT_IN_GM"] * frame["MME_Conversion_Factor"]
    sums = frame.groupby(["year", "BUYER_STATE", "BUYER_COUNTY"], dropna=False)["weight"].sum().compute()
    return list(sums.reset_index().itertuples(index=False, name=None))


def arcosmax(tables):
    """Finds the largest dosage among tablets."""
    frame = scan(tables["arcos"], usecols=["Measure", "DOSAGE_UNIT"], dtype={"DOSAGE_UNIT": "float64"})
    return [(frame[frame["Measure"] == "TAB"]["DOSAGE_UNIT"].max().compute(),)]


def strings(tables):
    """Counts the tablets and adds up the lengths of eight text columns."""
    columns = [
        "REPORTER_NAME", "REPORTER_ADDRESS1", "REPORTER_CITY", "BUYER_NAME",
        "BUYER_ADDRESS1", "BUYER_CITY", "Product_Name", "Combined_Labeler_Name",
    ]
    frame = scan(tables["arcos"], usecols=["Measure", *columns], dtype="string")
    frame = frame[frame["Measure"] == "TAB"]
    sums = frame[columns].map_partitions(partition_lengths, columns, meta={name: "int64" for name in ["n", *columns]})
    return [tuple(sums.sum().compute())]


def partition_lengths(frame, columns):
    """Returns one row for a partition: its rows and the length of each column."""
    totals = {"n": [len(frame)]} | {name: [int(frame[name].str.len().sum())] for name in columns}
    return type(frame)(totals)


def topk(tables):
    """Finds the hundred dearest rides."""
    times = ["tpep_pickup_datetime", "tpep_dropoff_datetime"]
    frame = scan(tables["taxi"], parse_dates=times, dtype=dict.fromkeys(TAXI_NUMBERS, "float64"))
    top = frame.nlargest(100, ["total_amount", "trip_distance", "tpep_pickup_datetime"]).compute()
    return list(top.itertuples(index=False, name=None))


QUERIES = {("csv", query.__name__): query for query in (count, taxi, arcos, arcosmax, strings, topk)}
