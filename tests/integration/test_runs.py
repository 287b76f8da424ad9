# SPDX-License-Identifier: MIT
"""From one run of the recorder to the next on the same file: what is not known of the time between is told, and what
was known before is kept."""
import subprocess

import pytest

from conftest import BUILD, count, query, wait_until

REPLAY = BUILD / "tests" / "replay" / "replay"
ABSENCES = "SELECT from_ms, until_ms, count FROM losses WHERE kind = 6 AND text = 'the recorder was not running' ORDER BY id"
LAG_MS = 100  # events are told so much after the fact
BOOT_S, REAL_S = 1000, 1_763_800_000


def replay(path, *commands):
    text = "\n".join(commands) + "\n"
    return subprocess.run([REPLAY, path, "on", "100"], input=text, text=True, check=True, timeout=60,
                          stderr=subprocess.PIPE).stderr


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


def test_a_run_that_hears_no_events_misses_none_nor_does_the_first_that_does(db):
    replay(db, at(0), "tick", at(5), "stop", at(7), "tick", "stop", at(9), "events", "tick", "stop")
    assert query(db, ABSENCES) == []


def test_what_the_kernel_dropped_may_have_closed_before_the_last_look(db):
    replay(db, "events", at(0), "tick", at(10), "lose", "tick", "stop")
    [(from_ms, until_ms)] = query(db, "SELECT from_ms, until_ms FROM losses WHERE kind = 6")
    assert (from_ms, until_ms) == (ms(0) - LAG_MS, ms(10))


def test_events_that_cannot_be_read_are_a_loss_and_told_when_that_begins_and_ends(db):
    notices = replay(db, "events", at(0), "tick", at(10), "deaf", "tick", at(20), "tick", at(30), "hears", "tick", "stop")
    spans = query(db, "SELECT DISTINCT from_ms, until_ms, text FROM losses WHERE kind = 6 ORDER BY until_ms")
    assert spans == [(ms(0) - LAG_MS, ms(s), "events could not be read") for s in (10, 20)]
    assert [line for line in notices.splitlines() if " read" in line and "lost" not in line] == [
        "notice 3 reading events: the stage is deaf", "notice 5 events are read again"]


PEER = "192.0.2.1 443 198.51.100.7 40000"
UP = f"sample tcp 4 {PEER} ESTABLISHED 77 82 1000 0 0 0 0 0 2"
ENDED = f"event 0 tcp 4 {PEER} 77 2 1 1 0 0 100 1000"


# when those that are over were; a key holds the end
ENDS = "SELECT (key >> 16 & (1 << 42) - 1) - late_ms FROM closed"


def waits(left_ms):
    return f"sample tcp 4 {PEER} TIME_WAIT 77 0 -1 0 3 {left_ms} 0 0 0"


@pytest.mark.parametrize("end", ["stop", "crash"])
@pytest.mark.parametrize("later", [0, 10], ids=["event first", "event later"])
def test_a_run_keeps_what_the_run_before_heard_of_a_connection_in_time_wait(db, end, later):
    heard = [ENDED] if not later else [at(8), waits(55_000), "tick", at(10), ENDED]
    replay(db, "events", at(0), UP, "tick", at(5), *heard, at(20), waits(43_000), "tick",
           at(30), waits(33_000), "tick", end, at(100), "tick", "stop")
    assert query(db, "SELECT closed_by, tx_bytes, rx_bytes, rx_uncertain FROM sockets") == [("local", 100, 1000, 0)]
    assert query(db, "SELECT count(*) FROM open_facts") == [(0,)]


def test_what_is_in_time_wait_shows_all_that_it_carried(db):
    replay(db, "sampling 10000", "events", at(0), UP, "facts 1 2 3 4 5 6", "tick", at(5), ENDED, at(20), waits(43_000), "tick", "crash")
    assert query(db, "SELECT state, tx_bytes, rx_bytes, rx_uncertain FROM sockets") == [("TIME_WAIT", 100, 1000, 0)]
    assert query(db, "SELECT closed_by FROM open_facts") == [(1,)]


@pytest.mark.parametrize("end", ["stop", "crash"])
def test_a_run_without_detail_takes_back_what_a_run_with_it_foresaw(db, end):
    replay(db, "events", at(0), "tick", at(5), ENDED, at(10), waits(53_000), "tick", end, "detail off",
           at(20), waits(43_000), "tick", at(30), "tick", "stop")
    assert query(db, "SELECT start_ms FROM snapshots WHERE status = 0") == [(ms(s),) for s in (0, 10, 20, 30)]
    assert query(db, ENDS) == [(ms(20),)]


@pytest.mark.parametrize("end", ["stop", "crash"])
def test_what_was_open_before_a_reboot_is_over_whatever_happens_after_it(db, end):
    sample = "sample tcp 4 192.0.2.1 32775 198.51.100.1 80 SYN_SENT 4097 4102 1000 0 0 0 0 0 0"
    replay(db, at(0), sample, "tick", end, f"clock {7 * 10**9} {(REAL_S + 60) * 10**9}", "start boot-2", "stop",
           "start boot-2", f"clock {17 * 10**9} {(REAL_S + 70) * 10**9}", "tick", "stop")
    assert query(db, "SELECT first_seen_ms, closed_ms FROM sockets") == [(ms(0), ms(0) + 1)]


@pytest.mark.parametrize("end", ["stop", "crash"])
def test_what_was_foreseen_of_a_namespace_ends_with_it_while_no_run_was_there(db, end):
    replay(db, "events", "netns 4026532001", at(0), "tick", at(5), ENDED, at(10), waits(53_000), "tick", end,
           "netns 4026532002", at(20), "tick", at(30), "tick", "stop")
    assert query(db, ENDS) == [(ms(20),)]
