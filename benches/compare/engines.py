"""How each engine is started: its command, its environment, and what the process used."""

import json
import os
import re
import resource
import select
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent

ENGINES = ("brimful", "duckdb", "polars", "datafusion", "dask")

POLL_SECONDS = 0.02


@dataclass(frozen=True)
class Settings:
    """What every run of a comparison shares."""

    brimful: str
    peers_python: str
    memory_limit: str
    threads: int
    timeout: float


@dataclass
class Run:
    """One process: how it ended, how long it took and what it held.

    `seconds` is the time that the tables show: the whole process for Brimful, the time after
    the imports for the Python engines.
    """

    engine: str
    query: str
    run: int
    status: str = "ok"
    seconds: float | None = None
    wall_seconds: float | None = None
    cpu_seconds: float | None = None
    peak_bytes: int | None = None
    same_answer: bool | None = None
    error: str | None = None
    stats: dict = field(default_factory=dict)


def supports(engine, suite):
    """Says whether an engine takes part in a suite: Dask has no SQL and does the CSV suite only."""
    return engine != "dask" or suite == "csv"


def run_query(engine, query, number, paths, settings, work):
    """Runs one query in a fresh process, with its files in `work`, and leaves its rows in
    `work/answer.csv`."""
    sql_file, answer, stats = work / "query.sql", work / "answer.csv", work / "stats.json"
    written = work / "written.parquet"
    tables = query.tables(paths)
    sql_file.write_text(statement(engine, query, tables, written))
    if engine == "brimful":
        command = brimful_command(settings, query, sql_file, answer, stats)
    else:
        command = peer_command(engine, query, tables, settings, sql_file, answer, stats, written)
    run = Run(engine, query.name, number)
    measure(run, command, environment(settings, work), work, settings.timeout)
    if run.status == "ok" and query.check:
        check_written(run, query, settings, written, answer, work)
    if run.status == "ok":
        read_results(run, answer, stats)
    return run


def read_results(run, answer, stats):
    """Takes the statistics that a run left, which fails when it left none or no rows."""
    try:
        run.stats = json.loads(stats.read_text())
        run.seconds = run.wall_seconds if run.engine == "brimful" else run.stats["elapsed_seconds"]
        answer.stat()
    except (OSError, ValueError, KeyError) as error:
        run.status, run.error = "fails", f"the run left no usable results: {error}"


def statement(engine, query, tables, written):
    """Returns the SQL text for an engine: Brimful reads CSV paths and external tables of its own,
    the peers find the tables registered."""
    sql = query.spellings.get(engine, query.sql).replace("{output}", str(written))
    if engine != "brimful":
        return sql
    if query.suite == "csv":
        for table, path in tables.items():
            sql = re.sub(rf"\bFROM {table}\b", lambda _, path=path: f"FROM '{path}'", sql)
        return f"{sql};\n"
    creates = [
        f"CREATE EXTERNAL TABLE {table} STORED AS PARQUET LOCATION '{path}';\n" for table, path in tables.items()
    ]
    return f"{''.join(creates)}{sql};\n"


def brimful_command(settings, query, sql_file, answer, stats):
    """Returns the command of Brimful; a statement that writes a file has no rows to output."""
    command = [
        settings.brimful, "query", str(sql_file),
        "--memory-limit", settings.memory_limit, "--threads", str(settings.threads), "--stats", str(stats),
    ]
    return command if query.check else [*command, "--format", "csv", "--output", str(answer)]


def peer_command(engine, query, tables, settings, sql_file, answer, stats, written):
    """Returns the command that runs `peers.py` for a Python engine."""
    command = [
        settings.peers_python, str(HERE / "peers.py"), "run", engine, str(sql_file),
        "--suite", query.suite, "--name", query.name,
        "--memory-limit", settings.memory_limit, "--threads", str(settings.threads),
        "--answer", str(answer), "--stats", str(stats), "--written", str(written),
    ]
    for table, path in tables.items():
        command += ["--table", f"{table}={path}"]
    return command


def environment(settings, work):
    """Returns the environment of a run: its temporary files go to `work`, and the thread pools
    that are only set by a variable have the number of threads asked for."""
    threads = str(settings.threads)
    return os.environ | {
        "TMPDIR": str(work),
        "POLARS_TEMP_DIR": str(work),
        "POLARS_MAX_THREADS": threads,
        "TOKIO_WORKER_THREADS": threads,
        "OMP_NUM_THREADS": threads,
    }


def measure(run, command, env, work, timeout):
    """Starts a command, waits for its end or the timeout, and fills in what the run cost."""
    log = work / "log.txt"
    with open(log, "wb") as output:
        started = time.perf_counter()
        child = subprocess.Popen(
            command, cwd=work, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
        volunteer_for_oom_kill(child.pid)
        peak, timed_out = 0, True
        try:
            peak, timed_out = watch(child.pid, started + timeout)
        finally:
            if timed_out:
                os.killpg(child.pid, signal.SIGKILL)
        _, wait_status, usage = os.wait4(child.pid, 0)
        run.wall_seconds = time.perf_counter() - started
    child.returncode = os.waitstatus_to_exitcode(wait_status)
    run.cpu_seconds = usage.ru_utime + usage.ru_stime
    run.peak_bytes = max(peak, own_maximum(usage))
    if timed_out:
        run.status = "timeout"
    elif child.returncode == -signal.SIGKILL:
        run.status = "killed"
    elif child.returncode != 0:
        run.status = "fails"
    if run.status != "ok":
        said = log.read_text(errors="replace")[-2000:].strip()
        run.error = said or f"exit code {child.returncode} after {run.wall_seconds:.1f} s"


def volunteer_for_oom_kill(pid):
    """Makes a process the first choice of the kernel when the machine runs out of memory."""
    try:
        Path(f"/proc/{pid}/oom_score_adj").write_text("1000")
    except OSError:
        pass


def watch(pid, deadline):
    """Waits for a process to end and returns its highest resident size seen and whether it ran
    into the deadline."""
    peak = 0
    descriptor = os.pidfd_open(pid)
    try:
        poller = select.poll()
        poller.register(descriptor, select.POLLIN)
        while not poller.poll(POLL_SECONDS * 1000):
            peak = max(peak, high_water_mark(pid))
            if time.perf_counter() > deadline:
                return peak, True
        return peak, False
    finally:
        os.close(descriptor)


def high_water_mark(pid):
    """Returns VmHWM of a process in bytes, or 0 when it has just ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    match = re.search(r"^VmHWM:\s*(\d+) kB", status, re.MULTILINE)
    return int(match[1]) * 1024 if match else 0


def own_maximum(usage):
    """Returns the maximum resident size of an ended child in bytes, or 0 when it is not the
    child's own: a child starts with the maximum of this process, from before its exec."""
    inherited = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return usage.ru_maxrss * 1024 if usage.ru_maxrss > inherited else 0


def check_written(run, query, settings, written, answer, work):
    """Lets DuckDB summarise the file that a statement wrote; the summary is the answer."""
    sql_file = work / "check.sql"
    sql_file.write_text(query.check.replace("{output}", str(written)))
    command = [
        settings.peers_python, str(HERE / "peers.py"), "run", "duckdb", str(sql_file),
        "--suite", query.suite, "--name", "check", "--answer", str(answer),
    ]
    done = subprocess.run(command, cwd=work, capture_output=True, text=True)
    if done.returncode != 0:
        run.status, run.error = "fails", f"the written file cannot be checked: {done.stderr[-2000:].strip()}"


def versions(engines, settings):
    """Returns the version of each engine."""
    found = {}
    if "brimful" in engines:
        done = subprocess.run([settings.brimful, "--version"], capture_output=True, text=True)
        found["brimful"] = done.stdout.split()[-1] if done.returncode == 0 and done.stdout.split() else "unknown"
    peers = [engine for engine in engines if engine != "brimful"]
    if peers:
        command = [settings.peers_python, str(HERE / "peers.py"), "versions", *peers]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            sys.exit(f"{settings.peers_python} cannot tell the versions of its engines: {done.stderr.strip()}")
        found |= json.loads(done.stdout)
    return found
