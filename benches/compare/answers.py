"""Compares the rows that two engines gave for the same query."""

import csv
import math
import re

TOLERANCE = 1e-6

TIMESTAMP = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.0+)?Z?")


def same_rows(left, right):
    """Says whether two files hold the same rows in any order, numbers within the tolerance."""
    left, right = read_rows(left), read_rows(right)
    return len(left) == len(right) and all(same_row(a, b) for a, b in zip(left, right))


def read_rows(path):
    """Reads a file of rows in an order that does not depend on the engine: first by the cells
    that are text, then by the numbers.

    The first line is a heading. A null of a single column is an empty line, which the reader gives
    as a row without cells.
    """
    with open(path, newline="") as file:
        reader = csv.reader(file)
        next(reader, None)
        rows = [[value(cell) for cell in row or [""]] for row in reader]
    return sorted(rows, key=sort_key)


def sort_key(row):
    """Puts the text of a row before its numbers."""
    texts = [cell for cell in row if isinstance(cell, str)]
    numbers = [cell for cell in row if not isinstance(cell, str)]
    return texts, numbers


def value(cell):
    """Turns a cell into a number when it is one, and a timestamp into one spelling; midnight is
    the date."""
    try:
        number = float(cell)
    except ValueError:
        match = TIMESTAMP.fullmatch(cell)
        if not match:
            return cell
        return match[1] if match[2] == "00:00:00" else f"{match[1]} {match[2]}"
    return "" if math.isnan(number) else number


def same_row(left, right):
    """Says whether two rows are equal cell by cell."""
    return len(left) == len(right) and all(same_cell(a, b) for a, b in zip(left, right))


def same_cell(left, right):
    """Says whether two cells are equal, numbers within the tolerance."""
    if isinstance(left, float) and isinstance(right, float):
        return math.isclose(left, right, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    return left == right
