# SPDX-License-Identifier: MIT
"""A scan of all ports, and servers at a new port each time, leave a bounded number of services in the file, whatever the
recorder goes through; what they were counted as is told, and no count lacks a socket."""
import random

import pytest

from conftest import query
from soak import DAY, MIB, Soak

PLACES = 64


@pytest.fixture
def make(tmp_path):
    made = []

    def start():
        made.append(Soak(tmp_path / "scan.db", DAY // 24, 64 * MIB, 8 * MIB, before=[f"services {PLACES}"]))
        return made[-1]

    yield start
    for each in made:
        if each.process.poll() is None:
            each.kill()


def scan(s, dice, n):
    """A snapshot in which a program has n peers at ports of any kind, and another listens at n new ports."""
    s.boot_ms += s.interval_ms
    s.clock()
    for _ in range(n):
        s.cookie += 2
        s.tell(f"sample tcp 4 192.0.2.1 {32768 + s.cookie % 28000} 198.51.100.7 {dice.randrange(1, 65536)} SYN_SENT "
               f"{s.cookie} {s.cookie} 1000 0 0 0 0 0 1",
               f"sample tcp 4 0.0.0.0 {dice.randrange(32768, 61000)} 0.0.0.0 0 LISTEN {s.cookie + 1} {s.cookie + 1} 1000 0 0 0 0 128 0")
    s.tell("sample tcp 4 0.0.0.0 443 0.0.0.0 0 LISTEN 7 7 0 0 0 0 0 128 0", "tick")
    s.truth.append((s.boot_ms, 2 * n + 1))
    s.sync()


def test_months_of_scans_leave_few_services_and_every_socket_is_counted(make, ask):
    s, dice = make(), random.Random(3)
    for hour in range(30 * 24):
        if hour % 100 == 99:
            s.restart()
        scan(s, dice, 20)
    s.end()
    told_apart = query(s.path, "SELECT port FROM services WHERE port > 0")
    assert PLACES // 2 < len(told_apart) <= PLACES and (443,) in told_apart
    assert sorted(query(s.path, "SELECT protocol, role FROM services WHERE port = -1")) == [(6, 1), (6, 2)]
    # of each hour the counts say how many there were
    for at_ms, total in query(s.path, "SELECT at_ms, sum(count) FROM tallies WHERE at_ms IN"
                                      " (SELECT start_ms FROM snapshots WHERE anchor) GROUP BY at_ms"):
        assert total == 41, at_ms
    assert query(s.path, "SELECT count(*) FROM snapshots WHERE anchor") == [(len(s.truth),)]
    folded, = query(s.path, "SELECT sum(services_other) FROM recordings")[0]
    assert folded > len(s.truth) * 30
    # a port that has no place of its own may be among the others, and one that has is told
    span = "--since", f"@{(s.truth[0][0] + 1_700_000_000_000) / 1000 - 1:.0f}"
    unknown = next(port for port in range(61000, 65536) if (port,) not in told_apart)
    assert ask("report", "--port", unknown, "--role", "server", *span, path=s.path)["other_sockets"] == 20
    rows = ask("report", "--port", "443", *span, path=s.path)["rows"]
    assert {row["max"] for row in rows if row["max"] is not None} == {1}


def test_the_day_after_a_scan_there_are_places_again(make):
    s, dice = make(), random.Random(4)
    for _ in range(26):
        scan(s, dice, 30)
    first = query(s.path, "SELECT count(*) FROM services WHERE port > 0")[0][0]
    for _ in range(24):
        scan(s, dice, 30)
    s.end()
    assert query(s.path, "SELECT count(*) FROM services WHERE port > 0")[0][0] > first


def living(s):
    """A snapshot in which each of four namespaces has servers at ten ports, and a client at another."""
    s.boot_ms += s.interval_ms
    s.clock()
    for place in range(4):
        s.tell(f"into {place}")
        for port in range(8000, 8010):
            s.cookie += 1
            s.tell(f"sample tcp 4 0.0.0.0 {port} 0.0.0.0 0 LISTEN {s.cookie} {s.cookie} 0 0 0 0 0 128 0")
        s.cookie += 1
        s.tell(f"sample tcp 4 192.0.2.1 40000 198.51.100.7 443 ESTABLISHED {s.cookie} {s.cookie} 0 0 0 0 0 0 1")
    s.tell("tick")
    s.sync()


def all_are_told_apart(s, namespaces):
    assert query(s.path, "SELECT count(*) FROM services WHERE port = -1") == [(0,)]
    assert query(s.path, "SELECT sum(services_other) FROM recordings") == [(0,)]
    assert query(s.path, "SELECT count(*) FROM services WHERE port > 0") == [(namespaces * 11,)]


def test_after_hundreds_of_boots_the_containers_of_now_have_their_places(make):
    s = make()
    s.tell("namespaces 4")
    for boot in range(100):
        s.tell("stop", f"start boot-{boot + 2}")
        living(s)
    s.end()
    all_are_told_apart(s, 4 * 100)


def test_after_hundreds_of_containers_those_of_now_have_their_places(make):
    s = make()
    s.tell("namespaces 4")
    for round in range(250):
        s.tell("born 1", "born 2", "born 3")
        living(s)
        if round == 150:
            s.restart()
    s.end()
    all_are_told_apart(s, 3 * 250 + 1)
