#!/usr/bin/env python3
"""Writes tests/slt/sql/correlated_random.slt: random correlated subqueries with DuckDB's answers.

Needs the Python package duckdb. The same seed gives the same file.
"""

import random
from pathlib import Path

import duckdb

SEED = 20
QUERIES = 90
TABLES = {"a": 14, "b": 11, "c": 9}


def value(rng, high):
    return "NULL" if rng.random() < 0.15 else str(rng.randrange(high))


def tables(rng):
    for name, rows in TABLES.items():
        values = ", ".join(f"({value(rng, 6)}, {value(rng, 9)}, {value(rng, 4)})" for _ in range(rows))
        yield f"CREATE TABLE {name} AS SELECT * FROM (VALUES {values}) AS v(k, x, y)"


def condition(rng, inner, outer):
    column = lambda table: f"{table}.{rng.choice('kxy')}"
    one = rng.choice(
        [
            lambda: f"{column(inner)} {rng.choice(['<', '<=', '>', '>=', '=', '<>'])} {column(outer)}",
            lambda: f"{column(inner)} = {column(outer)}",
            lambda: f"{column(inner)} + {column(outer)} < {rng.randrange(12)}",
            lambda: f"({column(inner)} IS NOT DISTINCT FROM {column(outer)})",
            lambda: f"({column(inner)} > {column(outer)} OR {column(inner)} = {rng.randrange(5)})",
        ]
    )()
    if rng.random() < 0.35:
        one += f" AND {column(inner)} {rng.choice(['<', '>', '<>'])} {rng.randrange(6)}"
    return one


def source(rng, inner, outer):
    """What stands after FROM, for an alias, with its conditions."""
    table = rng.choice(list(TABLES))
    form = rng.random()
    where = condition(rng, inner, outer)
    if form < 0.5:
        return f"{table} AS {inner} WHERE {where}"
    if form < 0.65:
        other = rng.choice(list(TABLES))
        kind = rng.choice(["JOIN", "LEFT JOIN"])
        return f"{table} AS {inner} {kind} {other} AS m ON {inner}.k = m.k AND m.x <= {outer}.x WHERE {where}"
    if form < 0.8:
        return f"(SELECT DISTINCT k, x, y FROM {table} AS s WHERE {condition(rng, 's', outer)}) AS {inner} WHERE {where}"
    if form < 0.9:
        other = rng.choice(list(TABLES))
        parts = [
            f"SELECT k, x, y FROM {one} AS s WHERE {condition(rng, 's', outer)}" for one in (table, other)
        ]
        return f"({' UNION ALL '.join(parts)}) AS {inner}"
    nested = f"EXISTS (SELECT 1 FROM c AS n WHERE {condition(rng, 'n', inner)} AND n.y <= {outer}.y)"
    return f"{table} AS {inner} WHERE {where} AND {nested}"


def scalar(rng, outer):
    call = rng.choice(["count(*)", "sum(i.x)", "min(i.y)", "max(i.k + i.x)", "count(DISTINCT i.x)", "coalesce(sum(i.y), -1)"])
    having = f" HAVING count(*) > {rng.randrange(3)}" if rng.random() < 0.15 else ""
    if rng.random() < 0.2:
        return f"(SELECT i.x FROM {source(rng, 'i', outer)} ORDER BY i.x NULLS LAST LIMIT 1 OFFSET {rng.randrange(2)})"
    return f"(SELECT {call} FROM {source(rng, 'i', outer)}{having})"


def truth(rng, outer):
    return rng.choice(
        [
            lambda: f"EXISTS (SELECT 1 FROM {source(rng, 'i', outer)})",
            lambda: f"NOT EXISTS (SELECT 1 FROM {source(rng, 'i', outer)})",
            lambda: f"{outer}.x IN (SELECT i.x FROM {source(rng, 'i', outer)})",
            lambda: f"{outer}.x NOT IN (SELECT i.x FROM {source(rng, 'i', outer)})",
            lambda: f"{outer}.x > {rng.choice(['ANY', 'ALL'])} (SELECT i.y FROM {source(rng, 'i', outer)})",
            lambda: f"{outer}.y < {scalar(rng, outer)}",
        ]
    )()


def query(rng):
    form = rng.random()
    if form < 0.35:
        return f"SELECT o.k, o.x, {scalar(rng, 'o')} AS value FROM a AS o"
    if form < 0.6:
        return f"SELECT o.k, o.x, {truth(rng, 'o')} AS value FROM a AS o"
    if form < 0.85:
        connective = rng.choice([" AND ", " OR "])
        conditions = connective.join(truth(rng, "o") for _ in range(rng.choice([1, 1, 2])))
        return f"SELECT o.k, o.x, o.y FROM a AS o WHERE {conditions}"
    kind = rng.choice([", LATERAL ({}) AS l", " LEFT JOIN LATERAL ({}) AS l ON l.x >= o.x", " JOIN LATERAL ({}) AS l ON true"])
    inside = rng.choice(
        [
            f"SELECT i.x FROM {source(rng, 'i', 'o')}",
            f"SELECT count(*) AS x FROM {source(rng, 'i', 'o')}",
            f"SELECT i.k, max(i.x) AS x FROM {source(rng, 'i', 'o')} GROUP BY i.k",
        ]
    )
    return f"SELECT o.k, o.y, l.x FROM a AS o{kind.format(inside)}"


def text(cell):
    return {None: "NULL", True: "true", False: "false"}[cell] if cell is None or isinstance(cell, bool) else str(cell)


def main():
    rng = random.Random(SEED)
    context = duckdb.connect()
    lines = ["# Random correlated subqueries, with DuckDB's answers (scripts/make-subqueries.py).", ""]
    for table in tables(rng):
        context.execute(table)
        lines += ["statement ok", table, ""]
    done = 0
    while done < QUERIES:
        sql = query(rng)
        try:
            result = context.execute(sql)
        except duckdb.Error:
            continue  # What DuckDB refuses, such as some outer joins, has no answer.
        kinds = "".join("B" if str(column[1]) == "BOOLEAN" else "I" for column in result.description)
        rows = [" ".join(text(cell) for cell in row) for row in result.fetchall()]
        lines += [f"query {kinds} rowsort", sql, "----", *sorted(rows), ""]
        done += 1
    target = Path(__file__).parent.parent / "tests/slt/sql/correlated_random.slt"
    target.parent.mkdir(exist_ok=True)
    target.write_text("\n".join(lines).rstrip("\n") + "\n")


if __name__ == "__main__":
    main()
