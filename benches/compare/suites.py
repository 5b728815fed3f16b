"""The suites: which queries exist, which tables they read, and where those tables are."""

import re
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent

SUITES = ("csv", "tpch", "ooc")

TPCH_TABLES = (
    "customer", "lineitem", "nation", "orders", "part", "partsupp", "region", "supplier",
)

# The rows that make each CSV file about 2 GB when --rows is not given.
CSV_ROWS = {"taxi": 13_000_000, "arcos": 4_500_000}


@dataclass(frozen=True)
class Query:
    """One query file: what it shows, the statement, and how its written file is checked."""

    suite: str
    name: str
    about: str
    sql: str
    check: str | None

    def tables(self, paths):
        """Returns those of `paths`, a table name to file mapping, that the statement names."""
        return {name: path for name, path in paths.items() if re.search(rf"\b{name}\b", self.sql)}


def load_queries(suite, names=None):
    """Reads the query files of a suite, all of them or the named ones in the order given."""
    available = {path.stem: path for path in sorted((HERE / suite).glob("*.sql"))}
    unknown = [name for name in names or [] if name not in available]
    if unknown:
        raise ValueError(f"suite {suite} has no query {', '.join(unknown)}: it has {', '.join(available)}")
    return [parse_query(suite, available[name]) for name in names or available]


def parse_query(suite, path):
    """Splits a query file into its opening comments and its statement.

    The first comment says what the query shows. A comment that starts with `check:` is the
    query that DuckDB runs on the file that the statement writes.
    """
    lines = path.read_text().splitlines()
    comments = [line[2:].strip() for line in lines if line.startswith("--")]
    sql = "\n".join(line for line in lines if not line.startswith("--")).strip().rstrip(";")
    checks = [comment.removeprefix("check:").strip() for comment in comments[1:] if comment.startswith("check:")]
    return Query(suite, path.stem, comments[0], sql, checks[0] if checks else None)


def table_paths(suite, data, scale):
    """Returns the file of every table of a suite."""
    if suite == "csv":
        return {table: data / f"{table}.csv" for table in CSV_ROWS}
    return {table: data / f"tpch-sf{scale}" / f"{table}.parquet" for table in TPCH_TABLES}


def generate_commands(brimful, suite, data, scale, rows, missing):
    """Returns the commands that make the missing tables of a suite."""
    if suite == "csv":
        return [
            [brimful, "generate", table, "--rows", str(rows or CSV_ROWS[table]), "--output", str(data / f"{table}.csv")]
            for table in missing
        ]
    output = str(data / f"tpch-sf{scale}")
    return [[brimful, "generate", "tpch", "--scale", scale, "--format", "parquet", "--output", output]]
