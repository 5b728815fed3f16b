"""Compares Brimful with DuckDB, Polars, DataFusion and Dask on the same queries and files.

    python benches/compare/compare.py csv --threads 2 --memory-limit 1GB --markdown csv.md

Every run is a fresh process, the engines take turns, and the tables show the median of the runs.
The time of Brimful is that of its whole process from spawn to exit. The time of a Python engine
starts after its imports, so that it does not pay for Python. The peak is the resident memory of
the process, also for Polars and Dask, which have no memory limit to set.
"""

import argparse
import json
import os
import platform
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict
from datetime import date
from pathlib import Path

import answers
import engines
import suites

REPOSITORY = Path(__file__).resolve().parents[2]
PEERS_PYTHON = Path("/opt/peers/bin/python")


def arguments():
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suite", choices=suites.SUITES)
    parser.add_argument("--brimful", type=Path, default=REPOSITORY / "target/release/brimful", help="the binary")
    parser.add_argument(
        "--peers-python",
        default=str(PEERS_PYTHON) if PEERS_PYTHON.exists() else sys.executable,
        help="the Python that has the packages of requirements.txt",
    )
    parser.add_argument("--data", type=Path, default=REPOSITORY / "data/compare", help="where the files are or go")
    parser.add_argument("--memory-limit", default="1GB")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--engines", type=names, default=list(engines.ENGINES), help="a list with commas")
    parser.add_argument("--queries", type=names, help="a list with commas; all of the suite if not given")
    parser.add_argument("--runs", type=int, default=3)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--scale", default="1", help="the TPC-H scale factor")
    size.add_argument("--rows", type=int, help="rows of a file of csv (if not given about 2 GB) or groupby (10 million) that has to be made")
    parser.add_argument("--json", type=Path, help="where to write all runs")
    parser.add_argument("--markdown", type=Path, help="where to write the table")
    parser.add_argument("--timeout", type=float, default=600, help="seconds after which a run is ended")
    options = parser.parse_args()
    unknown = [engine for engine in options.engines if engine not in engines.ENGINES]
    if unknown:
        parser.error(f"unknown engine {', '.join(unknown)}: the engines are {', '.join(engines.ENGINES)}")
    if options.runs < 1:
        parser.error("--runs has to be at least 1")
    return options


def names(text):
    """Splits a list with commas."""
    return [name.strip() for name in text.split(",") if name.strip()]


def require_brimful(brimful):
    """Ends the program when the binary is not there."""
    if not brimful.is_file():
        sys.exit(f"{brimful} does not exist: build it with cargo build --release, or name it with --brimful")


def prepare_data(options, paths):
    """Makes the files of the suite that are missing."""
    missing = [table for table, path in paths.items() if not path.exists()]
    if not missing:
        return
    require_brimful(options.brimful)
    options.data.mkdir(parents=True, exist_ok=True)
    commands = suites.generate_commands(
        str(options.brimful), options.suite, options.data, options.scale, options.rows, missing
    )
    for command in commands:
        print(shlex.join(command), flush=True)
        if subprocess.run(command).returncode != 0:
            sys.exit("the data could not be made")


def read_into_cache(paths):
    """Reads files once, so that all engines find them in the page cache."""
    for path in paths:
        with open(path, "rb", buffering=0) as file:
            while file.read(1 << 20):
                pass


def run_query(query, taking_part, paths, options, settings, work):
    """Runs a query on all engines in turn and compares their answers; an engine that does not
    finish is not asked again."""
    read_into_cache(query.tables(paths).values())
    runs, given_up = [], set()
    for number in range(1, options.runs + 1):
        for engine in taking_part:
            if engine in given_up or not engines.supports(engine, options.suite):
                continue
            with tempfile.TemporaryDirectory(dir=work) as place:
                run = engines.run_query(engine, query, number, paths, settings, Path(place))
                if run.status == "ok":
                    shutil.move(Path(place) / "answer.csv", answer_path(work, run))
                else:
                    given_up.add(engine)
            print(progress(run), flush=True)
            runs.append(run)
    compare_answers(runs, work)
    return runs


def answer_path(work, run):
    """Returns where the rows of a run are kept until they have been compared."""
    return work / f"{run.engine}-{run.run}.csv"


def compare_answers(runs, work):
    """Compares every answer with DuckDB's, or that of the first engine when there is none, and
    removes them."""
    finished = [run for run in runs if run.status == "ok"]
    reference = next((run for run in finished if run.engine == "duckdb"), finished[0] if finished else None)
    for run in finished:
        run.same_answer = answers.same_rows(answer_path(work, reference), answer_path(work, run))
    for run in finished:
        answer_path(work, run).unlink()


def progress(run):
    """Describes a run in a line."""
    start = f"{run.query:14} {run.engine:10} run {run.run}"
    if run.status != "ok":
        return f"{start}  {run.status}: {(run.error.splitlines() or [''])[-1][:160]}"
    return f"{start}  {run.seconds:8.3f} s  {run.peak_bytes / 1e6:7.0f} MB"


def summary(runs):
    """Returns the medians of each engine for each query, or the status of one that failed."""
    cells = {}
    for query, engine in dict.fromkeys((run.query, run.engine) for run in runs):
        mine = [run for run in runs if (run.query, run.engine) == (query, engine)]
        failed = next((run for run in mine if run.status != "ok"), None)
        cells[query, engine] = {
            "status": failed.status if failed else "ok",
            "seconds": None if failed else statistics.median(run.seconds for run in mine),
            "peak_bytes": None if failed else statistics.median(run.peak_bytes for run in mine),
            "same_answer": all(run.same_answer for run in mine if run.status == "ok"),
        }
    return cells


def table(queries, taking_part, cells):
    """Returns the lines of the table as lists of cells: a heading, the queries and the means of
    the ratios."""
    peers = [engine for engine in taking_part if engine != "brimful"]
    ratios = {"Brimful / best peer": peers, "Brimful / DuckDB": ["duckdb"]} if "brimful" in taking_part else {}
    lines = [["query", *taking_part, *ratios]]
    collected = {name: [] for name in ratios}
    for query in queries:
        line = [query.name, *(describe(cells.get((query.name, engine))) for engine in taking_part)]
        for name, against in ratios.items():
            found = ratio(cells, query.name, against)
            if found is not None:
                collected[name].append(found)
            line.append("-" if found is None else f"{found:.2f}")
        lines.append(line)
    if ratios:
        means = [f"{statistics.geometric_mean(found):.2f}" if found else "-" for found in collected.values()]
        lines.append(["geometric mean", *("" for _ in taking_part), *means])
    return lines


def describe(found):
    """Writes the time and the peak of an engine, with a mark when its answer is another one."""
    if found is None:
        return "-"
    mark = "" if found["same_answer"] else " ≠"
    if found["status"] != "ok":
        return found["status"]
    return f"{found['seconds']:.2f} s, {found['peak_bytes'] / 1e6:.0f} MB{mark}"


def ratio(cells, query, against):
    """Returns Brimful's time divided by the best of other engines, counting right answers only."""
    times = {
        engine: cells[query, engine]["seconds"]
        for engine in ["brimful", *against]
        if (query, engine) in cells and cells[query, engine]["status"] == "ok" and cells[query, engine]["same_answer"]
    }
    ours = times.pop("brimful", None)
    return ours / min(times.values()) if ours is not None and times else None


def aligned(lines):
    """Lays the table out for a terminal."""
    widths = [max(len(line[index]) for line in lines) for index in range(len(lines[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines)


def markdown(lines, queries, machine, cells):
    """Lays the table out in Markdown, with what is needed to judge and repeat it."""
    heading, *rest = lines
    rows = [heading, ["---"] + ["---:"] * (len(heading) - 1), *rest]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    notes = [
        f"{machine['cpu']}, {machine['cores']} cores, {machine['ram_gb']} GB of memory, {machine['date']}; "
        f"{versions}; Python {machine['python']}.",
        "",
        f"`{machine['command']}`",
        "",
        f"Files: {machine['files']}. Each cell is the median of {machine['runs']} runs in fresh processes: seconds, "
        "and peak resident memory, which for the others includes Python and its packages. Brimful's time is its "
        "whole process, the time of the others starts after Python's imports. The memory limit applies to Brimful, "
        "DuckDB and DataFusion: Polars and Dask have none.",
    ]
    if any(not found["same_answer"] for found in cells.values()):
        notes += ["", "≠ marks an answer that differs from DuckDB's; it does not count in the ratios."]
    explained = [f"- `{query.name}`: {query.about}" for query in queries]
    return "\n".join([*(f"| {' | '.join(row)} |" for row in rows), "", *notes, "", *explained]) + "\n"


def describe_machine(options, settings, used):
    """Returns the machine, the versions, the files and the command of a comparison."""
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    cpu = models[0].split(":", 1)[1].strip() if models else platform.machine()
    memory = int(Path("/proc/meminfo").read_text().split()[1]) * 1024
    return {
        "cpu": cpu,
        "cores": len(os.sched_getaffinity(0)),
        "ram_gb": round(memory / 1e9),
        "date": date.today().isoformat(),
        "python": subprocess.run(
            [settings.peers_python, "-c", "import platform; print(platform.python_version())"],
            capture_output=True, text=True,
        ).stdout.strip(),
        "versions": engines.versions(options.engines, settings),
        "command": shlex.join(["python", "benches/compare/compare.py", *sys.argv[1:]]),
        "files": ", ".join(f"{path.name} {path.stat().st_size / 1e6:,.0f} MB" for path in used),
        "runs": options.runs,
    }


def main():
    """Runs the comparison and writes its results."""
    options = arguments()
    try:
        queries = suites.load_queries(options.suite, options.queries)
    except ValueError as error:
        sys.exit(str(error))
    if "brimful" in options.engines:
        require_brimful(options.brimful)
    options.brimful, options.data = options.brimful.resolve(), options.data.resolve()
    settings = engines.Settings(
        str(options.brimful), options.peers_python, options.memory_limit, options.threads, options.timeout
    )
    paths = suites.table_paths(options.suite, options.data, options.scale)
    paths = {table: path for table, path in paths.items() if any(table in query.tables(paths) for query in queries)}
    prepare_data(options, paths)
    machine = describe_machine(options, settings, paths.values())

    runs = []
    with tempfile.TemporaryDirectory(prefix="compare-", dir=options.data) as work:
        for query in queries:
            runs += run_query(query, options.engines, paths, options, settings, Path(work))

    cells = summary(runs)
    lines = table(queries, options.engines, cells)
    print(f"\n{aligned(lines)}")
    if options.markdown:
        options.markdown.write_text(markdown(lines, queries, machine, cells))
    if options.json:
        document = {"machine": machine, "options": vars(options), "runs": [asdict(run) for run in runs]}
        options.json.write_text(json.dumps(document, indent=1, default=str) + "\n")


if __name__ == "__main__":
    main()
