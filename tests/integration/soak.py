# SPDX-License-Identifier: MIT
"""A long time in little: days and weeks of snapshots through the real recorder, whose kernel and clock are made up, into a
file that is too small for them. What was counted, and which sockets there were, is known from the making."""
import math
import os
import random
import sqlite3
import subprocess
from collections import defaultdict

from conftest import BUILD

REPLAY = BUILD / "tests" / "replay" / "replay"
MIB = 1 << 20
HOUR, DAY = 3600_000, 24 * 3600_000
LENGTH = {1: 60_000, 2: HOUR, 3: DAY}
BOOT_MS, WALL_MS = 5_000_000, 1_700_000_000_000
STATE = {1: "ESTABLISHED", 8: "CLOSE_WAIT"}


class Soak:
    """The recorder step by step, with all that it was shown."""

    def __init__(self, path, interval_ms, max_bytes, wal_bytes, ages=(0, 0, 0, 0, 0), before=(), seed=1):
        self.path, self.interval_ms = path, interval_ms
        self.retention = (max_bytes, wal_bytes, *ages)
        self.boot_ms, self.cookie, self.random = BOOT_MS, 1000, random.Random(seed)
        self.alive = []   # (cookie, state, last tick)
        self.truth = []   # (record ms, ESTABLISHED, CLOSE_WAIT)
        self.sizes, self.rss = [], []
        self.process = subprocess.Popen([REPLAY, path, "on", "4096"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        self.out = []
        self.tell(f"interval {interval_ms}", *before)
        self.clock()
        self.sync()
        self.tell("start boot-1")

    def tell(self, *lines):
        self.out += lines

    def clock(self):
        self.tell(f"clock {self.boot_ms * 1_000_000} {(self.boot_ms + WALL_MS) * 1_000_000}")

    def sync(self):
        self.tell("retain " + " ".join(map(str, self.retention)))
        self.process.stdin.write("\n".join(self.out) + "\n")
        self.process.stdin.flush()
        self.out = []
        assert self.process.stdout.readline() == "retained\n", self.process.stderr.read()

    def restart(self):
        """The recorder is ended and started between two snapshots, as by a reload."""
        self.tell("stop", "start boot-1")

    def tick(self, new):
        """One interval later: `new` connections came, those whose time is over went."""
        self.boot_ms += self.interval_ms
        self.clock()
        n = len(self.truth)
        self.alive = [each for each in self.alive if each[2] > n]
        for _ in range(new):
            self.cookie += 1
            lasts = self.random.choice((1, 1, 2, 3, 20)) if self.random.random() < 0.998 else 2000
            self.alive.append((self.cookie, 8 if self.cookie % 7 == 0 else 1, n + lasts))
        for cookie, state, _ in self.alive:
            self.tell(f"sample tcp 4 192.0.2.1 443 198.{cookie >> 16 & 255}.{cookie >> 8 & 255}.{cookie & 255} "
                      f"{10000 + cookie % 50000} {STATE[state]} {cookie} {cookie} 1000 0 0 0 0 0 2")
        self.tell("tick")
        waits = sum(1 for each in self.alive if each[1] == 8)
        self.truth.append((WALL_MS + self.boot_ms, len(self.alive) - waits, waits))
        self.sync()
        self.sizes.append(sum(os.stat(f"{self.path}{suffix}").st_size for suffix in ("", "-wal", "-shm")))
        if n % 50 == 0:
            self.rss.append(self.resident())

    def rhythm(self, peak):
        """How many come now: few at night, now and then many."""
        hour = self.boot_ms / HOUR % 24
        usual = peak * (0.15 + 0.85 * (1 - math.cos(hour * math.pi / 12)) / 2)
        return int(usual * (4 if self.random.random() < 0.01 else 1) * self.random.uniform(0.7, 1.3))

    def table(self):
        """The sockets of the snapshot that was taken last, as view `lives` has them."""
        return sorted((f"198.{c >> 16 & 255}.{c >> 8 & 255}.{c & 255}", 10000 + c % 50000, STATE[s]) for c, s, _ in self.alive)

    def resident(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS"))

    def end(self):
        self.tell("stop")
        self.sync()
        self.process.stdin.close()
        assert self.process.wait(60) == 0, self.process.stderr.read()
        self.process.stdout.close()
        self.process.stderr.close()

    def kill(self):
        self.process.kill()
        self.process.wait()


def periods_truth(truth, length):
    """{(state, at_ms): (min, max, last, sum)} of all snapshots."""
    periods = defaultdict(list)
    for at_ms, *counts in truth:
        periods[at_ms // length * length].append(counts)
    return {(state, at): (min(series), max(series), series[-1], sum(series))
            for at, rows in periods.items() for i, state in enumerate(STATE)
            for series in [[row[i] for row in rows]] if any(series)}


def hold_counts(soak):
    """All rows of all tiers are what was counted, since that tier is whole; returns how many rows each has."""
    database = sqlite3.connect(soak.path)
    assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    tiers = {tier: (since, until) for tier, since, until in database.execute("SELECT tier, from_ms, until_ms FROM tiers")}
    rows = {}
    for tier, length in LENGTH.items():
        since, until = tiers[tier]
        told = {row[:2]: row[2:] for row in database.execute(
            "SELECT state, at_ms, min, max, last, sum FROM tally_rollups WHERE tier = ? AND at_ms < ?", (tier, until))}
        wanted = {key: row for key, row in periods_truth(soak.truth, length).items() if since <= key[1] < until}
        assert {key: row for key, row in told.items() if key[1] >= since} == wanted, f"tier {tier}"
        rows[tier] = len(told)
    # ticks: the count of each snapshot, of its own row or that of the last one before
    last, series = {}, {}
    for at_ms, state, number in database.execute("SELECT at_ms, state, count FROM tallies ORDER BY at_ms"):
        series.setdefault(at_ms, {})[state] = number
    anchors = dict(database.execute("SELECT start_ms, anchor FROM snapshots"))
    known = False
    for at_ms, *counts in soak.truth:
        if at_ms < tiers[0][0]:
            continue
        if anchors[at_ms]:
            last, known = {}, True
        last.update(series.get(at_ms, {}))
        if known:
            assert [last.get(state, 0) for state in STATE] == counts, at_ms
    rows[0] = len(series)
    database.close()
    return rows
