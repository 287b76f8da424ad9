# SPDX-License-Identifier: MIT
"""Counters, interfaces and routes where something ends: namespaces that go and are made anew under their name, interfaces that
had gone before a restart, a recorder that was killed."""
import pytest

from conftest import connhist, count, query, strict_json
from test_counting import BEGIN, HOUR, MINUTE, RESET, Kernel, at, path, replay, steps, utc  # noqa: F401

GONE = 1  # netns_spans.ended
NAME = "Udp.NoPorts"


def told(path, letter, ms, *args):
    """The document, and what is said beside it."""
    done = connhist("--db", path, "--utc", "netstat", letter, "--at", at(ms), "--format", "json", *args)
    return strict_json(done.stdout), done.stderr


def grown(path, since, until, *args):
    done = connhist("--db", path, "--utc", "netstat", *args, "--since", at(since), "--until", at(until), "--format", "json")
    return strict_json(done.stdout), done.stderr


def value(document, name=NAME):
    return {row["counter"]: row["value"] for row in document["rows"]}.get(name)


def snapshots(path):
    return [ms for ms, in query(path, "SELECT start_ms FROM snapshots ORDER BY start_ms")]


def play_anew():
    """n1 goes, and another n1 comes: minutes 0 and 1 read the first one, minute 3 the second one."""
    kernel = Kernel(places=2)
    kernel.set(NAME, 7, place=0)
    kernel.set(NAME, 50, place=1)
    kernel.commands.append("route 10.33.0.0 16 192.0.2.1 1")
    kernel.ticks(8)  # BEGIN + 10 s ... 80 s
    kernel.commands.append(f"without 1 {GONE}")
    kernel.ticks(6)  # ... 140 s
    kernel.set(NAME, 0, place=1)
    kernel.commands += ["route 10.33.0.0 16 -", "route 10.44.0.0 16 192.0.2.1 1", "born 1"]
    kernel.ticks(1)  # 150 s
    kernel.set(NAME, 4, place=1)
    kernel.ticks(6)  # ... 210 s
    kernel.add(NAME, 3, place=1)
    kernel.ticks(6)
    return kernel


@pytest.fixture
def anew(path):
    replay(path, play_anew().commands)
    return path


def test_an_instant_at_which_a_namespace_had_gone_is_told_so(anew):
    gone_ms, = (ms for ms, in query(anew, "SELECT until_ms FROM netns_spans WHERE until_ms IS NOT NULL"))
    assert gone_ms == BEGIN + 90_000
    for letter in "-s", "-r":
        document, said = told(anew, letter, BEGIN + 85_000, "--netns", "n1")
        assert document["in_gap"] == 0 and said == ""
        for ms in gone_ms, BEGIN + 145_000:
            document, said = told(anew, letter, ms, "--netns", "n1")
            assert document["in_gap"] == 1 and document["reading_ms"] < gone_ms
            assert f"was no more from {utc(gone_ms)} on" in said and "n1 (inode:" in said and said.count("\n") == 1
            assert {row["netns"] for row in document["rows"]} == {said.split("namespace ")[1].split(" was no")[0]}
    assert value(told(anew, "-s", BEGIN + 145_000, "--netns", "n1")[0]) == 50


def test_a_namespace_of_the_same_name_is_not_answered_with_the_one_before(anew):
    numbers = [inode for inode, in query(anew, "SELECT inode FROM netns WHERE name = 'n1' ORDER BY id")]
    # its routes are known at once, its counters once a minute
    document, said = told(anew, "-r", BEGIN + 155_000, "--netns", "n1")
    assert [row["destination"] for row in document["rows"]] == ["10.44.0.0/16"] and (document["in_gap"], said) == (0, "")
    refused = connhist("--db", anew, "--utc", "netstat", "-s", "--at", at(BEGIN + 155_000), "--netns", "n1", status=3)
    assert "not read yet" in refused.stderr and f"recorded from {utc(BEGIN + 150_000)} on" in refused.stderr
    document, said = told(anew, "-s", BEGIN + 185_000, "--netns", "n1")
    assert value(document) == 4 and (document["in_gap"], said) == (0, "")
    assert all(row["netns"].startswith("n1 (inode:%d" % numbers[1]) for row in document["rows"])
    # the own one's name is no other's
    assert {row["netns"] for row in told(anew, "-s", BEGIN + 185_000)[0]["rows"]} <= {"", None}


def test_what_a_new_namespace_counted_is_growth(anew):
    def row(since, until):
        document, _ = grown(anew, since, until, "-s", "--netns", "n1")
        one, = (row for row in document["rows"] if row["counter"] == NAME)
        return document["since_ms"], document["until_ms"], one["grew"], one["at_least"]
    # from a reading of the one before
    assert row(BEGIN + 150_000, BEGIN + 185_000) == (BEGIN + 60_000, BEGIN + 240_000, 4 + 3, "yes")
    assert row(BEGIN + 150_000, BEGIN + 175_000) == (BEGIN + 60_000, BEGIN + 180_000, 4, "yes")
    assert row(BEGIN + 181_000, BEGIN + 235_000) == (BEGIN + 180_000, BEGIN + 240_000, 3, "no")
    told_ = [(row["grew"], row["gap_grew"], row["at_least"]) for row in
             steps(anew, NAME, BEGIN, BEGIN + 4 * MINUTE, "1m", "--netns", "n1")]
    # since the snapshot before it was found, 40 s before its first reading
    assert told_ == [(0, 0, "no"), (None, None, None), (4, 0, "yes"), (3, 0, "no")]
    assert count(anew, "SELECT max(covered_ms) FROM counter_cover WHERE netns = (SELECT max(id) FROM netns) AND tier = 2"
                 ) == 40_000 + 60_000


def test_when_readings_are_gone_it_still_is(path):
    kernel = play_anew()
    kernel.ticks(5 * 60, MINUTE)
    kernel.keep(HOUR, 0)
    replay(path, kernel.commands)
    assert count(path, "SELECT min(at_ms) FROM readings") > BEGIN + 3 * HOUR
    document, _ = grown(path, BEGIN, BEGIN + 2 * HOUR, "-s", "--netns", "n1")
    one, = (row for row in document["rows"] if row["counter"] == NAME)
    assert (one["grew"], one["at_least"]) == (4 + 3, "yes")
    hours = steps(path, NAME, BEGIN, BEGIN + 2 * HOUR, "1h", "--netns", "n1")
    assert [(row["grew"], row["gap_grew"]) for row in hours] == [(4 + 3, 0), (0, 0)]


def test_a_new_namespace_that_was_read_once_grew_since_it_came(path):
    kernel = Kernel(places=2)
    kernel.set(NAME, 7, place=0)
    kernel.commands.append(f"without 1 {GONE}")
    kernel.ticks(9)
    kernel.commands.append("born 1")
    kernel.ticks(1)  # 100 s
    kernel.set(NAME, 6, place=1)
    kernel.ticks(3)
    replay(path, kernel.commands)
    document, _ = grown(path, BEGIN, BEGIN + 130_000, "-s", "--netns", "n1")
    assert (document["since_ms"], document["until_ms"]) == (BEGIN + 90_000, BEGIN + 120_000)
    one, = (row for row in document["rows"] if row["counter"] == NAME)
    assert (one["grew"], one["per_second"]) == (6, 0.2)
    text = connhist("--db", path, "--utc", "netstat", "-s", "--netns", "n1", "--since", at(BEGIN), "--until",
                    at(BEGIN + 130_000)).stdout
    assert text.startswith("Growth between %s, when the network namespace came into being, and the reading of %s" % (
        utc(BEGIN + 90_000), utc(BEGIN + 120_000)))


def test_interfaces_that_had_gone_before_a_restart_do_not_begin_again(path):
    kernel = Kernel()
    kernel.set("Tcp.OutRsts", 5)
    kernel.set("Udp.NoPorts", 5)
    kernel.commands += ["interface 1 lo 65536 800", "interface 7 v0 1500 900"]
    kernel.ticks(7)
    kernel.commands.append("interface 7 -")
    kernel.ticks(7)
    kernel.restart("stop")
    kernel.ticks(7)
    replay(path, kernel.commands)
    assert count(path, f"SELECT count(*) FROM counters WHERE turn = {RESET}") == 0
    for letter in "-s", "-e":
        assert "again" not in grown(path, BEGIN, kernel.wall_ms, letter)[1]
    # of another one of its name, met after one more restart, nobody saw where it began
    kernel.restart("crash")
    kernel.commands.append("interface 9 v0 1500 1000")
    kernel.set("Udp.NoPorts", 2)  # and this one does begin again
    kernel.ticks(7)
    replay(path, kernel.commands)
    v0 = steps(path, "interface.v0.rx_bytes", BEGIN, kernel.wall_ms + 1, "1m")
    assert sum((row["grew"] or 0) + (row["gap_grew"] or 0) for row in v0) == 0
    document, _ = told(path, "-e", kernel.wall_ms, "--by", "interface")
    assert {row["interface"]: row["rx_bytes"] for row in document["rows"]} == {"lo": 800, "v0": 1000}
    # of what is shown alone is said that it began again
    for args, n in (("-s",), 1), (("-s", "-p", "udp"), 1), (("-s", "-p", "tcp"), 0), (("-e",), 0), (("-e", "-s"), 1):
        assert ("1 counter began again from 0" in grown(path, BEGIN, kernel.wall_ms, *args)[1]) == bool(n), args
    # and one that has counted nothing shows nothing of those before, whether the recorder sees it come or not
    for come_back in "stop", "crash", None:
        kernel.commands.append("interface 9 -")
        kernel.ticks(2)
        if come_back:
            kernel.restart(come_back)
        if come_back == "stop":
            kernel.ticks(2)
        kernel.commands.append("interface 10 v0 1500 0")
        kernel.ticks(7)
        replay(path, kernel.commands)
        rows = told(path, "-e", kernel.wall_ms, "--by", "interface")[0]["rows"]
        assert {row["interface"]: row["rx_bytes"] for row in rows} == {"lo": 800, "v0": 0}, come_back
        kernel.commands += ["interface 10 -", "interface 9 v0 1500 1000"]
        kernel.ticks(7)


@pytest.mark.parametrize("letter", ["-r", "-e", "-s"])
def test_when_the_recorder_was_killed_nothing_was_read_from_then_on(path, letter):
    kernel = Kernel()
    kernel.set(NAME, 7)
    kernel.ticks(20)
    kernel.commands.append("crash")
    replay(path, kernel.commands)
    last, = snapshots(path)[-1:]
    assert count(path, "SELECT count(*) FROM recordings WHERE ended_ms IS NULL") == 1
    for again in False, True:
        if again:
            kernel.wait(40_000)
            kernel.restart("crash")
            kernel.ticks(3)
            replay(path, kernel.commands)
        for ms, in_gap in (last, 0), (last + 5_000, 0), (last + 16_000, 1), (last + 39_000, 1):
            document, said = told(path, letter, ms)
            assert (document["in_gap"], "nothing was read at that time" in said) == (in_gap, bool(in_gap)), (again, ms - last)
    assert told(path, letter, kernel.wall_ms)[0]["in_gap"] == 0


def test_a_gauge_has_in_each_step_what_was_read_in_it(path):
    kernel = Kernel()
    kernel.set("sockstat.UDP.inuse", 5)
    kernel.ticks(7)
    kernel.commands.append("stop")
    kernel.wait(3 * MINUTE)
    kernel.set("sockstat.UDP.inuse", 0)
    kernel.restart("stop")
    kernel.ticks(13)
    replay(path, kernel.commands)
    rows = steps(path, "sockstat.UDP.inuse", BEGIN, BEGIN + 6 * MINUTE, "1m")
    assert [(row["min"], row["max"], row["last"]) for row in rows] == [
        (5, 5, 5), (5, 5, 5), (None, None, None), (None, None, None), (0, 0, 0), (0, 0, 0)]


def test_counters_that_stayed_0_are_known_and_steps_are_told_in_minutes(path):
    kernel = Kernel()
    kernel.commands.append("interface 1 lo 65536 800")
    kernel.ticks(13)
    replay(path, kernel.commands)
    assert [row["grew"] for row in steps(path, "interface.lo.rx_errors", BEGIN, BEGIN + 2 * MINUTE, "1m")] == [0, 0]
    for args in ("-e",), ("-e", "--by", "interface"):
        rows = grown(path, BEGIN, kernel.wall_ms, *args)[0]["rows"]
        assert {row["counter"] for row in rows} >= {"rx_errors", "tx_errors", "rx_dropped", "rx_missed", "tx_carrier"}
    short = connhist("--db", path, "report", "--counter", NAME, "--step", "30s", status=2)
    assert short.stderr == "connhist: --step 30s is too short; it must be at least 1m\n"
