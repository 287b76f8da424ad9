# SPDX-License-Identifier: MIT
"""Months in a minute: the size holds at each step, memory stays flat, and what is answered is what was."""
import os
import sqlite3

import pytest

import soak
from conftest import SANITIZER, query
from soak import DAY, HOUR, MIB, STATE, Soak

pytestmark = pytest.mark.skipif(bool(SANITIZER), reason="takes too long under a sanitizer: retention and rollups have tests of their own")
DAYS = 40
INTERVAL_MS = 10 * 60_000
AGES = (0, 5 * DAY, 8 * DAY, 30 * DAY, 0)


@pytest.fixture
def make(tmp_path):
    made = []

    def start(*args, **more):
        made.append(Soak(tmp_path / "soak.db", *args, **more))
        return made[-1]

    yield start
    for each in made:
        if each.process.poll() is None:
            each.kill()


def as_of(ask, path, at_ms):
    """The table that connhist shows of an instant."""
    answer = ask("netstat", "-n", "-a", "--at", f"@{at_ms / 1000:.3f}", path=path)
    return sorted((row["remote_address"], row["remote_port"], row["state"]) for row in answer["rows"])


def test_months_hold_their_size_and_answers_are_right(make, ask):
    s = make(INTERVAL_MS, 9 * MIB, 4 * MIB, AGES)
    kept, asked = [], 0
    for n in range(DAYS * DAY // INTERVAL_MS):
        if n % 997 == 500:
            s.restart()
        s.tick(s.rhythm(60))
        if s.random.random() < 0.01:
            kept.append((s.truth[-1][0], s.table()))
        if n % 1440 == 1439:  # while it goes on: of what is whole the latest and the oldest, and some between
            since, = query(s.path, "SELECT from_ms FROM tiers WHERE tier = -1")[0]
            whole = [each for each in kept if each[0] >= since]
            for at_ms, table in [whole[0], whole[-1], *s.random.sample(whole, 3)]:
                assert as_of(ask, s.path, at_ms) == table, at_ms
                asked += 1
    assert max(s.sizes) <= 9 * MIB
    quarter = len(s.rss) // 4
    assert max(s.rss[quarter:]) < max(s.rss[:quarter]) + MIB, "memory grows"
    s.end()
    rows = soak.hold_counts(s)
    assert all(rows.values()) and asked >= 5
    floors = dict(query(s.path, "SELECT tier, from_ms FROM tiers"))
    now, hour = s.truth[-1][0], HOUR + INTERVAL_MS
    assert now - AGES[1] - 2 * hour <= floors[0] <= now - AGES[1] and floors[3] == 0
    assert now - AGES[2] - 2 * hour <= floors[1] <= now - AGES[2]
    gone, = query(s.path, "SELECT sum(count) FROM prunings WHERE tier = -1 AND cause = 2")[0]
    there, = query(s.path, "SELECT count(*) FROM lives")[0]
    snapshots, = query(s.path, "SELECT count(*) FROM snapshots")[0]  # which go with the sockets
    assert gone + there - (len(s.truth) - snapshots) == s.cookie - 1000, "each is in the file or told as removed"
    assert gone > there
    assert query(s.path, "SELECT count(*) FROM losses") == [(0,)]


def test_what_can_not_fit_is_counted_and_told_and_takes_no_counts_with_it(make):
    """Twice what the file holds, and now and then more sockets at a time than it has room for."""
    s = make(INTERVAL_MS, 6 * MIB, 4 * MIB)
    flood = 60_000
    for n in range(200):
        s.tick(flood if n in (60, 61, 120) else 300)
    assert max(s.sizes) <= 6 * MIB
    s.end()
    soak.hold_counts(s)
    assert query(s.path, "SELECT start_ms, sockets FROM snapshots") == [(at_ms, sum(counts)) for at_ms, *counts in s.truth]
    assert query(s.path, "SELECT DISTINCT tier, cause FROM prunings") == [(-1, 2)]
    unkept = query(s.path, "SELECT start_ms, unkept FROM snapshots WHERE unkept > 0")
    spans = query(s.path, "SELECT from_ms, until_ms, count FROM losses JOIN loss_kinds USING (kind) WHERE name = 'detail dropped'")
    assert len(unkept) == sum(count for *_, count in spans)
    assert all(any(since < at_ms < until for since, until, _ in spans) for at_ms, _ in unkept)
    if not SANITIZER:
        assert {s.truth[n][0] for n in (60, 61, 120)} <= {at_ms for at_ms, _ in unkept}
    # where it is said to be whole, each snapshot has as many sockets as there were
    since, = query(s.path, "SELECT from_ms FROM tiers WHERE tier = -1")[0]
    for at_ms, *counts in s.truth:
        if at_ms >= since:
            alive, = query(s.path, "SELECT count(*) FROM lives WHERE since_ms <= ?1 AND coalesce(ended_ms, ?1 + 1) > ?1",
                           at_ms)[0]
            assert alive == sum(counts) - dict(unkept).get(at_ms, 0), at_ms


def test_a_reader_that_stays_delays_nothing_and_sees_one_instant(make):
    s = make(10_000, 12 * MIB, 4 * MIB)
    for _ in range(60):
        s.tick(400)
    reader = sqlite3.connect(s.path, isolation_level=None)
    reader.execute("BEGIN")
    ask = ("SELECT count(*), sum(count) FROM tallies", "SELECT count(*), sum(ended_ms - since_ms) FROM lives",
           "SELECT count(*), max(start_ms), sum(sockets) FROM snapshots", "SELECT count(*), sum(sum) FROM tally_rollups")
    before = [reader.execute(sql).fetchall() for sql in ask]
    for _ in range(60):  # ten minutes
        s.tick(400)
        assert [reader.execute(sql).fetchall() for sql in ask[2:3]] == before[2:3]
        assert os.stat(f"{s.path}-wal").st_size <= 4 * MIB
    assert [reader.execute(sql).fetchall() for sql in ask] == before
    reader.execute("COMMIT")
    reader.close()
    for _ in range(10):
        s.tick(400)
    s.end()
    assert max(s.sizes) <= 12 * MIB
    # each snapshot was taken when it was due, and counted
    assert query(s.path, "SELECT start_ms FROM snapshots WHERE status = 0 ORDER BY start_ms") == [row[:1] for row in s.truth]
    assert query(s.path, "SELECT count(*) FROM pauses") == [(0,)]
    assert query(s.path, "SELECT name FROM losses JOIN loss_kinds USING (kind) WHERE name <> 'detail dropped'") == []
    soak.hold_counts(s)
    assert {state for state, in query(s.path, "SELECT DISTINCT state FROM tallies")} == set(STATE)
