"""Shows what Brimful, DuckDB, Polars, DataFusion and pandas make of dirty CSV files.

    peers/bin/pip install pandas
    python benches/compare/dirt.py run --peers-python peers/bin/python --markdown dirt.md

Makes files with one kind of dirt each and reads every one with every engine, in a process of its
own, by the plainest call and with default settings. The rows are compared with those that were
written.
"""

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PEERS_PYTHON = Path("/opt/peers/bin/python")

NAMES = {"brimful": "Brimful", "duckdb": "DuckDB", "polars": "Polars", "datafusion": "DataFusion", "pandas": "pandas"}

CITIES = ("Boston", "Chicago", "Denver", "Fresno", "Houston", "Memphis", "Oakland")
PEOPLE = ("Ames", "Baker", "Cole", "Diaz", "Evans", "Ford")

SHORT = 2_000
"""Rows of a file whose dirt does not have to come late."""
LONG = 400_000
"""Rows of a file whose dirt comes late."""
LATE = 310_000
"""The row with the late dirt: none of the engines has it in the sample that it takes the types from."""


@dataclass(frozen=True)
class Spelled:
    """A value, and how the file writes it where that is not what `str` gives."""

    value: object
    text: str


@dataclass
class File:
    """The bytes of a file and the table that was meant."""

    data: bytes
    rows: list
    names: list | None = None
    """What columns have to be called, as far as that is certain; without it, anything is right."""
    line: int | None = None
    """The line with the dirt, if it is only one."""
    also: dict | None = None
    """Other rows that are as good, by their first value."""
    nulls_differ: bool = False
    """Whether a NULL and an empty text have to be told apart."""


@dataclass(frozen=True)
class Kind:
    """A kind of dirt."""

    name: str
    about: str
    right: str
    make: Callable[[], File]


@dataclass
class Finding:
    """What an engine made of a file."""

    kind: str
    engine: str
    verdict: str
    detail: str = ""
    error: str | None = None


KINDS = []


def kind(about, right):
    """Registers the function that makes a file under its own name."""

    def register(make):
        KINDS.append(Kind(make.__name__, about, right, make))
        return make

    return register


def spelling(cell):
    """Writes a cell of a row that was meant as the file has it."""
    if isinstance(cell, Spelled):
        return cell.text
    return "" if cell is None else str(cell)


def quoted(text):
    """Puts a text in quotes."""
    return '"' + text.replace('"', '""') + '"'


def line_of(row, delimiter=","):
    """Writes a row as a line, without quotes."""
    return delimiter.join(map(spelling, row))


def text_of(names, rows, delimiter=",", newline="\n"):
    """Writes a header and rows, without quotes."""
    return newline.join([line_of(names, delimiter), *(line_of(row, delimiter) for row in rows), ""])


def people(count):
    """Returns rows of a number, a name, a city and another number."""
    return [[n, PEOPLE[n % 6], CITIES[n % 7], n * 37 % 1000] for n in range(1, count + 1)]


PEOPLE_NAMES = ["id", "name", "city", "amount"]


def with_value(count, place, values, ordinary, names=("id", "value", "city")):
    """Makes a file of three columns whose middle one has `values` from row `place` on and
    otherwise what `ordinary` gives for the number of the row."""
    rows = [[n, ordinary(n), CITIES[n % 7]] for n in range(1, count + 1)]
    for offset, value in enumerate(values):
        rows[place - 1 + offset][1] = value
    line = place + 1 if len(values) == 1 else None
    return File(text_of(names, rows).encode(), rows, list(names), line)


# Records and fields.


@kind("A row in the middle lacks a field: no city, so the amount stands in its place", "error: nobody can know which field is missing")
def field_missing():
    rows = people(SHORT)
    lines = [line_of(row) for row in rows]
    lines[999] = "1000,Evans,12"
    rows[999] = [1000, "Evans", None, 12]
    return File("\n".join([line_of(PEOPLE_NAMES), *lines, ""]).encode(), rows, PEOPLE_NAMES, 1001)


@kind("A late row lacks its city", "error")
def field_missing_late():
    rows = people(LONG)
    lines = [line_of(row) for row in rows]
    lines[LATE - 1] = f"{LATE},Evans,12"
    rows[LATE - 1] = [LATE, "Evans", None, 12]
    return File("\n".join([line_of(PEOPLE_NAMES), *lines, ""]).encode(), rows, PEOPLE_NAMES, LATE + 1)


def with_comma(count, place):
    """Makes a file in which a name has a comma without quotes."""
    rows = people(count)
    rows[place - 1] = [place, "Evans, Jr.", "Boston", 12]
    return File(text_of(PEOPLE_NAMES, rows).encode(), rows, PEOPLE_NAMES, place + 1)


@kind("A row in the middle has a field too many: a comma in a name without quotes", "error, or the row with that name")
def field_too_many():
    return with_comma(SHORT, 1000)


@kind("A late row has a field too many", "error, or the row with that name")
def field_too_many_late():
    return with_comma(LONG, LATE)


@kind("A row that begins with `#` has a field too many", "error, or the row with that name")
def field_too_many_after_hash():
    rows = [[f"A{n}", *row[1:]] for n, row in enumerate(people(SHORT))]
    rows[499] = ["#499", "Evans, Jr.", "Boston", 12]
    return File(text_of(PEOPLE_NAMES, rows).encode(), rows, PEOPLE_NAMES, 501)


@kind("The file breaks off within its last row", "error: the row is not whole")
def cut_off():
    rows = people(SHORT)
    rows[-1] = [SHORT, "Cole", "Memphis", 12]
    text = text_of(PEOPLE_NAMES, rows)
    return File(text[: text.rindex("phis")].encode(), rows, PEOPLE_NAMES, SHORT + 1)


def noted(count, note):
    """Makes a file of a number, a quoted text and another number."""
    rows = [[n, note(n), n * 37 % 1000] for n in range(1, count + 1)]
    lines = [f"{n},{quoted(text)},{amount}\n" for n, text, amount in rows]
    return File("".join(["id,note,amount\n", *lines]).encode(), rows, ["id", "note", "amount"])


@kind("Newlines inside of quoted fields, some followed by what looks like a row; 24 MB", "the rows as they are")
def newlines_in_quotes():
    def note(n):
        return f"first line of note {n}\n{n},a line like a row,{n % 10}\n\nand some more words, with commas"

    return noted(250_000, note)


@kind("One quoted field of 4 MB that holds lines like rows; 16 MB", "the rows as they are")
def long_quoted_field():
    pasted = "".join(f"{n},a line like a row,{n % 10}\n" for n in range(160_000))
    return noted(400_000, lambda n: pasted if n == 200_000 else f"the note of row {n}")


@kind("A quote in the middle is never closed; nothing else is quoted", "error, or the quote as a part of the name")
def quote_unclosed():
    rows = people(SHORT)
    rows[999][1] = '"Evans'
    also = {"1000": [1000, "Evans", *rows[999][2:]]}
    return File(text_of(PEOPLE_NAMES, rows).encode(), rows, PEOPLE_NAMES, 1001, also)


@kind("A quote in the middle is not closed; every tenth name is quoted", "error, or the quote as a part of the name")
def quote_unclosed_among_quoted():
    rows = people(SHORT)
    for row in rows[9::10]:
        row[1] += ", Jr."
    lines = [line_of([row[0], quoted(row[1]) if "," in row[1] else row[1], *row[2:]]) for row in rows]
    lines[1000] = lines[1000].replace("Ford", '"Ford')
    rows[1000][1] = '"Ford'
    also = {"1001": [1001, "Ford", *rows[1000][2:]]}
    return File("\n".join([line_of(PEOPLE_NAMES), *lines, ""]).encode(), rows, PEOPLE_NAMES, 1002, also)


@kind("The first quotes come late", "the texts without the quotes")
def quotes_late():
    rows = people(LONG)
    lines = [line_of(row) for row in rows]
    for n in range(LATE - 1, LONG, 10):
        lines[n] = line_of([quoted(cell) if isinstance(cell, str) else cell for cell in rows[n]])
    return File("\n".join([line_of(PEOPLE_NAMES), *lines, ""]).encode(), rows, PEOPLE_NAMES)


@kind('Quotes that mean inches inside of fields: `3/4" pipe`', "the fields as they are")
def inches():
    return with_value(SHORT, 1, [], lambda n: f'{n % 9}/4" pipe')


@kind('A late field goes on after a quoted word: `"wide" pipe`', "error, or the field as it is")
def text_after_quotes():
    return with_value(LONG, LATE, ['"wide" pipe'], lambda n: f"pipe {n % 9}")


@kind("`\\r\\n` after every line but the last, which has `\\n`", "the rows as they are")
def line_ends_mixed():
    rows = people(SHORT)
    for row in rows:
        row[2], row[3] = row[3], row[2]
    names = ["id", "name", "amount", "city"]
    text = text_of(names, rows, newline="\r\n")
    return File((text[:-2] + "\n").encode(), rows, names)


# The top of the file.


@kind("A blank line below the header, blanks before names", "the rows as they are and no other; names with or without the blank")
def blank_below_header():
    rows = people(SHORT)
    header, rest = text_of(PEOPLE_NAMES, rows).split("\n", 1)
    return File(f"{header.replace(',', ', ')}\n\n{rest}".encode(), rows, PEOPLE_NAMES)


@kind("Two lines of title above the header", "the rows below their names")
def titles():
    rows = people(SHORT)
    return File(("Customers by city\nMade on 3 May 2015\n" + text_of(PEOPLE_NAMES, rows)).encode(), rows, PEOPLE_NAMES)


@kind("A line `sep=;` for Excel above the header", "the rows below their names")
def line_for_excel():
    rows = people(SHORT)
    return File(("sep=;\n" + text_of(PEOPLE_NAMES, rows, ";")).encode(), rows, PEOPLE_NAMES)


@kind("No header", "all rows")
def no_header():
    rows = people(SHORT)
    return File(text_of(PEOPLE_NAMES, rows).split("\n", 1)[1].encode(), rows)


@kind("No header, and the first row lacks its city", "error")
def no_header_field_missing():
    rows = people(SHORT)
    rest = text_of(PEOPLE_NAMES, rows).split("\n", 2)[2]
    rows[0] = [1, "Baker", None, 37]
    return File(f"1,Baker,37\n{rest}".encode(), rows, line=1)


@kind("A header of years, `county,1990,2000,2015`, above whole numbers", "the rows below their names")
def header_of_years():
    names = ["county", "1990", "2000", "2015"]
    rows = [[f"County {n}", 20_000 + n * 37 % 1000, 25_000 + n * 41 % 1000, 30_000 + n] for n in range(SHORT)]
    return File(text_of(names, rows).encode(), rows, names)


@kind("Two columns of the same name", "both columns, with names of their own")
def names_twice():
    rows = [[n, n * 37 % 1000, n * 41 % 1000] for n in range(1, SHORT + 1)]
    return File(text_of(["id", "amount", "amount"], rows).encode(), rows, ["id", "amount"])


@kind("The last column has no name: three names above four fields", "all fields, the names above the first three")
def name_missing():
    rows = people(SHORT)
    return File(text_of(PEOPLE_NAMES[:3], rows).encode(), rows, PEOPLE_NAMES[:3])


@kind("A comment, `# made by hand`, above the header, and a late row whose first field is `#9`", "the comment is skipped, the row is not")
def comments():
    rows = [[f"Row{n}", n * 37 % 1000, CITIES[n % 7]] for n in range(1, LONG + 1)]
    rows[LATE - 1][0] = "#9"
    names = ["name", "amount", "city"]
    return File(("# made by hand\n" + text_of(names, rows)).encode(), rows, names, LATE + 2)


# Characters.


@kind("UTF-16 with a byte order mark", "the rows as they are")
def utf_16():
    rows = people(SHORT)
    rows[999][1] = "Müller"
    text = "\ufeff" + text_of(PEOPLE_NAMES, rows)
    return File(text.encode("utf-16-le"), rows, PEOPLE_NAMES)


@kind("Latin-1", "`ü` and `é` as such")
def latin_1():
    rows = people(SHORT)
    for row in rows[500::100]:
        row[1:3] = "Müller", "Orléans"
    return File(text_of(PEOPLE_NAMES, rows).encode("latin-1"), rows, PEOPLE_NAMES)


@kind("Windows-1252: `é` in many rows, the first `€` late", "`é` and `€` as such")
def windows_1252():
    file = with_value(LONG, LATE, ["5 €"], lambda n: "café" if n % 50 == 0 else "tea")
    file.data, file.line = file.data.decode().encode("windows-1252"), None
    return file


@kind("UTF-8 with a byte that is none, in one row", "error, or all other rows as they are")
def utf_8_with_a_bad_byte():
    rows = people(SHORT)
    for row in rows[500::100]:
        row[1:3] = "Müller", "Orléans"
    rows[999][1] = "M\udcfcller"
    data = text_of(PEOPLE_NAMES, rows).encode("utf-8", "surrogateescape")
    rows[999][1] = "Müller"
    also = {"1000": [1000, "M\ufffdller", *rows[999][2:]]}
    return File(data, rows, PEOPLE_NAMES, 1001, also)


@kind("A NUL byte within a name", "the byte kept, or error")
def nul_byte():
    rows = people(SHORT)
    rows[999][1] = "Ev\0ans"
    return File(text_of(PEOPLE_NAMES, rows).encode(), rows, PEOPLE_NAMES, 1001)


# Values that are missing.


@kind('`""` and nothing in a column of text', "an empty text and a NULL")
def empty_and_null():
    file = with_value(SHORT, 1, [], lambda n: Spelled("", '""') if n % 20 == 5 else None if n % 20 == 15 else PEOPLE[n % 6])
    file.nulls_differ = True
    return file


@kind('A single column in which some rows are `""`', "all rows")
def single_column():
    rows = [[None if n % 10 == 5 else f"word{n}"] for n in range(1, SHORT + 1)]
    lines = ["word", *(row[0] or '""' for row in rows), ""]
    return File("\n".join(lines).encode(), rows, ["word"])


@kind("`NA`, `Null` and `None` in a column of names", "those words")
def words_in_text():
    return with_value(SHORT, 1000, ["NA", "Null", "None", "null", "nan"], lambda n: PEOPLE[n % 6])


@kind("`NA` and `null` first come late in a column of numbers", "NULL, or the column as text, or error")
def null_word_late():
    file = with_value(LONG, LATE, [Spelled(None, "NA"), Spelled(None, "null")], lambda n: n * 37 % 1000)
    file.line = LATE + 1
    return file


# Types.


@kind("Postcodes with leading zeros: `07072`", "text")
def leading_zeros():
    return with_value(SHORT, 1, [], lambda n: f"{n * 37 % 90_000:05}")


@kind("Codes whose first leading zero comes late", "text, or error")
def leading_zero_late():
    return with_value(LONG, LATE, ["07072"], lambda n: Spelled(10_000 + n % 80_000, str(10_000 + n % 80_000)))


@kind("`n/a?` comes late in a column of whole numbers", "error, or the column as text")
def text_late():
    return with_value(LONG, LATE, ["n/a?"], lambda n: n * 37 % 1000)


@kind("The first fraction comes late in a column of whole numbers", "the fraction, or error")
def fraction_late():
    return with_value(LONG, LATE, [17.25], lambda n: n * 37 % 1000)


@kind("`12 ` and ` 13`, with a blank, come late in a column of whole numbers", "the numbers, or error")
def blank_late():
    file = with_value(LONG, LATE, [Spelled(12, "12 "), Spelled(13, " 13")], lambda n: n * 37 % 1000)
    file.line = LATE + 1
    return file


@kind("Codes that could be numbers with exponents: `12E4`", "text")
def codes_with_e():
    return with_value(SHORT, 1, [], lambda n: f"{n % 90 + 10}E{n % 8 + 1}")


@kind("Whole numbers of 20 digits among smaller ones", "the same digits, as a number or text")
def large_integers():
    return with_value(SHORT, 50, [18446744073709551617, 92233720368547758070], lambda n: 10**12 + n)


@kind("Whole numbers of 18 digits, one of them missing", "the same digits")
def integers_with_null():
    return with_value(SHORT, 1000, [None], lambda n: 123_456_789_012_345_000 + n)


@kind("Amounts of 17 digits and cents: `12345678901234567.89`", "the same digits")
def long_decimals():
    def amount(n):
        return Spelled(Decimal(12_345_678_901_234_567_00 + n) / 100, f"123456789012345{67 + n // 100:02}.{n % 100:02}")

    rows = [[n, amount(n), CITIES[n % 7]] for n in range(1, SHORT + 1)]
    return File(text_of(["id", "value", "city"], rows).encode(), rows, ["id", "value", "city"])


@kind("Decimal commas between semicolons: `1;2,50;Boston`", "the numbers, or text")
def decimal_comma():
    rows = [[n, Spelled(n % 900 + 0.25, f"{n % 900},25"), CITIES[n % 7]] for n in range(1, SHORT + 1)]
    return File(text_of(["id", "price", "city"], rows, ";").encode(), rows, ["id", "price", "city"])


@kind("The same with points between thousands in another column: `1;2,50;1.234`", "1234, or text")
def thousands_points():
    rows = [
        [n, Spelled(n % 900 + 0.25, f"{n % 900},25"), Spelled(1000 + n, f"{(1000 + n) // 1000}.{(1000 + n) % 1000:03}")]
        for n in range(1, SHORT + 1)
    ]
    return File(text_of(["id", "price", "people"], rows, ";").encode(), rows, ["id", "price", "people"])


def day_first(day):
    """Writes a date with the day before the month."""
    return Spelled(day.isoformat(), day.strftime("%d/%m/%Y"))


def month_first(day):
    """Writes a date with the month before the day."""
    return Spelled(day.isoformat(), day.strftime("%m/%d/%Y"))


def early_day(n):
    """Returns a date whose day could be a month."""
    return date(2015, 1 + n // 12 % 12, 1 + n % 12)


@kind("Dates with the day first; only a late one, `31/12/2015`, cannot be read otherwise", "those dates, text, or error")
def day_first_late():
    return with_value(LONG, LATE, [day_first(date(2015, 12, 31))], lambda n: day_first(early_day(n)))


@kind("Dates with the month first; only a late one, `12/31/2015`, cannot be read otherwise", "those dates, text, or error")
def month_first_late():
    return with_value(LONG, LATE, [month_first(date(2015, 12, 31))], lambda n: month_first(early_day(n)))


@kind("Dates with the month first, none of which has a day above 12", "those dates, or text")
def month_first_undecided():
    return with_value(SHORT, 1, [], lambda n: month_first(early_day(n)))


@kind("A time of day first comes late in a column of dates: `2015-12-31 23:30:00`", "that moment, text, or error")
def time_late():
    def day(n):
        return (date(2015, 1, 1) + timedelta(days=n % 365)).isoformat()

    return with_value(LONG, LATE, ["2015-12-31 23:30:00"], day)


@kind("A zone first comes late in a column of times: `2015-12-31 23:30:00+02:00`", "text, or error: whether the others are UTC is unknown")
def zone_late():
    def moment(n):
        return f"2015-{1 + n % 12:02}-{1 + n % 28:02} {n % 24:02}:{n % 60:02}:00"

    return with_value(LONG, LATE, ["2015-12-31 23:30:00+02:00"], moment)


@kind("Times with nine digits after the second", "the same digits")
def nanoseconds():
    return with_value(SHORT, 1, [], lambda n: f"2015-01-{1 + n % 28:02} {n % 24:02}:00:00.{123456000 + n:09}")


@kind("A column that is always `F`, or `T`", "text, or truth values")
def letters_t_and_f():
    rows = [[n, Spelled(n % 3 == 0, "T" if n % 3 == 0 else "F"), "F"] for n in range(1, SHORT + 1)]
    return File(text_of(["id", "insured", "sex"], rows).encode(), rows, ["id", "insured", "sex"])


# Reading with each engine.


def read_duckdb(path):
    """Reads a file with DuckDB; what it has for times comes as text, since Python's has no
    nanoseconds."""
    import duckdb

    table = duckdb.connect().sql(f"SELECT * FROM read_csv('{path}')")
    columns = [
        f"{quoted(name)}::VARCHAR" if str(kind).startswith(("TIME", "DATE")) else quoted(name)
        for name, kind in zip(table.columns, table.types)
    ]
    return table.columns, table.project(", ".join(columns)).fetchall()


def read_polars(path):
    """Reads a file with Polars."""
    import polars

    frame = polars.read_csv(path)
    return frame.columns, frame.rows()


def read_datafusion(path):
    """Reads a file with DataFusion."""
    from datafusion import SessionContext

    context = SessionContext()
    context.register_csv("dirty", path)
    table = context.sql("SELECT * FROM dirty")
    rows = []
    for batch in table.collect():
        columns = []
        for column in batch.columns:
            temporal = str(column.type).startswith(("timestamp", "date", "time"))
            columns.append(column.cast("string").to_pylist() if temporal else column.to_pylist())
        rows += zip(*columns)
    return table.schema().names, rows


def read_pandas(path):
    """Reads a file with pandas; an index that it takes from the file is a column without a name."""
    import pandas

    frame = pandas.read_csv(path)
    if not frame.index.equals(pandas.RangeIndex(len(frame))):
        frame = frame.reset_index()
    columns = [[None if pandas.isna(cell) else cell for cell in frame[name].tolist()] for name in frame.columns]
    return list(frame.columns), list(zip(*columns))


READERS = {"duckdb": read_duckdb, "polars": read_polars, "datafusion": read_datafusion, "pandas": read_pandas}


def plain(cell):
    """Turns a value into one that JSON has; NaN is no value."""
    if cell is None or cell != cell:
        return None
    if isinstance(cell, (bool, int, float, str)):
        return cell
    return int(cell) if isinstance(cell, Decimal) and cell == cell.to_integral_value() else str(cell)


def read_command(options):
    """Reads a file with one engine of Python and writes the names and rows, or the error."""
    try:
        names, rows = READERS[options.engine](str(options.file))
        answer = {"names": list(names), "rows": [[plain(cell) for cell in row] for row in rows]}
    except BaseException as error:
        answer = {"error": f"{type(error).__name__}: {error}"}
    options.answer.write_text(json.dumps(answer))


def versions_command(options):
    """Prints the versions of engines."""
    json.dump({engine: version(engine) for engine in options.engines}, sys.stdout)


def python_of(engine, options):
    """Returns the interpreter that has an engine."""
    return options.pandas_python or options.peers_python if engine == "pandas" else options.peers_python


def read(engine, path, options):
    """Reads a file in a process of its own; returns the names and rows, or the error."""
    answer = path.with_suffix(".answer")
    if engine == "brimful":
        sql = f"SELECT * FROM '{path}'"
        command = [str(options.brimful), "query", "-c", sql, "--format", "ndjson", "--output", str(answer)]
    else:
        command = [python_of(engine, options), __file__, "read", engine, str(path), str(answer)]
    answer.unlink(missing_ok=True)
    try:
        done = subprocess.run(command, cwd=path.parent, capture_output=True, text=True, timeout=options.timeout)
    except subprocess.TimeoutExpired:
        return {"error": f"no answer within {options.timeout:.0f} s"}
    if engine != "brimful":
        return json.loads(answer.read_text()) if answer.exists() else {"error": f"ends with {done.returncode}"}
    if done.returncode != 0:
        return {"error": done.stderr.strip() or f"ends with {done.returncode}"}
    rows = [json.loads(line) for line in answer.read_text().split("\n") if line]
    return {"names": list(rows[0]) if rows else [], "rows": [list(row.values()) for row in rows]}


# Comparing.


def key(cell):
    """Writes the first value of a row so that it is the same for all engines."""
    if isinstance(cell, Spelled):
        cell = cell.value
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    return "" if cell is None else str(cell)


def moment(text):
    """Writes a date or a time in one way: a date at midnight is the date."""
    text = re.sub(r"^(\d{4}-\d\d-\d\d)T", r"\1 ", text)
    text = re.sub(r"(\.\d*?)0+$", r"\1", text).rstrip(".") if "." in text else text
    return re.sub(r"^(\d{4}-\d\d-\d\d) 00:00:00$", r"\1", text)


def same(meant, found, nulls_differ):
    """Says whether a value is what was meant: `value`, `text` if it is as the file has it although
    it is no text, or nothing."""
    value = meant.value if isinstance(meant, Spelled) else meant
    if value is None or value == "":
        if found == value or (not nulls_differ and found in (None, "")):
            return "value"
    elif isinstance(value, bool) or isinstance(found, bool):
        if value is found:
            return "value"
    elif isinstance(value, str):
        if isinstance(found, str) and (value == found or moment(value) == moment(found)):
            return "value"
    elif isinstance(found, (int, float)) and Decimal(found) == Decimal(value):
        return "value"
    return "text" if isinstance(found, str) and found == spelling(meant) else None


def judge(file, answer):
    """Compares an answer with what was meant; returns the verdict and what there is to say."""
    if "error" in answer:
        return "error", named_line(answer["error"], file.line)
    names, rows = [str(name).strip() for name in answer["names"]], answer["rows"]
    width = len(file.rows[0])
    if rows and len(names) != width:
        return "wrong", f"{count(len(names), 'column')} for {width}"
    lost = len(file.rows) - len(rows)
    if lost:
        return "wrong", f"{count(lost, 'row')} lost" if lost > 0 else f"{count(-lost, 'row')} too many"
    if file.names and names[: len(file.names)] != file.names:
        return "wrong", f"names are {', '.join(f'`{name}`' for name in names)}"
    found = {}
    for row in rows:
        found.setdefault(key(row[0]), []).append(row)
    wrong, as_text = [], set()
    for meant in file.rows:
        others = found.get(key(meant[0]), [])
        other = others.pop() if others else None
        if other is None:
            wrong.append(f"no row `{shown(meant[0])}`")
            continue
        looks = [same(a, b, file.nulls_differ) for a, b in zip(meant, other)]
        if not all(looks) and file.also and key(meant[0]) in file.also:
            meant = file.also[key(meant[0])]
            looks = [same(a, b, file.nulls_differ) for a, b in zip(meant, other)]
        as_text |= {name for name, look in zip(names, looks) if look == "text"}
        wrong += [f"{meant_cell(a)} is {found_cell(b)}" for a, b, look in zip(meant, other, looks) if not look]
    if wrong:
        return "wrong", wrong[0] if len(wrong) == 1 else f"{wrong[0]}; {len(wrong):,} values"
    return "right", f"{', '.join(f'`{name}`' for name in names if name in as_text)} as text" if as_text else ""


def count(number, thing):
    """Writes a number of things."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def shown(cell):
    """Writes what the file has, on one line and not too long."""
    text = spelling(cell).replace("\n", "\\n").replace("\0", "\\0")
    return text if len(text) <= 40 else f"{text[:40]}…"


def meant_cell(cell):
    """Writes what an engine should have given."""
    text = shown(cell)
    if not text:
        return "no value"
    number = isinstance(cell, Spelled) and isinstance(cell.value, (int, float)) and not isinstance(cell.value, bool)
    return f"{cell.value}, written `{text}`," if number and str(cell.value) != text else f"`{text}`"


def found_cell(cell):
    """Writes what an engine gave."""
    if cell is None:
        return "NULL"
    return "an empty text" if cell == "" else f"`{shown(cell)}`"


def named_line(error, line):
    """Says whether a message names the line, or the row, that is to be mended.

    Lines are counted from 0 or 1, with or without the header, so a neighbour is as good.
    """
    if line is None:
        return ""
    numbers = re.findall(r"\b(?:line|row)s?(?: number)?[:=]?\s+#?(\d[\d,]*)", error, re.IGNORECASE)
    numbers = [int(number.replace(",", "")) for number in numbers]
    if any(abs(number - line) <= 2 for number in numbers):
        return "names the line"
    return "names another line" if numbers else "no line"


# The command line.


def arguments():
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    run = commands.add_parser("run", help="make the files, read them and print the table")
    run.add_argument("--brimful", type=Path, default=REPOSITORY / "target/release/brimful", help="the binary")
    run.add_argument(
        "--peers-python",
        default=str(PEERS_PYTHON) if PEERS_PYTHON.exists() else sys.executable,
        help="the Python that has the packages of requirements.txt",
    )
    run.add_argument("--pandas-python", help="the Python that has pandas, if it is another one")
    run.add_argument("--engines", type=split_names, default=list(NAMES), help="a list with commas")
    run.add_argument("--kinds", type=split_names, help="a list with commas; all if not given")
    run.add_argument("--files", type=Path, help="a folder that keeps the files; else they are removed")
    run.add_argument("--json", type=Path, help="where to write all findings, with the messages")
    run.add_argument("--markdown", type=Path, help="where to write the table")
    run.add_argument("--timeout", type=float, default=120, help="seconds after which a reader is ended")
    run.set_defaults(command=run_command)
    reader = commands.add_parser("read", help="read one file with one engine of Python")
    reader.add_argument("engine", choices=READERS)
    reader.add_argument("file", type=Path)
    reader.add_argument("answer", type=Path)
    reader.set_defaults(command=read_command)
    show = commands.add_parser("versions", help="print the versions of engines of Python")
    show.add_argument("engines", nargs="+", choices=READERS)
    show.set_defaults(command=versions_command)
    options = parser.parse_args()
    for given, known in ((vars(options).get("engines"), NAMES), (vars(options).get("kinds"), [k.name for k in KINDS])):
        unknown = [name for name in given or [] if name not in known]
        if unknown:
            parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(known)}")
    return options


def split_names(text):
    """Splits a list with commas."""
    return [name.strip() for name in text.split(",") if name.strip()]


def engine_versions(options):
    """Returns the version of each engine."""
    found = {}
    for engine in options.engines:
        if engine == "brimful":
            command = [str(options.brimful), "--version"]
        else:
            command = [python_of(engine, options), __file__, "versions", engine]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"{engine} does not run: {done.stderr.strip()}")
        found[engine] = done.stdout.split()[-1] if engine == "brimful" else json.loads(done.stdout)[engine]
    return found


def run_command(options):
    """Makes the files, reads them and writes the table."""
    if "brimful" in options.engines and not options.brimful.is_file():
        sys.exit(f"{options.brimful} does not exist: build it with cargo build --release, or name it with --brimful")
    options.brimful = options.brimful.resolve()
    versions = engine_versions(options)
    kinds = [kind for kind in KINDS if not options.kinds or kind.name in options.kinds]
    findings = []
    with tempfile.TemporaryDirectory(prefix="dirt-") as temporary:
        for kind in kinds:
            file = kind.make()
            path = Path(temporary) / f"{kind.name}.csv"
            path.write_bytes(file.data)
            if options.files:
                options.files.mkdir(parents=True, exist_ok=True)
                (options.files / path.name).write_bytes(file.data)
            for engine in options.engines:
                answer = read(engine, path, options)
                verdict, detail = judge(file, answer)
                error = answer.get("error")
                if error:
                    # DataFusion leaves out the first slash of a path.
                    error = error.replace(f"{temporary}{os.sep}", "").replace(f"{temporary[1:]}{os.sep}", "")
                findings.append(Finding(kind.name, engine, verdict, detail, error))
                first = (error or "").split("\n")[0][:160]
                print(f"{kind.name:28} {engine:10} {verdict:6} {detail}  {first}", file=sys.stderr, flush=True)
            path.unlink()
    table = markdown(kinds, findings, options.engines)
    print(table, end="")
    if options.markdown:
        options.markdown.write_text(table)
    if options.json:
        document = {
            "date": date.today().isoformat(),
            "python": platform.python_version(),
            "versions": versions,
            "findings": [described(finding) for finding in findings],
        }
        options.json.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")


def described(finding):
    """Returns a finding as it is written as JSON: the message's first line, and the beginning of
    all of it."""
    error = (finding.error or "").strip()
    return asdict(finding) | {"error": error.split("\n")[0] or None, "message": error[:1000] or None}


def markdown(kinds, findings, taking_part):
    """Writes the table."""
    cells = {(finding.kind, finding.engine): describe(finding) for finding in findings}
    rows = [["Dirt, and what is right", *(NAMES[engine] for engine in taking_part)]]
    rows.append(["---"] * len(rows[0]))
    for kind in kinds:
        rows.append([f"{kind.about}. *Right: {kind.right}.*", *(cells[kind.name, engine] for engine in taking_part)])
    summary = ["**Right / error / wrong, of all**"]
    for engine in taking_part:
        verdicts = [finding.verdict for finding in findings if finding.engine == engine]
        summary.append(" / ".join(str(verdicts.count(verdict)) for verdict in ("right", "error", "wrong")))
    rows.append(summary)
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |\n" for row in rows)


def describe(finding):
    """Writes what an engine made of a file as a cell of the table."""
    if finding.verdict == "wrong":
        return f"**WRONG, silently:** {finding.detail}"
    return f"{finding.verdict}, {finding.detail}" if finding.detail else finding.verdict


def main():
    """Reads the arguments and does what they ask."""
    options = arguments()
    options.command(options)


if __name__ == "__main__":
    main()
