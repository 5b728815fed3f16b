"""Runs one query on one Python engine, in a process of its own.

The time in the statistics starts after the imports and ends when all rows are Python values, so
it includes making the session, finding the schema and running the query.
"""

import argparse
import csv
import json
import math
import re
import sys
import time
from importlib.metadata import version
from pathlib import Path

UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


def bytes_of(text):
    """Reads a size such as 1GB or 512MiB."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMG]?I?B?)", text.strip().upper())
    if not match or match[2] not in UNITS:
        raise argparse.ArgumentTypeError(f"{text} is not a size such as 1GB or 512MiB")
    return int(float(match[1]) * UNITS[match[2]])


def prepare_duckdb(options):
    """Imports DuckDB and returns the function that runs the query."""
    import duckdb

    def run():
        connection = duckdb.connect()
        connection.execute(f"SET memory_limit = '{options.memory_limit}B'")
        connection.execute(f"SET threads = {options.threads}")
        connection.execute(f"SET temp_directory = '{Path.cwd()}'")
        for table, path in options.table:
            connection.execute(f"CREATE VIEW {table} AS SELECT * FROM {duckdb_source(table, path)}")
        return connection.execute(options.sql).fetchall()

    return run


def duckdb_source(table, path):
    """Returns the plainest table function that gives the right answers.

    The word null stands for a missing number in arcos: unless it is named as a null, it makes the
    column text, or fails the query when it comes after the rows from which the types are found.
    """
    if table == "arcos":
        return f"read_csv('{path}', nullstr = ['null', ''])"
    return f"read_csv('{path}')" if path.endswith(".csv") else f"read_parquet('{path}')"


def prepare_datafusion(options):
    """Imports DataFusion and returns the function that runs the query."""
    from datafusion import CsvReadOptions, RuntimeEnvBuilder, SessionConfig, SessionContext

    def run():
        runtime = RuntimeEnvBuilder().with_disk_manager_specified(Path.cwd())
        runtime = runtime.with_fair_spill_pool(options.memory_limit)
        config = SessionConfig().with_target_partitions(options.threads)
        context = SessionContext(config, runtime)
        for table, path in options.table:
            if options.suite == "csv":
                # With null_regex, the word null is left out when the types are found, but still
                # fails as a number when it is read; without, the column is text and TRY_CAST works.
                csv_options = CsvReadOptions(schema_infer_max_records=10_000)
                context.register_csv(table, path, options=csv_options)
            else:
                context.register_parquet(table, path)
        rows = []
        for batch in context.sql(options.sql).collect():
            rows += zip(*(column.to_pylist() for column in batch.columns))
        return rows

    return run


def prepare_polars(options):
    """Imports Polars and returns the function that runs the query.

    Polars has no memory limit; its threads come from POLARS_MAX_THREADS. A query without a
    version in frames_polars.py goes to Polars' own SQL.
    """
    import polars

    import frames_polars

    def run():
        tables = {table: frames_polars.scan(options.suite, table, path) for table, path in options.table}
        query = frames_polars.QUERIES.get((options.suite, options.name))
        if query:
            frame = query(tables, options.written)
        else:
            frame = polars.SQLContext(tables).execute(options.sql)
        return frame.collect(engine="streaming").rows()

    return run


def prepare_dask(options):
    """Imports Dask and returns the function that runs the query, on Dask's threads and without
    a memory limit."""
    import dask

    import frames_dask

    def run():
        with dask.config.set(scheduler="threads", num_workers=options.threads):
            return frames_dask.QUERIES[options.suite, options.name](dict(options.table))

    return run


PREPARE = {
    "duckdb": prepare_duckdb,
    "polars": prepare_polars,
    "datafusion": prepare_datafusion,
    "dask": prepare_dask,
}


def cell(value):
    """Writes a value as text: nothing for a null, lower case for a truth value."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def run_command(options):
    """Runs the query, then writes its rows below a heading, as Brimful does, and its time."""
    options.sql = options.sql_file.read_text()
    run = PREPARE[options.engine](options)
    started = time.perf_counter()
    rows = run()
    elapsed = time.perf_counter() - started
    with open(options.answer, "w", newline="") as answer:
        writer = csv.writer(answer)
        writer.writerow(f"column{number}" for number in range(len(rows[0]) if rows else 0))
        writer.writerows([cell(value) for value in row] for row in rows)
    if options.stats:
        options.stats.write_text(json.dumps({"elapsed_seconds": elapsed, "rows": len(rows)}))


def versions_command(options):
    """Prints the versions of the engines."""
    json.dump({engine: version(engine) for engine in options.engines}, sys.stdout)


def main():
    """Reads the arguments and does what they ask."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True)
    run = commands.add_parser("run")
    run.add_argument("engine", choices=PREPARE)
    run.add_argument("sql_file", type=Path)
    run.add_argument("--suite", required=True)
    run.add_argument("--name", required=True)
    run.add_argument("--table", action="append", default=[], type=lambda text: tuple(text.split("=", 1)))
    run.add_argument("--memory-limit", type=bytes_of, default="1GB")
    run.add_argument("--threads", type=int, default=2)
    run.add_argument("--answer", type=Path, required=True)
    run.add_argument("--stats", type=Path)
    run.add_argument("--written", type=Path)
    run.set_defaults(command=run_command)
    show = commands.add_parser("versions")
    show.add_argument("engines", nargs="+", choices=PREPARE)
    show.set_defaults(command=versions_command)
    options = parser.parse_args()
    options.command(options)


if __name__ == "__main__":
    main()
