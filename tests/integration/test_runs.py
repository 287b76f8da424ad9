# SPDX-License-Identifier: MIT
"""From one run of the recorder to the next on the same file: what is not known of the time between is told, and what
was known before is kept."""
import subprocess

from conftest import BUILD, count, query, wait_until

REPLAY = BUILD / "tests" / "replay" / "replay"
ABSENCES = "SELECT from_ms, until_ms, count FROM losses WHERE kind = 6 AND text = 'the recorder was not running' ORDER BY id"
LAG_MS = 100  # events are told so much after the fact
BOOT_S, REAL_S = 1000, 1_763_800_000


def replay(path, *commands):
    text = "\n".join(commands) + "\n"
    subprocess.run([REPLAY, path, "on", "100"], input=text, text=True, check=True, timeout=60)


def at(second, slept=0):
    return f"clock {(BOOT_S + second) * 10**9} {(REAL_S + second + slept) * 10**9}"


def ms(second):
    return (REAL_S + second) * 1000


def test_between_two_runs_no_events_are_heard_and_the_record_says_so(netns, db, record):
    record(netns, "--once").wait()
    assert query(db, ABSENCES) == [], "nothing is missed before the first run"
    killed = record(netns, "--interval", "200ms")
    wait_until(lambda: count(db, "SELECT count(*) FROM snapshots WHERE recording = 2"), "a snapshot")
    killed.kill()
    last = query(db, "SELECT max(start_ms) FROM snapshots")[0][0]
    record(netns, "--once").wait()
    ends = [row[0] for row in query(db, "SELECT coalesce(ended_ms, ?) FROM recordings ORDER BY id", last)]
    starts = [row[0] for row in query(db, "SELECT started_ms FROM recordings ORDER BY id")]
    assert query(db, ABSENCES) == [(end - LAG_MS, start, 0) for end, start in zip(ends, starts[1:])]
    assert count(db, "SELECT count(*) FROM losses WHERE from_ms >= until_ms") == 0


def test_after_another_boot_it_is_told_from_the_end_of_the_run_before(db):
    replay(db, "events", at(0), "tick", at(5), "stop",
           "clock 7000000000 %d" % ((REAL_S + 60) * 10**9), "start boot-2", "tick", "stop")
    assert query(db, ABSENCES) == [(ms(5) - LAG_MS, ms(60), 0)]


def test_a_wall_clock_set_back_between_boots_makes_no_span_that_runs_backwards(db):
    replay(db, "events", at(0), "tick", at(5), "stop",
           "clock 7000000000 %d" % ((REAL_S - 3600) * 10**9), "start boot-2", "tick", "stop")
    [(from_ms, until_ms, _)] = query(db, ABSENCES)
    assert from_ms == ms(5) - LAG_MS and ms(5) <= until_ms <= ms(5) + 10


def test_a_run_that_hears_no_events_misses_none(db):
    replay(db, at(0), "tick", at(5), "stop", at(7), "tick", "stop")
    assert query(db, ABSENCES) == []


def test_what_the_kernel_dropped_may_have_closed_before_the_last_look(db):
    replay(db, "events", at(0), "tick", at(10), "lose", "tick", "stop")
    [(from_ms, until_ms)] = query(db, "SELECT from_ms, until_ms FROM losses WHERE kind = 6")
    assert (from_ms, until_ms) == (ms(0) - LAG_MS, ms(10))
