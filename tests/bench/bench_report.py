#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""bench_report.py GENERATE CONNHIST CONNHISTD [SOCKETS]: questions to a record of a million sockets, whole
processes, beside `sqlite3 FILE 'select 1'`: CPU time and time that goes by, alternated, medians."""
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 9
SKIPPED = 77
DAY = 86400


def run(*argv):
    """(CPU ms, ms that went by) of a program whose output is thrown away."""
    begin = time.monotonic()
    pid = os.posix_spawnp(argv[0], list(map(str, argv)), os.environ,
                          file_actions=[(os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0)])
    _, status, usage = os.wait4(pid, 0)
    wall = (time.monotonic() - begin) * 1000
    if status:
        sys.exit(f"{' '.join(map(str, argv))} failed")
    return (usage.ru_utime + usage.ru_stime) * 1000, wall


def tell(name, value, unit, budget=None):
    print(f"{name}: {value:.{3 if value < 10 else 1}f} {unit}" + (f" (budget: {budget})" if budget else ""), flush=True)


class Bench:
    """The questions to one file."""

    def __init__(self, connhist, db):
        self.connhist, self.db = connhist, db

    def ask(self, name, *args, budget=None):
        ask, baseline = [], []
        for _ in range(ROUNDS):
            baseline.append(run("sqlite3", self.db, "select 1"))
            ask.append(run(self.connhist, "--db", self.db, *args))
        cpu = statistics.median(cpu for cpu, _ in ask)
        tell(f"{name}, CPU", cpu, "ms")
        tell(f"{name}, going by", statistics.median(wall for _, wall in ask), "ms", budget)
        tell(f"{name} / sqlite3 'select 1', going by",
             statistics.median(a[1] / b[1] for a, b in zip(ask, baseline)), "x")

    def netstat(self, at, form="table"):
        sql = f"SELECT count(*) FROM lives WHERE since_ms <= {at}000 AND coalesce(ended_ms, {at}001) > {at}000"
        rows = int(subprocess.run(["sqlite3", self.db, sql], text=True, capture_output=True, check=True).stdout)
        self.ask(f"netstat -an --at, {form} of {rows} sockets", "netstat", "-an", "--at", f"@{at}", "--format", form,
                 budget=f"{50 + 2 * rows / 1000:.1f} ms")


def bench_start(connhistd, db, folder):
    """A recorder's start on a large file beside one on a new file; it changes the file, so it comes last."""
    full, new = [], []
    for i in range(ROUNDS):
        new.append(run(connhistd, "--db", folder / f"new-{i}.db", "--once", "--log-level", "error")[1])
        full.append(run(connhistd, "--db", db, "--once", "--log-level", "error")[1])
    tell("recorder's start, one snapshot and end on this file", statistics.median(full), "ms", "200 ms for the start")
    tell("the same on a new file", statistics.median(new), "ms")


def make(generate, db, *args):
    """A file, and the first and last second in it."""
    done = subprocess.run([generate, db, *args], text=True, stdout=subprocess.PIPE, check=True)
    tell(f"the file of {' '.join(args)}", db.stat().st_size / 1e6, "MB")
    return map(int, done.stdout.split())


def bench_month(bench, since, until):
    for days in (1, 7, 30):
        bench.ask(f"report --port 443 over {days} days", "report", "--port", "443", "--since",
                  f"@{until - days * DAY}", "--until", f"@{until}")
    day = "--since", f"@{until - DAY}", "--until", f"@{until}"
    bench.ask("report --port 443 --by peer over a day", "report", "--port", "443", "--by", "peer", "--step", "24h", *day)
    bench.ask("list --port 22 over a day", "list", "--port", "22", *day)
    bench.ask("status", "status")
    bench.netstat((since + until) // 2 + DAY // 2)


def main(generate, connhist, connhistd, sockets="1000000"):
    if not shutil.which("sqlite3"):
        print("no sqlite3: apt-get install sqlite3")
        return SKIPPED
    with tempfile.TemporaryDirectory(prefix="connhist-bench-") as name:
        folder = Path(name)
        month, day, year = (folder / f"{span}.db" for span in ("month", "day", "year"))
        since, until = make(generate, month, sockets)  # over 30 days
        bench_month(Bench(connhist, month), since, until)
        since, until = make(generate, day, sockets, "1")  # many at a time
        for form in ("table", "csv", "json"):
            Bench(connhist, day).netstat(since + DAY * 3 // 4, form)
        since, until = make(generate, year, sockets, "365", "60")  # a snapshot a minute
        Bench(connhist, year).ask("report --port 443 over a year", "report", "--port", "443", "--since", f"@{since}",
                                  "--until", f"@{until}", budget="30 ms")
        bench_start(connhistd, month, folder)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
