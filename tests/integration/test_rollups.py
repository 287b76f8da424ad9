# SPDX-License-Identifier: MIT
"""Every rollup equals what is computed from the raw tallies, the minutes of rates and the snapshots, whatever comes
between: gaps, restarts, snapshots that failed, a wall clock that is set, a recorder that is killed."""
import random
import sqlite3
import time

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conftest import PATIENCE, SANITIZER, SOURCE, count, wait_until
from kernel_model import PLACES_STEPS, STEPS, Kernel
from rollup_truth import LENGTH, hold
from test_exactness import replay

EXAMPLES = 15 if SANITIZER else 100
FEW = [step for step in dict.fromkeys(STEPS) if step != "tick"]
LONG = [*FEW, *["ticks"] * 12, *["wait"] * 3]
steps = st.lists(st.tuples(st.sampled_from(LONG), st.integers(0, 999)), min_size=5, max_size=40)


PLACES = [*dict.fromkeys(PLACES_STEPS), *["fails"] * 6, *["ticks"] * 12, *["wait"] * 3]
PLACES = [step for step in PLACES if step != "tick"]
places_steps = st.lists(st.tuples(st.sampled_from(PLACES), st.integers(0, 999)), min_size=5, max_size=40)


def play_long(steps, places=1):
    """The kernel after steps that take days: bursts of ticks, and time in which nothing is recorded."""
    kernel = Kernel(events=True, places=places)
    kernel.commands += [f"namespaces {places}", "events", kernel.clock(), "start boot-1"]
    for step, n in steps:
        name, _, kind = step.partition(":")
        if name == "wait":
            kernel.pass_time(n * n * 200)
        elif name == "fails":  # a namespace that can't be read for long
            for _ in range(n % 97):
                kernel.fail(n)
                kernel.tick(0)
        elif name == "ticks":
            for _ in range(n % 150):
                kernel.tick(0)
        else:
            getattr(kernel, name)(*([kind] if kind else []), n)
    kernel.tick(0)
    return kernel


@settings(max_examples=EXAMPLES, deadline=None, derandomize=True,
          suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(steps)
def test_rollups_are_what_the_raw_rows_say(tmp_path, steps):
    path = tmp_path / "made-up.db"
    replay(path, play_long(steps).commands)
    hold(path)


@settings(max_examples=EXAMPLES, deadline=None, derandomize=True,
          suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(places_steps)
def test_rollups_of_namespaces_are_what_the_raw_rows_say(tmp_path, steps):
    """Where some fail at random, and for long."""
    path = tmp_path / "made-up.db"
    replay(path, play_long(steps, places=3).commands)
    hold(path)


def test_a_namespace_that_always_fails_takes_nothing_from_the_others(tmp_path):
    """No snapshot is complete everywhere: what the others had is added up all the same."""
    path = tmp_path / "made-up.db"
    kernel = Kernel(events=True, places=2)
    kernel.commands += ["namespaces 2", "events", kernel.clock(), "start boot-1"]
    for n in range(0, 60, 3):
        kernel.open("ESTABLISHED", n)
    for _ in range(800):
        kernel.failing.add(1)
        kernel.tick(0)
    replay(path, kernel.commands)
    hold(path)
    assert not rows(path, "SELECT 1 FROM tally_rollups") and rows(path, "SELECT 1 FROM netns_tallies WHERE tier = 2")
    assert rows(path, "SELECT DISTINCT netns > 0, done FROM netns_covers WHERE tier = 1 ORDER BY 1, 2")[-1] == (1, 0)


def test_there_is_something_to_hold(tmp_path):
    """Two days with connections that come and go: each tier has rows, and rates too."""
    path = tmp_path / "made-up.db"
    some = [("open:LISTEN", 1), ("open:ESTABLISHED", 7), ("connect_and_close", 5), ("open:udp-bound", 3)]
    replay(path, play_long([step for _ in range(6) for step in [*some, ("ticks", 149), ("advance", 1), ("wait", 380)]]
                           ).commands)
    seen = hold(path)
    assert seen[1] > seen[2] > seen[3] > 0
    assert dict(rows(path, "SELECT tier, count(*) FROM rate_rollups GROUP BY tier")).keys() == {1, 2, 3}
    # the views show the same, and nothing of what is not whole yet
    for view, tier in ("port_minutes", 1), ("port_hours", 2), ("port_days", 3), ("rate_hours", 2), ("rate_days", 3):
        table = "tally_rollups" if view.startswith("port") else "rate_rollups"
        assert rows(path, f"SELECT count(*) FROM {view}") == rows(
            path, f"SELECT count(*) FROM {table} WHERE tier = {tier}"
                  f" AND at_ms < (SELECT until_ms FROM tiers WHERE tier = {tier})")
    assert rows(path, "SELECT * FROM gaps") == rows(
        path, "SELECT from_ms, until_ms, strftime('%Y-%m-%dT%H:%M:%fZ', from_ms / 1000.0, 'unixepoch'),"
              " strftime('%Y-%m-%dT%H:%M:%fZ', until_ms / 1000.0, 'unixepoch') FROM pauses")


def rows(path, sql):
    database = sqlite3.connect(path)
    try:
        return database.execute(sql).fetchall()
    finally:
        database.close()


def make_past(path, dice, editions=None, hours=30, series=30, clock=(0, 3_600_000, -3_600_000, 50_000)):
    """What a recorder wrote that never added up: counts that change, anchors, snapshots that failed, pauses."""
    database = sqlite3.connect(path)
    database.execute("PRAGMA journal_mode = WAL")
    migrations = sorted((SOURCE / "schema").glob("*.sql"))[:editions]
    for migration in migrations:
        database.executescript(migration.read_text())
    database.execute("PRAGMA application_id = 0x636e6873")
    database.execute(f"PRAGMA user_version = {len(migrations)}")
    now = int(time.time() * 1000) - 3_600_000
    at = now - hours * 3_600_000
    database.execute("INSERT INTO boots VALUES (1, 'b007', ?)", (at - 1000,))
    database.execute("INSERT INTO netns (id, inode, name) VALUES (1, 1, '')")
    database.executemany("INSERT INTO services VALUES (?, 1, 6, 1, ?)", [(n, n) for n in range(1, series)])
    database.execute("INSERT INTO epochs VALUES (?, 0)", (at,))
    run, anchor_hour = 0, None
    while at < now:
        if dice.random() < 0.02 or not run:
            run, anchor_hour = run + 1, None
            database.execute("INSERT INTO recordings (id, boot, started_ms, ended_ms, interval_ms, detail, version,"
                             " pid, uid) VALUES (?, 1, ?, ?, ?, ?, 'old', 1, 0)",
                             (run, at - 10, at, dice.choice([30_000, 60_000]), dice.choice(["on", "anonymous", "off"])))
        failed = dice.random() < 0.05
        anchor = not failed and anchor_hour != at // 3_600_000
        database.execute("INSERT INTO snapshots (start_ms, recording, status, anchor, sockets, took_us, doubles, unkept)"
                         " VALUES (?, ?, ?, ?, 3, 900, 0, ?)", (at, run, failed, anchor, dice.randrange(3)))
        if not failed:
            anchor_hour = at // 3_600_000 if anchor else anchor_hour
            least, share = (1, 0.8) if anchor else (-10, 0.1)
            database.executemany("INSERT INTO tallies VALUES (?, ?, ?, ?)", [
                (n, state, at, max(0, dice.randrange(least, 50)))
                for n in range(1, series) for state in (1, 6) if dice.random() < share])
        if dice.random() < 0.01:
            epoch = dice.choice(clock)
            database.execute("INSERT OR REPLACE INTO epochs VALUES (?, ?)", (at + 1, epoch))
        at += dice.choice([30_000] * 30 + [90_000, 1_000_000])
    database.executemany("INSERT OR IGNORE INTO rate_rollups VALUES (1, ?, ?, 3, 1, 1, 0, 0, 0, 10, 20, x'0302', x'0401')", [
        (n, dice.randrange(now - hours * 3_600_000, now) // 60_000 * 60_000) for n in range(1, series) for _ in range(300)])
    database.execute("UPDATE program SET last_ms = ?", (now,))
    database.commit()
    database.close()
    return now


def test_killed_at_any_moment_while_it_adds_up_what_was_before(netns, db, record):
    """A file of the edition before, without any rollups: the real recorder brings it up to date, and is killed."""
    seed = random.randrange(1 << 32)
    dice = random.Random(seed)
    print("seed", seed)
    end = make_past(db, dice, editions=2)
    today = (end + 3_600_000) // LENGTH[3] * LENGTH[3]
    until = "SELECT until_ms FROM tiers WHERE tier = 3"

    def is_awake():
        return count(db, "SELECT max(start_ms) FROM snapshots") > end and count(db, "SELECT count(*) FROM tiers")
    for _ in range(6):
        recorder = record(netns, "--interval", "100ms")
        wait_until(is_awake, "a snapshot")
        time.sleep(dice.uniform(0, 0.2))
        recorder.kill()
        hold(db, up_to_date=False)
        end = rows(db, "SELECT max(start_ms) FROM snapshots")[0][0]
    recorder = record(netns, "--interval", "100ms")
    recorder.wait_snapshots()
    wait_until(lambda: count(db, until) >= today, "all that was before to be added up", 3 * PATIENCE)
    recorder.stop()
    seen = hold(db, up_to_date=False)
    assert min(seen.values()) > 0
