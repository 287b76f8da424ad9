# SPDX-License-Identifier: MIT
"""What status says of a file whose snapshots are gone but for the last days, whose counts are not: against sqlite3."""
import json

import pytest

from conftest import connhist, query
from soak import DAY, HOUR, MIB, Soak


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    """Forty days, of which detail and ticks are kept for two, minutes for three."""
    s = Soak(tmp_path_factory.mktemp("old") / "old.db", HOUR, 64 * MIB, 8 * MIB, ages=(2 * DAY, 2 * DAY, 3 * DAY, 0, 0))
    for hour in range(40 * 24):
        s.tick(3 + hour % 5)
    s.end()
    return s


def test_what_is_the_oldest_of_each_part_and_how_it_grows(old):
    told = json.loads(connhist("--db", old.path, "status", "--format", "json").stdout)["rows"][0]
    wall = query(old.path, "SELECT offset_ms FROM epochs ORDER BY from_ms LIMIT 1")[0][0]

    def first(sql):
        return query(old.path, sql)[0][0] + wall

    assert told["begin_ms"] == first("SELECT min(at_ms) FROM cover_rollups WHERE tier = 2")
    assert told["first_snapshot_ms"] == first("SELECT min(start_ms) FROM snapshots") > told["begin_ms"] + 30 * DAY
    for part, tier in ("detail", -1), ("ticks", 0):
        assert told[part + "_since_ms"] == first("SELECT min(start_ms) FROM snapshots WHERE start_ms >="
                                                 f" (SELECT from_ms FROM tiers WHERE tier = {tier})")
        assert query(old.path, "SELECT count(*) FROM snapshots WHERE start_ms = ?", told[part + "_since_ms"] - wall) == [(1,)]
    for part, tier in ("minutes", 1), ("hours", 2), ("days", 3):
        assert told[part + "_since_ms"] == first(f"SELECT min(at_ms) FROM cover_rollups WHERE tier = {tier}")
    # hours and days grow, with names and the rest; what goes by its age does not
    last = query(old.path, "SELECT max(start_ms) FROM snapshots")[0][0] + wall
    growth = sum(told[part + "_bytes"] * DAY / (last - told[since + "_since_ms"])
                 for part, since in (("hours", "hours"), ("days", "days"), ("names", "days"), ("rest", "days")))
    assert abs(told["day_bytes"] - growth) <= 1
    assert told["full_days"] == (told["max_bytes"] - told["file_bytes"] - told["wal_bytes"]) // told["day_bytes"]


def test_the_words_say_the_same(old):
    lines = dict(line.split(":", 1) for line in connhist("--utc", "--db", old.path, "status").stdout.splitlines() if ":" in line)
    told = json.loads(connhist("--db", old.path, "status", "--format", "json").stdout)["rows"][0]
    at = query(old.path, f"SELECT strftime('%Y-%m-%dT%H:%M:%SZ', {told['begin_ms'] // 1000}, 'unixepoch')")[0][0]
    assert lines["record begins"].strip().startswith(at)
