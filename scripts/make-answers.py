#!/usr/bin/env python3
"""Makes tests/answers/*.csv: what each query of queries/ gives on testdata, by DuckDB.

Usage: scripts/make-answers.py            (needs the Python package duckdb; made with 2.0.0)

The answers must not come from Brimful itself: tests/it/differential.rs compares it with them.
"""

import csv
import pathlib
import re

import duckdb

project = pathlib.Path(__file__).resolve().parent.parent
answers = project / "tests" / "answers"
answers.mkdir(exist_ok=True)


def for_duckdb(script: str) -> str:
    """Variables get their defaults; the word `null` of the ARCOS files must be named to DuckDB."""
    script = re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", script)
    return re.sub(r"'(testdata/\w+\.csv)'", rf"read_csv('{project}/\1', nullstr = ['', 'null'])", script)


for path in sorted((project / "queries").glob("*.sql")):
    if path.stem == "pi":  # random
        continue
    result = duckdb.sql(for_duckdb(path.read_text()))
    with open(answers / f"{path.stem}.csv", "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(result.columns)
        rows = result.fetchall()
        writer.writerows(rows)
    print(f"{path.stem}: {len(rows)} rows")
