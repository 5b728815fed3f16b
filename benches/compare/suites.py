"""The suites: which queries exist, which tables they read, and where those tables are."""

import re
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent

SUITES = ("csv", "tpch", "ooc", "groupby")

TPCH_TABLES = (
    "customer", "lineitem", "nation", "orders", "part", "partsupp", "region", "supplier",
)

# The rows that make each CSV file about 2 GB when --rows is not given.
CSV_ROWS = {"taxi": 13_000_000, "arcos": 4_500_000}

GROUPBY_ROWS = 10_000_000

# What each column of the groupby table is made of: `{n}` is a number from 0 to 2^31 - 1, another one
# in each row, `{many}` a hundredth of the rows.
GROUPBY_COLUMNS = {
    "id1": "'id' || lpad(CAST(1 + {n} % 100 AS VARCHAR), 3, '0')",
    "id2": "'id' || lpad(CAST(1 + {n} % 100 AS VARCHAR), 3, '0')",
    "id3": "'id' || lpad(CAST(1 + {n} % {many} AS VARCHAR), 10, '0')",
    "id4": "CAST(1 + {n} % 100 AS INT)",
    "id5": "CAST(1 + {n} % 100 AS INT)",
    "id6": "CAST(1 + {n} % {many} AS INT)",
    "v1": "CAST(1 + {n} % 5 AS INT)",
    "v2": "CAST(1 + {n} % 15 AS INT)",
    "v3": "round(CAST({n} AS DOUBLE) / 2147483647 * 100, 6)",
}


@dataclass(frozen=True)
class Query:
    """One query file: what it shows, the statement, its wording for engines that spell it in another
    way, and how its written file is checked."""

    suite: str
    name: str
    about: str
    sql: str
    spellings: dict[str, str]
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
    query that DuckDB runs on the file that the statement writes, one that starts with the name of
    an engine (`duckdb:`) is the statement as that engine spells it.
    """
    lines = path.read_text().splitlines()
    comments = [line[2:].strip() for line in lines if line.startswith("--")]
    sql = "\n".join(line for line in lines if not line.startswith("--")).strip().rstrip(";")
    others = dict(comment.split(":", 1) for comment in comments[1:] if re.match(r"[a-z]+: ", comment))
    others = {name: text.strip() for name, text in others.items()}
    check = others.pop("check", None)
    return Query(suite, path.stem, comments[0], sql, others, check)


def table_paths(suite, data, scale):
    """Returns the file of every table of a suite."""
    if suite == "csv":
        return {table: data / f"{table}.csv" for table in CSV_ROWS}
    if suite == "groupby":
        return {"x": data / "groupby.parquet"}
    return {table: data / f"tpch-sf{scale}" / f"{table}.parquet" for table in TPCH_TABLES}


def generate_commands(brimful, suite, data, scale, rows, missing):
    """Returns the commands that make the missing tables of a suite."""
    if suite == "csv":
        return [
            [brimful, "generate", table, "--rows", str(rows or CSV_ROWS[table]), "--output", str(data / f"{table}.csv")]
            for table in missing
        ]
    if suite == "groupby":
        sql = groupby_statement(rows or GROUPBY_ROWS, table_paths(suite, data, scale)["x"])
        # One thread keeps the rows in order, so that the file is always the same.
        return [[brimful, "query", "--threads", "1", "-c", sql]]
    output = str(data / f"tpch-sf{scale}")
    return [[brimful, "generate", "tpch", "--scale", scale, "--format", "parquet", "--output", output]]


def groupby_statement(rows, path):
    """Returns the statement that makes the table of the groupby suite.

    The numbers of a row come from its place, by multiplications with odd numbers modulo 2^31, of
    which no product passes 2^62, and shifted copies in between: each step can be undone, so a
    number comes once in 2^31 rows, and neighbours have nothing in common.
    """
    columns = range(len(GROUPBY_COLUMNS))

    def select(expression, source):
        return f"SELECT {', '.join(expression.format(n=f'n{i}') + f' AS n{i}' for i in columns)} FROM ({source}) AS s"

    begun = ", ".join(f"value * {1_640_531_527 + 22_695_478 * i} % 2147483648 AS n{i}" for i in columns)
    numbers = f"SELECT {begun} FROM generate_series(1, {rows})"
    for shift, factor in ((15, 739_982_445), (12, 695_872_825)):
        numbers = select(f"{{n}} ^ ({{n}} >> {shift})", numbers)
        numbers = select(f"{{n}} * {factor} % 2147483648", numbers)
    numbers = select("{n} ^ ({n} >> 15)", numbers)
    many = max(rows // 100, 1)
    values = (
        f"{expression.format(n=f'n{i}', many=many)} AS {name}"
        for i, (name, expression) in enumerate(GROUPBY_COLUMNS.items())
    )
    return f"COPY (SELECT {', '.join(values)} FROM ({numbers}) AS numbers) TO '{path}'"
