# SPDX-License-Identifier: MIT
"""Counters in a copy of a span (`connhist export --to-sqlite`): each answer is that of the file it was made of, as far as the
copy goes. A made-up kernel's, held against what it was told."""
import sqlite3

import pytest

from conftest import connhist, strict_json
from test_counting import BEGIN, DAY, HOUR, MINUTE, Kernel, at, replay, steps
from test_export_counters import busy, exported, found, hold, readings, span, truth
from test_growth import NAME, PHASE, minutes

HOURS = 60


def copied(path, since, until, name="copy.db"):
    copy = path.with_name(name)
    copy.unlink(missing_ok=True)
    connhist("--db", path, "export", "--to-sqlite", copy, "--since", at(since), "--until", at(until))
    return copy


@pytest.fixture(name="whole", scope="module")
def make_whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("copied") / "whole.db"
    replay(path, minutes(HOURS * 60).commands)
    return path


def of_minutes(first, end):
    """What minutes [first, end) since BEGIN grew by: minute k by k + 1."""
    return sum(k + 1 for k in range(first, end))


SPANS = [  # minutes since BEGIN
    pytest.param(39 * 60 + 20, 45 * 60 + 20, id="of a day"),
    pytest.param(39 * 60 + 20, HOURS * 60, id="to the end"),
    pytest.param(3 * 60 + 5, 9 * 60 + 10, id="of the first day"),
    pytest.param(15 * 60 + 10, 15 * 60 + 50, id="of an hour"),
    pytest.param(20 * 60 + 30, 53 * 60 + 30, id="over midnights"),
]


@pytest.mark.parametrize("begin, end", SPANS)
def test_a_copy_has_the_growth_of_each_step(whole, begin, end):
    copy = copied(whole, BEGIN + begin * MINUTE, BEGIN + end * MINUTE)
    last = (readings(copy)[-1] - BEGIN) // MINUTE  # what it told is of minutes before that one
    assert end - 2 <= last < end
    first = begin // 60 * 60  # a copy begins with an hour's first snapshot
    rows = steps(copy, NAME, BEGIN + first * MINUTE, BEGIN + end * MINUTE, "1h")
    assert {(row["at_ms"] - BEGIN) // MINUTE: row["grew"] for row in rows} == {
        hour: of_minutes(hour, min(hour + 60, last)) for hour in range(first, end, 60)}
    # likewise in shorter ones, from its first minutes on
    rows = steps(copy, NAME, BEGIN + (begin + 2) * MINUTE, BEGIN + end * MINUTE, "1m")
    assert [row["grew"] for row in rows] == [k + 1 if k < last else None for k in range(begin + 2, end)]
    # asked for more, it tells no more, and nothing else
    rows = steps(copy, NAME, BEGIN + (begin // 60 - 3) * HOUR, BEGIN + (end // 60 + 3) * HOUR, "1h")
    assert len(rows) == end // 60 - begin // 60 + 6
    for row in rows:
        hour = (row["at_ms"] - BEGIN) // MINUTE
        if hour >= first:
            assert row["grew"] == (of_minutes(hour, min(hour + 60, last)) if hour < last else None)
            assert hour < last or (row["gap_grew"], row["at_least"]) == (None, None)
        else:  # of hours without their readings there is what was read in them
            assert row["grew"] in (None, of_minutes(hour - 1, hour + 59), of_minutes(hour - 1, hour + 60))


@pytest.mark.parametrize("begin, end", SPANS)
def test_a_copy_has_the_growth_between_readings(whole, begin, end):
    copy = copied(whole, BEGIN + begin * MINUTE, BEGIN + end * MINUTE)

    def grown(path, first, behind):
        told = strict_json(connhist("--db", path, "netstat", "-s", "--since", at(BEGIN + first * MINUTE), "--until",
                                    at(BEGIN + behind * MINUTE), "--format", "json").stdout)
        return told["since_ms"], told["until_ms"], {row["counter"]: row["grew"] for row in told["rows"]}[NAME]
    for first, behind in ((begin + 5, begin + 20), (begin + 5, begin + 25), ((begin + end) // 2, (begin + end) // 2 + 3),
                          (end - 20, end - 5), (begin + 1, end - 2), (end - 2, end - 1)):
        told = grown(copy, first, behind)
        assert told == grown(whole, first, behind)
        # reading k is of minute k, and told what minute k - 1 grew by
        assert told == (BEGIN + PHASE + (first - 1) * MINUTE, BEGIN + PHASE + behind * MINUTE, of_minutes(first - 1, behind))


@pytest.mark.parametrize("begin, end", SPANS)
def test_a_copy_has_the_samples(whole, begin, end):
    copy = copied(whole, BEGIN + begin * MINUTE, BEGIN + end * MINUTE)
    for step in (MINUTE, HOUR):
        args = span(BEGIN + begin * MINUTE, BEGIN + end * MINUTE, step)
        told = found(exported(copy, *args))
        assert told == found(exported(whole, *args)) and told[0, NAME]
    wide = found(exported(copy, *span(BEGIN + (begin // 60 - 3) * HOUR, BEGIN + (end // 60 + 3) * HOUR, HOUR)))[0, NAME]
    assert len(wide) == len({when // HOUR for when in readings(copy) if when >= BEGIN + (begin // 60 - 3) * HOUR})


@pytest.mark.parametrize("seed", range(3))
def test_samples_of_a_copy_are_what_the_kernel_told(tmp_path, seed):
    """Of two namespaces, over restarts, reboots, and interfaces that come and go; a day is not over in any of them."""
    path, kernel = tmp_path / "made-up.db", busy(seed)
    replay(path, kernel.commands)
    end = kernel.wall_ms // MINUTE * MINUTE + MINUTE
    for since, until in ((BEGIN + 37 * MINUTE, end - 11 * MINUTE), (BEGIN + 20 * MINUTE, BEGIN + 50 * MINUTE), (BEGIN, end)):
        copy = copied(path, since, until)
        assert hold(copy, kernel, since, until, MINUTE)
        assert truth(kernel, [when for when in readings(path) if since <= when < until], since, MINUTE) == truth(
            kernel, [when for when in readings(copy) if since <= when < until], since, MINUTE)


def test_a_gauge_has_its_values_in_the_hour_that_a_copy_ends_in(tmp_path):
    path, kernel = tmp_path / "made-up.db", Kernel()
    kernel.wait(PHASE)
    for i in range(10 * 60):
        kernel.set("Tcp.CurrEstab", 1 + i // 20)
        kernel.tick(MINUTE if i else 0)
    replay(path, kernel.commands)
    copy = copied(path, BEGIN + 5 * HOUR, BEGIN + 8 * HOUR + 30 * MINUTE)
    row, = steps(copy, "Tcp.CurrEstab", BEGIN + 8 * HOUR, BEGIN + 9 * HOUR, "1h")
    assert (row["max"], row["last"]) == (1 + (8 * 60 + 29) // 20, 1 + (8 * 60 + 29) // 20)


def test_hours_that_are_lost_from_a_file_are_unknown(whole):
    copy, lost = copied(whole, BEGIN, BEGIN + DAY, "damaged.db"), BEGIN + 4 * HOUR
    database = sqlite3.connect(copy)
    for table in "counter_cover", "counter_rollups":
        assert database.execute(f"DELETE FROM {table} WHERE tier = 2 AND at_ms IN (?, ?)", (lost, lost + HOUR)).rowcount == 2
    database.commit()
    database.close()
    rows = {row["at_ms"]: row for row in steps(copy, NAME, BEGIN + 2 * HOUR, BEGIN + 8 * HOUR, "1h")}
    assert [rows[lost][key] for key in ("grew", "per_second", "gap_grew", "at_least")] == [None] * 4
    # the reading that the next hour begins with told of their last minute
    assert rows[lost + HOUR]["grew"] == of_minutes(6 * 60 - 1, 6 * 60)
    assert rows[lost - 2 * HOUR]["grew"] == of_minutes(2 * 60, 3 * 60)
    assert rows[lost + 2 * HOUR]["grew"] == of_minutes(6 * 60, 7 * 60)
