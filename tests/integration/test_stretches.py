# SPDX-License-Identifier: MIT
"""Sockets that change hands: whose they were at each time, of made-up processes of which the test knows the truth."""
import json
import random
import sqlite3
import subprocess

import pytest
from test_owners import REPLAY, START_MS, WALL_MS, Host, Record, server

INTERVAL_MS = 10_000
SETTLED = 12  # ticks after which every socket of few processes was looked at, twice if need be


@pytest.fixture(name="record")
def make_record(tmp_path):
    return lambda host: Record(tmp_path / "stretches.db", host)


def at_ms(tick):
    """The wall time of a snapshot, from 1."""
    return WALL_MS + START_MS + tick * INTERVAL_MS


def now(host):
    return (host.boot_ms - START_MS) // INTERVAL_MS


def spans(made, where="1"):
    """Begin and end as numbers of the first snapshot inside and the first behind, and whose it was."""
    database = sqlite3.connect(made.path)
    rows = database.execute("SELECT from_ms, until_ms, process, pid, owner_source FROM socket_owners"
                            f" WHERE {where} ORDER BY from_ms").fetchall()
    database.close()

    def tick(ms):
        return None if ms is None else -(-(ms - at_ms(0)) // INTERVAL_MS)

    return [(tick(start), tick(end), *rest) for start, end, *rest in rows]


def table(made, tick, *more):
    done = json.loads(made.ask("netstat", "-an", "--at", f"@{at_ms(tick) / 1000:.3f}", "--format", "json", *more))
    return [(row["pid"], row["process"], row["owner_source"]) for row in done["rows"]]


def who(made, first, last, port=80):
    done = json.loads(made.ask("who", "--port", str(port), "--since", f"@{at_ms(first) // 1000}",
                               "--until", f"@{at_ms(last) // 1000}", "--format", "json"))
    return done["rows"]


def pass_on(host, giver, taker, inode=6):
    host.do(f"lets {giver} {inode}")
    host.do(f"holds {taker} {inode}")


def passed(host, before=8):
    """A listener on port 80, cookie 1, that web gives to heir. The tick from which on heir has it."""
    server(host)
    host.process(200, "heir")
    host.tick(before)
    pass_on(host, 100, 200)
    return before + 1


def test_who_had_a_socket_before_is_named_for_that_time(record):
    host = Host()
    given = passed(host)
    host.tick(SETTLED)
    made = record(host)
    (first, seen, *giver), (lost, found, *between), (again, end, *taker) = spans(made)
    assert giver == ["web", 100, "inode"] and between == [None, None, "unknown"] and taker == ["heir", 200, "inode"]
    assert first == 1 and 1 < seen == lost <= given <= found == again <= given + SETTLED and end is None
    for tick in range(1, now(host) + 1):
        expected = giver if tick < seen else between if tick < found else taker
        assert table(made, tick) == [(expected[1], expected[0], expected[2])]
    assert made.rows("pid, process, owner_source") == [(200, "heir", "inode")]


def test_who_names_each_holder_in_turn(record):
    host = Host()
    given = passed(host)
    host.tick(SETTLED)
    made = record(host)
    rows = who(made, 1, now(host))
    assert [row["process"] for row in rows] == ["web", None, "heir"]
    giver, _, taker = rows
    assert giver["until_ms"] is None and taker["from_ms"] is None
    # the bounds hold the moment at which it was passed on
    assert giver["last_seen_ms"] < at_ms(given) <= giver["until_before_ms"]
    assert taker["from_after_ms"] < at_ms(given) <= taker["first_seen_ms"]


def test_counts_belong_to_whoever_had_the_sockets_then(record):
    host = Host()
    host.process(100, "giver")
    host.process(200, "taker")
    for cookie in (2, 3, 4):
        host.do(f"holds 100 {cookie + 5}")
        host.socket(cookie, "ESTABLISHED", 40000 + cookie, 5432, opener=1)
    host.tick(4)
    pass_on(host, 100, 200, inode=7)
    host.tick(SETTLED)
    made = record(host)
    done = json.loads(made.ask("report", "--by", "process", "--state", "ESTABLISHED", "--step", "10s", "--since",
                               f"@{at_ms(1) // 1000}", "--until", f"@{at_ms(now(host)) // 1000 + 9}", "--format",
                               "json"))
    counts = {(row["at_ms"], row["process"]): row["max"] for row in done["rows"]}
    for tick in range(1, now(host) + 1):
        names = [name for _, name, _ in table(made, tick)]
        for name in ("giver", "taker", None):
            assert counts.get((at_ms(tick), name), 0) == names.count(name)
    assert counts[at_ms(1), "giver"] == 3 and counts[at_ms(now(host)), "taker"] == 1


def test_what_is_asked_of_a_process_finds_what_it_had(record):
    host = Host()
    passed(host)
    host.tick(SETTLED)
    made = record(host)
    end = now(host)

    def found(process, first, last):
        return len(json.loads(made.ask("list", "--process", process, "--since", f"@{at_ms(first) // 1000}", "--until",
                                       f"@{at_ms(last) // 1000 + 5}", "--format", "json"))["rows"])

    assert found("web", 1, end) == found("heir", 1, end) == 1
    assert found("web", 1, 1) == 1 and found("heir", 1, 1) == 0
    assert found("web", end, end) == 0 and found("heir", end, end) == 1
    assert table(made, 1, "--process", "heir") == [] and len(table(made, end, "--process", "heir")) == 1
    assert len(table(made, 1, "--pid", "100")) == 1 and table(made, end, "--pid", "100") == []


def test_a_socket_that_nobody_was_seen_to_have_for_a_time_was_nobodys_then(record):
    host = Host()
    server(host)
    host.process(200, "heir")
    host.tick(8)
    host.do("lets 100 6")
    host.tick(SETTLED)
    taken = now(host)
    host.do("holds 200 6")
    host.tick(64)  # it is looked for less and less
    made = record(host)
    giver, between, heir = spans(made)
    assert giver[2:] == ("web", 100, "inode") and heir[2:] == ("heir", 200, "inode")
    assert between[2:] == (None, None, "unknown") and between[0] < taken < between[1] == heir[0]
    assert table(made, taken) == [(None, None, "unknown")] and table(made, now(host)) == [(200, "heir", "inode")]
    assert [row["process"] for row in who(made, 1, now(host))] == ["web", None, "heir"]


def test_a_new_name_holds_from_when_it_was_seen(record):
    host = Host()
    host.process(100, "before")
    host.do("holds 100 7")
    host.socket(2, "ESTABLISHED", 40000, 5432, opener=1)
    host.tick(3)
    host.process(100, "after")
    host.tick(3)
    made = record(host)
    names = [table(made, tick)[0][1] for tick in range(1, 7)]
    assert names == ["before"] * 3 + ["after"] * 3
    assert [span[2:] for span in spans(made)] == [("before", 100, "inode"), ("after", 100, "inode")]


def test_what_was_not_known_at_first_is_no_change(record):
    host = Host()
    host.process(100, "web")
    host.do("hidden 100")
    host.do("holds 100 7")
    host.socket(2, "ESTABLISHED", 40000, 5432, opener=1)
    host.tick(2)
    host.do("seen 100")
    host.tick(9)
    host.process(99, "older")  # one more that holds it: which of them is named first is no change of hands
    made = record(host)
    assert [span[2:] for span in spans(made)] == [("web", 100, "inode")]
    database = sqlite3.connect(made.path)
    assert database.execute("SELECT count(*) FROM owner_changes").fetchone() == (0,)
    database.close()


@pytest.mark.parametrize("how", ["stop", "crash"])
def test_earlier_owners_go_on_over_a_restart(record, how):
    host = Host()
    passed(host)
    host.process(300, "third")
    host.tick(SETTLED)
    before = now(host)
    host.commands += [how, "start boot-1"]
    host.tick(SETTLED)
    pass_on(host, 200, 300)
    host.tick(SETTLED)
    host.close(1)
    host.tick(2)
    made = record(host)
    named = [span[2] for span in spans(made, "local_port = 80")]
    assert [name for name in named if name] == ["web", "heir", "third"]
    assert table(made, 1) == [(100, "web", "inode")] and table(made, before) == [(200, "heir", "inode")]
    database = sqlite3.connect(made.path)
    assert database.execute("SELECT life IS NOT NULL, traits >> 9 & 1 FROM closed").fetchall() == [(1, 1)]
    database.close()


def test_earlier_owners_are_told_to_a_file_begun_anew(tmp_path):
    host = Host()
    passed(host)
    host.tick(SETTLED)
    path = tmp_path / "stretches.db"
    with subprocess.Popen([REPLAY, path, "on", "64"], text=True, stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as replay:
        replay.stdin.write("\n".join([*host.commands, "tables"]) + "\n")
        replay.stdin.flush()
        while "end\n" not in (line := replay.stdout.readline(), ""):
            assert line
        for end in ("", "-wal", "-shm"):
            path.with_name(path.name + end).unlink()
        host.commands = []
        host.tick(3)
        replay.communicate("\n".join(host.commands) + "\n", timeout=60)
    assert replay.returncode == 0
    database = sqlite3.connect(path)
    assert database.execute("SELECT process FROM socket_owners ORDER BY from_ms").fetchall() == [
        ("web",), (None,), ("heir",)]
    database.close()


def test_of_one_that_goes_from_hand_to_hand_the_last_are_kept(record):
    host = Host()
    server(host)
    for pid in range(101, 115):
        host.process(pid, f"p{pid}")
    host.tick(8)
    for pid in range(101, 115):
        pass_on(host, pid - 1, pid)
        host.tick(SETTLED)
    made = record(host)
    rows = spans(made)
    assert [row[2] for row in rows][-1] == "p114" and rows[0][2] is None and rows[0][0] == 1
    assert [row[2] for row in rows if row[2]] == [f"p{pid}" for pid in range(115 - len([1 for r in rows if r[2]]), 115)]
    assert 3 <= len(rows) <= 9


def test_one_that_has_ended_has_nothing_any_more_whoever_it_is_that_does(record):
    host = Host()
    host.process(100, "giver")
    host.do("holds 100 7")
    host.socket(2, "ESTABLISHED", 40000, 5432, opener=1)
    host.tick(2)
    host.do("ended 100")
    host.tick()  # that it ended is seen here
    host.do("late")
    host.tick()  # and that the socket is there still, though nobody can be looked at
    host.mini(2, 40000, 5432)
    host.tick(2)
    made = record(host)
    assert made.rows("pid, owner_source, state") == [(None, "unknown", "TIME_WAIT")]
    assert table(made, 1) == [(100, "giver", "inode")]


@pytest.mark.parametrize("after_ms, names", [(200, [(100, "inode")] * 2), (5000, [(100, "inode"), (None, "unknown")])])
def test_what_its_owner_was_not_seen_with_at_the_last_look_is_not_claimed_for_it(record, after_ms, names):
    """Closed just then, it was; closed well after the look, it may have been in flight to somebody else."""
    host = Host(events=True)
    host.process(100, "giver")
    host.do("holds 100 7")
    host.socket(2, "ESTABLISHED", 40000, 5432, opener=1)
    host.tick(3)
    host.do("lets 100 7")
    host.tick(2)  # at the fifth its owner's sockets are looked at
    host.boot_ms += after_ms
    host.clock()
    host.boot_ms -= after_ms
    host.do("event 0 tcp 4 192.0.2.1 40000 198.51.100.7 5432 2 1 1 1 0 0 100 1000")
    host.close(2)
    host.tick(2)
    made = record(host)
    assert made.rows("pid, owner_source") == names[1:]
    assert [(row[0], row[2]) for tick in (1, 5) for row in table(made, tick)] == names


@pytest.mark.parametrize("seed", range(12))
def test_nobody_is_ever_named_who_did_not_have_it(record, seed):
    """Sockets go from hand to hand at random; each snapshot's table is held against the truth."""
    rng = random.Random(seed)
    host = Host()
    pids, cookies, truth, holds = range(100, 105), range(2, 7), [], {}
    for pid in pids:
        host.process(pid, f"p{pid}")
    for cookie in cookies:
        holds[cookie] = rng.choice(pids)
        host.do(f"holds {holds[cookie]} {cookie + 5}")
        host.socket(cookie, "ESTABLISHED", 40000 + cookie, 5432, opener=1)
    for _ in range(rng.randint(2, 5)):
        for cookie in rng.sample(cookies, rng.randint(0, 3)):
            host.do(f"lets {holds[cookie]} {cookie + 5}")
            holds[cookie] = rng.choice(pids)
            host.do(f"holds {holds[cookie]} {cookie + 5}")
        for _ in range(rng.randint(24, 60)):  # so that each is looked at before it changes again
            host.tick()
            truth.append({40000 + cookie: pid for cookie, pid in holds.items()})
        if rng.random() < 0.3:
            host.restart()
    for _ in range(60):
        host.tick()
        truth.append({40000 + cookie: pid for cookie, pid in holds.items()})
    made = record(host)
    known = 0
    for tick in range(1, len(truth) + 1, 3):
        done = json.loads(made.ask("netstat", "-an", "--at", f"@{at_ms(tick) / 1000:.3f}", "--format", "json"))
        for row in done["rows"]:
            assert row["pid"] in (None, truth[tick - 1][row["local_port"]]), (tick, row)
            known += row["pid"] is not None
    assert known > len(truth) / 3 * len(cookies) / 2


@pytest.mark.parametrize("ends", [True, False])
def test_one_that_held_it_too_has_it_from_when_the_earlier_one_ended_or_was_seen_last(record, ends):
    host = Host()
    server(host)
    host.process(200, "heir", start=2000)
    host.do("holds 200 6")
    host.tick(SETTLED)
    handed = now(host) + 1
    host.do("ended 100" if ends else "lets 100 6")
    host.tick(SETTLED)
    made = record(host)
    (_, end, *first), (begin, last, *second) = spans(made)
    assert (first, second, last) == (["web", 100, "inode"], ["heir", 200, "inode"], None)
    assert end == begin and (end == handed if ends else end <= handed), "nobody holds it in between"
    rows = [row for row in who(made, 1, handed + SETTLED) if row["use"] == "listener"]
    assert [row["pid"] for row in rows] == [100, 200]


def test_a_listener_whose_owner_ended_is_its_heirs_within_two_snapshots_among_many_processes(record):
    host = Host()
    server(host)
    for n in range(300):  # each holds a connection
        host.process(1000 + n, f"p{n}")
        host.socket(10 + n, "ESTABLISHED", 50000 + n, 443)
        host.do(f"holds {1000 + n} {15 + n}")
    host.process(200, "heir", start=2000)
    host.do("holds 200 6")
    host.tick(SETTLED)
    handed = now(host) + 1
    host.do("ended 100")
    host.tick(2)
    made = record(host)
    assert [row[2:] for row in spans(made, "local_port = 80")] == [("web", 100, "inode"), ("heir", 200, "inode")]
    assert table(made, handed + 1, "--port", "80") == [(200, "heir", "inode")]
