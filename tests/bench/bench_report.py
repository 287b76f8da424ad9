#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""bench_report.py GENERATE CONNHIST CONNHISTD [FOLDER [CONNECTIONS ...]]: a year of a server with a million connections and
with ten million, each figure beside its budget and how it grows. Questions are whole processes, alternated between the
files and `sqlite3 FILE 'select 1'`, medians. The files stay in FOLDER and are used again; without it they are removed."""
import os
import random
import shutil
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 9
SKIPPED = 77
DAY, HOUR = 86400, 3600
ROW_US, AS_OF_MS = 2, 50
KEEP_ALL = """\
namespaces: {include: []}
retention: {max_size: 1TiB, detail: forever, ticks: forever, minutes: forever, hours: forever, days: forever}
"""
# what a connection takes beside its row
DETAIL = "closed", "open", "late", "open_facts", "addresses", "owners", "processes", "programs", "cgroups", "holders", \
    "queues", "owner_changes"


def run(*argv):
    """(CPU ms, ms that went by) of a program whose output is thrown away, with its remarks."""
    begin = time.monotonic()
    pid = os.posix_spawnp(argv[0], list(map(str, argv)), os.environ,
                          file_actions=[(os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_WRONLY, 0) for fd in (1, 2)])
    _, status, usage = os.wait4(pid, 0)
    wall = (time.monotonic() - begin) * 1000
    if status:
        sys.exit(f"{' '.join(map(str, argv))} failed")
    return (usage.ru_utime + usage.ru_stime) * 1000, wall


def write(value):
    return f"{value:.{2 if value < 10 else 1 if value < 1000 else 0}f}"


def tell(name, values, unit, budget=""):
    """One figure of each file, how it grows from the first to the last, and its budget."""
    growth = f", x {write(values[-1] / values[0])}" if len(values) > 1 and values[0] else ""
    print(f"{name}: {' -> '.join(map(write, values))} {unit}{growth}" + (f" (budget: {budget})" if budget else ""), flush=True)


class Year:
    """A file and its first and last second."""

    def __init__(self, generate, path, *args):
        self.path, about = path, path.with_suffix(".span")
        if not about.exists():
            print(f"generate {' '.join(map(str, args))} ...", flush=True)
            done = subprocess.run([generate, path, *map(str, args)], text=True, stdout=subprocess.PIPE, check=True)
            about.write_text(done.stdout)
        self.since, self.until = map(int, about.read_text().split())

    def query(self, sql):
        database = sqlite3.connect(f"file:{self.path}?mode=ro", uri=True)
        try:
            return database.execute(sql).fetchall()
        finally:
            database.close()


class Bench:
    """The same questions to each of the files."""

    def __init__(self, connhist, years):
        self.connhist, self.years = connhist, years

    def ask(self, name, questions, budget=""):
        """questions: for each file a list of argument lists; a round asks one of them."""
        cpu, wall, bare = ([[] for _ in self.years] for _ in range(3))
        for n in range(ROUNDS):
            for i, (year, several) in enumerate(zip(self.years, questions)):
                bare[i].append(run("sqlite3", year.path, "select 1")[1])
                figures = run(self.connhist, "--db", year.path, *several[n % len(several)])
                cpu[i].append(figures[0])
                wall[i].append(figures[1])
        tell(f"{name}, CPU", list(map(statistics.median, cpu)), "ms")
        tell(f"{name}, going by", list(map(statistics.median, wall)), "ms", budget)
        tell(f"{name} / sqlite3 'select 1', going by",
             [statistics.median(a / b for a, b in zip(*both)) for both in zip(wall, bare)], "x")

    def span(self, name, length, *args, budget=""):
        """Over the last `length` seconds but a week."""
        self.ask(name, [[[*args, "--since", f"@{max(year.since, year.until - 7 * DAY - length)}", "--until",
                          f"@{year.until - 7 * DAY if length < 300 * DAY else year.until}"]] for year in self.years], budget)

    def as_of(self, form="table"):
        """At random instants at which it was recorded."""
        dice, questions, rows = random.Random(1), [], []
        shares = [dice.random() for _ in range(ROUNDS)]
        for year in self.years:
            several = [["netstat", "-an", "--at", f"@{int(year.since + HOUR + share * (year.until - year.since - HOUR))}"] for share in shares]
            done = [subprocess.run([self.connhist, "--db", year.path, *args, "--format", "csv"], text=True, check=True,
                                   capture_output=True).stdout for args in several]
            rows.append(statistics.median(text.count("\n") - 1 for text in done))
            questions.append([[*args, "--format", form] for args in several])
        budget = " -> ".join(f"{AS_OF_MS + ROW_US * n / 1000:.1f}" for n in rows)
        self.ask(f"netstat -an --at, {form} of {' -> '.join(f'{n:.0f}' for n in rows)} sockets", questions, f"{budget} ms")


def tell_sizes(years):
    tell("sockets recorded", [year.query("SELECT count(*) FROM closed")[0][0] / 1e6 for year in years], "million")
    tell("file", [year.path.stat().st_size / 1e6 for year in years], "MB")
    parts = []
    for year in years:
        parts.append({})
        # an index belongs to its table
        for name, size in year.query("SELECT coalesce(s.tbl_name, d.name), sum(d.bytes) FROM (SELECT name, sum(pgsize) AS bytes"
                                     " FROM dbstat GROUP BY name) AS d LEFT JOIN sqlite_schema AS s ON s.name = d.name GROUP BY 1"):
            parts[-1][name] = size
    names = sorted(parts[-1], key=parts[-1].get, reverse=True)
    for name in names[:9]:
        tell(f"of that {name}", [part.get(name, 0) / 1e6 for part in parts], "MB")
    rows = [year.query("SELECT count(*) FROM closed")[0][0] for year in years]
    tell("a socket, its row", [part["closed"] / n for part, n in zip(parts, rows)], "bytes")
    tell("a socket, all in", [sum(part.get(name, 0) for name in DETAIL) / n for part, n in zip(parts, rows)], "bytes",
         "60 bytes with repeated peers, 90 with all-new IPv6 ones; here a quarter of those of 443 is new, a sixth IPv6")


def resident(pid):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0


def bench_memory(connhistd, year, config):
    """Most memory of a recorder on this file, MiB, until it has taken some snapshots."""
    before = year.query("SELECT max(id) FROM recordings")[0][0]
    recorder = subprocess.Popen([connhistd, "--config", config, "--db", year.path, "--interval", "500ms", "--log-level", "error"])
    deadline = time.monotonic() + 60
    while year.query(f"SELECT coalesce(max(done), 0) FROM recordings WHERE id > {before}")[0][0] < 10:
        if time.monotonic() > deadline or recorder.poll() is not None:
            sys.exit("the recorder takes no snapshots")
        time.sleep(0.1)
    found = resident(recorder.pid)
    recorder.send_signal(signal.SIGTERM)
    recorder.wait()
    return found


def bench_start(connhistd, years, folder):
    """A recorder's start on each file and on a new one; it changes the files, so it comes last."""
    config = folder / "keep-all.yaml"
    config.write_text(KEEP_ALL)
    cpu, wall, new = [[] for _ in years], [[] for _ in years], []
    for i in range(ROUNDS):
        fresh = folder / f"new-{i}.db"
        new.append(run(connhistd, "--config", config, "--db", fresh, "--once", "--log-level", "error")[1])
        for n, year in enumerate(years):
            figures = run(connhistd, "--config", config, "--db", year.path, "--once", "--log-level", "error")
            cpu[n].append(figures[0])
            wall[n].append(figures[1])
        for path in folder.glob(f"new-{i}.*"):
            path.unlink()
    tell("recorder's start, a snapshot and end, CPU", list(map(statistics.median, cpu)), "ms")
    tell("recorder's start, a snapshot and end, going by", list(map(statistics.median, wall)), "ms", "200 ms for the start")
    tell("the same on a new file, going by", [statistics.median(new)], "ms")
    tell("recorder's memory at its highest", [bench_memory(connhistd, year, config) for year in years], "MiB", "8 MiB")


def bench_year(connhist, years):
    bench = Bench(connhist, years)
    tell_sizes(years)
    bench.span("report --port 443 over the year", 366 * DAY, "report", "--port", "443", budget="30 ms")
    for days in (30, 7, 1):
        bench.span(f"report --port 443 over {days} days", days * DAY, "report", "--port", "443")
    bench.span("report over a day", DAY, "report")
    bench.span("report --port 443 --by peer over a day", DAY, "report", "--port", "443", "--by", "peer", "--step", "24h")
    bench.span("list --port 22 over a day", DAY, "list", "--port", "22")
    bench.span("who --port 22 over a day", DAY, "who", "--port", "22")
    bench.ask("status", [[["status"]] for _ in years])
    bench.as_of()


def main(generate, connhist, connhistd, where=None, *connections):
    if not shutil.which("sqlite3"):
        print("no sqlite3: apt-get install sqlite3")
        return SKIPPED
    with tempfile.TemporaryDirectory(prefix="connhist-bench-") as name:
        folder = Path(where or name)
        years = [Year(generate, folder / f"year-{n}.db", "--days", 365, "--interval", 60, "--connections", n)
                 for n in connections or (1_000_000, 10_000_000)]
        bench_year(connhist, years)
        day = Year(generate, folder / "day.db", "--days", 1, "--connections", 1_000_000)  # many at a time
        for form in ("table", "csv", "json"):
            Bench(connhist, [day]).as_of(form)
        bench_start(connhistd, years, Path(name))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
