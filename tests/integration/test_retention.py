# SPDX-License-Identifier: MIT
"""What is kept: within the largest size at each step, by its age, with readers in the way, over crashes; and counts are
those that were seen, whatever had to go."""
import os
import signal
import sqlite3
import subprocess

import pytest

from conftest import BUILD, HERE, OWN_ONLY, query, wait_until

REPLAY = BUILD / "tests" / "replay" / "replay"
MIB = 1 << 20
HOUR, DAY = 3600_000, 24 * 3600_000
TICK_MS = 10_000
BOOT_MS, WALL_MS = 5_000_000, 1_700_000_000_000
FOREVER = (0, 0, 0, 0, 0)
COUNTS = ("SELECT t.count FROM snapshots AS s LEFT JOIN tallies AS t ON t.at_ms = s.start_ms"
          " AND t.service = (SELECT id FROM services WHERE port = 443) AND t.state = 1 ORDER BY s.start_ms")


class Stage:
    """The recorder with a made-up kernel, step by step."""

    def __init__(self, path, max_bytes, wal_bytes, ages=FOREVER):
        self.path = path
        self.retention = (max_bytes, wal_bytes, *ages)
        self.boot_ms, self.cookie, self.ticks = BOOT_MS, 1000, 0
        self.truth = []  # connections at each snapshot
        self.process = subprocess.Popen([REPLAY, path, "on", "4096"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        self.clock()
        self.sync()
        self.tell("start boot-1")

    def tell(self, *lines):
        self.process.stdin.write("\n".join(lines) + "\n")

    def clock(self):
        self.tell(f"clock {self.boot_ms * 1_000_000} {(self.boot_ms + WALL_MS) * 1_000_000}")

    def sync(self):
        """Returns when all is done that was told."""
        self.tell(" ".join(map(str, ("retain", *self.retention))))
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "retained\n", self.process.stderr.read()

    def tick(self, n, pass_ms=TICK_MS):
        """A snapshot with n connections that were not there before, and none of those that were."""
        self.boot_ms += pass_ms
        self.clock()
        for _ in range(n):
            self.cookie += 1
            peer = f"198.{self.cookie >> 16 & 255}.{self.cookie >> 8 & 255}.{self.cookie & 255}"
            self.tell(f"sample tcp 4 192.0.2.1 {20000 + self.cookie % 20000} {peer} 443 ESTABLISHED {self.cookie} "
                      f"{self.cookie} 1000 0 0 0 0 0 1")
        self.tell("tick")
        self.truth.append(n)
        self.ticks += 1
        self.sync()

    def size(self):
        return sum(os.stat(f"{self.path}{suffix}").st_size for suffix in ("", "-wal", "-shm"))

    def end(self):
        self.tell("stop")
        self.process.stdin.close()
        assert self.process.wait(60) == 0, self.process.stderr.read()
        self.process.stdout.close()
        self.process.stderr.close()

    def kill(self):
        self.process.kill()
        self.process.wait()


@pytest.fixture
def stage(tmp_path):
    made = []

    def make(*args, **more):
        made.append(Stage(more.pop("path", tmp_path / "it.db"), *args, **more))
        return made[-1]

    yield make
    for each in made:
        if each.process.poll() is None:
            each.kill()


def hold_whole(path):
    assert query(path, "PRAGMA integrity_check") == [("ok",)]
    for table in "open", "closed":
        for column, other in ("local", "addresses"), ("service", "services"), ("owner", "owners"):
            assert query(path, f"SELECT count(*) FROM {table} WHERE {column} NOT IN (SELECT id FROM {other})") == [(0,)]
    for table in "tallies", "tally_rollups", "rate_rollups":
        assert query(path, f"SELECT count(*) FROM {table} WHERE service NOT IN (SELECT id FROM services)") == [(0,)]


def test_twice_what_fits_keeps_the_size_and_counts_are_exact(stage):
    s = stage(10 * MIB, 4 * MIB)
    sizes = []
    while s.cookie < 200_000 and s.ticks < 400:
        s.tick(700 + s.ticks * 37 % 300)
        sizes.append(s.size())
    assert max(sizes) <= 10 * MIB
    s.end()
    assert [row[0] for row in query(s.path, COUNTS)] == s.truth
    kept, = query(s.path, "SELECT count(*) FROM closed")[0]
    gone, = query(s.path, "SELECT sum(count) FROM prunings WHERE tier = -1 AND cause = 2")[0]
    assert kept + gone == sum(s.truth[:-1]) and gone > sum(s.truth) / 4
    assert query(s.path, "SELECT count(*) FROM prunings WHERE tier >= 0") == [(0,)]
    from_ms, = query(s.path, "SELECT from_ms FROM tiers WHERE tier = -1")[0]
    assert query(s.path, "SELECT max(until_ms) FROM prunings") == [(from_ms,)]
    hold_whole(s.path)


def test_a_reader_in_the_way_costs_detail_and_no_count(stage):
    s = stage(64 * MIB, 4 * MIB)
    s.tick(100)
    reader = sqlite3.connect(s.path, isolation_level=None)
    reader.execute("BEGIN")
    seen = reader.execute("SELECT count(*), max(start_ms) FROM snapshots").fetchall()
    for _ in range(16):
        s.tick(3000 + s.ticks)
        assert os.stat(f"{s.path}-wal").st_size <= 4 * MIB
    assert reader.execute("SELECT count(*), max(start_ms) FROM snapshots").fetchall() == seen
    reader.execute("COMMIT")
    reader.close()
    for n in 50, 60, 70:
        s.tick(n)
    s.end()
    assert [row[0] for row in query(s.path, COUNTS)] == s.truth
    (from_ms, until_ms, count, text), = query(s.path, "SELECT from_ms, until_ms, count, text FROM losses AS l"
                                                      " JOIN loss_kinds USING (kind) WHERE name = 'detail dropped'")
    assert "reading" in text and until_ms - from_ms == (count + 1) * TICK_MS
    thin = query(s.path, f"SELECT count(*) FROM snapshots WHERE start_ms > {from_ms} AND start_ms < {until_ms}"
                         " AND unkept = sockets AND sockets > 0")
    assert thin == [(count,)] and query(s.path, "SELECT count(*) FROM snapshots WHERE unkept > 0") == thin
    assert query(s.path, "SELECT count(*) FROM open") == [(70,)]
    hold_whole(s.path)


def test_a_crowd_that_never_fits_is_told_at_growing_distances_and_at_once_when_there_is_room(stage):
    s = stage(2 * MIB, MIB)
    crowd = [f"sample tcp 4 192.0.2.1 {i % 60000 + 1024} 198.51.{i >> 8 & 255}.{i & 255} 443 ESTABLISHED {i + 10} {i + 10} 1000 0 0 0 0 0 1"
             for i in range(24000)]

    def tick():
        s.boot_ms += TICK_MS
        s.clock()
        n = len(crowd) - len(s.truth) % 2
        s.tell(*crowd[:n], "tick")
        s.truth.append(n)
        s.sync()

    s.tick(3)
    for _ in range(60):
        tick()
        assert s.size() <= 2 * MIB
    # a batch that tells all is written as an anchor; with a try at each snapshot it were 60
    tries = query(s.path, "SELECT start_ms FROM snapshots WHERE anchor AND unkept > 0 ORDER BY start_ms")
    assert 4 <= len(tries) <= 9
    distances = [(b - a) // TICK_MS for (a,), (b,) in zip(tries, tries[1:])]
    assert distances == sorted(distances) and distances[-1] >= 8
    s.retention = (16 * MIB, 4 * MIB, *FOREVER)
    s.sync()
    for _ in range(3):
        tick()
    assert query(s.path, "SELECT count(*) FROM open") == [(s.truth[-1],)]
    s.end()
    assert [row[0] for row in query(s.path, COUNTS)] == s.truth
    # one loss, from the first snapshot that lacks them to the one that has them
    assert [row[0] for row in query(s.path, "SELECT count FROM losses")] == [
        query(s.path, "SELECT count(*) FROM snapshots WHERE unkept > 0")[0][0]]
    hold_whole(s.path)


def test_each_tier_goes_by_its_age_and_what_is_coarser_tells_the_same(stage):
    s = stage(64 * MIB, 4 * MIB, ages=(HOUR, 2 * HOUR, 30 * HOUR, 3 * DAY, 0))
    for _ in range(5 * 24 * 4):
        s.tick(3 + s.ticks % 5, pass_ms=15 * 60_000)
    for _ in range(40):
        s.sync()
        s.tick(1)
    s.end()
    now, = query(s.path, "SELECT max(start_ms) FROM snapshots")[0]
    floors = dict(query(s.path, "SELECT tier, from_ms FROM tiers"))
    for tier, age, grain in (-1, HOUR, HOUR), (0, 2 * HOUR, 2 * HOUR), (1, 30 * HOUR, HOUR), (2, 3 * DAY, DAY):
        assert now - age - grain - 15 * 60_000 <= floors[tier] <= now - age, tier
    assert floors[3] == 0
    assert query(s.path, f"SELECT count(*) FROM tallies WHERE at_ms < {floors[0]}") == [(0,)]
    for table in "tally_rollups", "rate_rollups", "cover_rollups":
        for tier in 1, 2:
            assert query(s.path, f"SELECT count(*) FROM {table} WHERE tier = {tier} AND at_ms < {floors[tier]}") == [(0,)]
    assert query(s.path, "SELECT count(*) FROM closed WHERE (key >> 16 & (1 << 42) - 1) < "
                         f"{floors[-1]}") == [(0,)]
    assert query(s.path, f"SELECT count(*) FROM snapshots WHERE start_ms < {min(floors[-1], floors[0])}") == [(0,)]
    # the days still have all: each connection at each snapshot of them
    until, = query(s.path, "SELECT until_ms FROM tiers WHERE tier = 3")[0]
    total, = query(s.path, "SELECT sum(sum) FROM tally_rollups WHERE tier = 3 AND state = 1")[0]
    starts = [WALL_MS + BOOT_MS + (i + 1) * 15 * 60_000 for i in range(5 * 24 * 4)]
    assert total == sum(n for n, start in zip(s.truth, starts) if start < until)
    hold_whole(s.path)


def test_a_smaller_size_is_reached_while_it_records(stage):
    s = stage(64 * MIB, 4 * MIB)
    s.tick(1)
    while s.size() < 16 * MIB:
        s.tick(3000 + s.ticks)
    s.retention = (9 * MIB, 4 * MIB, *FOREVER)
    s.sync()
    for _ in range(200):
        s.tick(10 + s.ticks % 3)
        if s.size() <= 9 * MIB:
            break
    for _ in range(3):
        s.tick(10 + s.ticks % 3)
        assert s.size() <= 9 * MIB
    s.end()
    assert len(query(s.path, COUNTS)) == len(s.truth)
    hold_whole(s.path)


def test_killed_while_it_removes_the_file_is_whole_and_the_next_run_goes_on(stage):
    s = stage(10 * MIB, 4 * MIB)
    for _ in range(130):
        s.tick(900 + s.ticks % 7)
    s.kill()
    hold_whole(s.path)
    assert [row[0] for row in query(s.path, COUNTS)] == s.truth
    again = stage(10 * MIB, 4 * MIB)
    again.boot_ms, again.cookie = s.boot_ms, s.cookie
    for _ in range(40):
        again.tick(900 + again.ticks % 7)
        assert again.size() <= 10 * MIB
    again.end()
    assert [row[0] for row in query(s.path, COUNTS)] == s.truth + again.truth
    hold_whole(s.path)


def test_a_reload_takes_other_ages_and_the_recording_goes_on(stage, record, db, tmp_path):
    s = stage(64 * MIB, 4 * MIB, path=db)
    for n in 5, 6, 7:
        s.tick(n)
    s.end()
    config = tmp_path / "retention.yaml"

    def write(detail):
        config.write_text(f"{OWN_ONLY}\ninterval: 200ms\nretention:\n  detail: {detail}\n")

    write("forever")
    recorder = record(HERE, "--config", config, path=db)
    recorder.wait_snapshots(2)
    old = f"SELECT count(*) FROM closed WHERE (key >> 16 & (1 << 42) - 1) < {WALL_MS + DAY}"
    assert query(db, old)[0][0] >= 11
    runs = query(db, "SELECT count(*) FROM recordings")
    write("1m")
    recorder.process.send_signal(signal.SIGHUP)
    wait_until(lambda: query(db, old) == [(0,)], "old sockets to go")
    assert query(db, "SELECT count(*) FROM recordings") == runs
    recorder.wait_snapshots(2)
    recorder.stop()
    assert query(db, "SELECT tier, cause FROM prunings") == [(-1, 1)]


@pytest.mark.parametrize("lines, words", [
    ("  max_size: 1MiB", "16MiB to 64TiB"), ("  detail: 1s", "from 1m"), ("  detail: 5", "not a duration from 1m to 36500d, or forever"),
    ("  max_size: 64", "not a size from 16MiB to 64TiB"), ("  max_size: x", "not a size from 16MiB to 64TiB"), ("  ticks: never", "forever"),
    ("  hours: 2h", "from 24h"), ("  week: 2d", "unknown key")])
def test_what_is_wrong_is_refused_with_what_would_be_right(record, tmp_path, lines, words):
    config = tmp_path / "wrong.yaml"
    config.write_text(f"{OWN_ONLY}\nretention:\n{lines}\n")
    recorder = record(HERE, "--config", config)
    recorder.wait(2)
    assert words in recorder.text() and f"{config}:" in recorder.text()
