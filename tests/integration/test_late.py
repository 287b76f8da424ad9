# SPDX-License-Identifier: MIT
"""Sockets whose program closes them long after their connection was over, and connections that nobody closed: given up,
or never answered. The record has each once, and says of none what was not."""
import time
from collections import Counter

import pytest

from conftest import count, query, strict_json, wait_until
from record_files import hold_exact, hold_whole
from test_again import PRELUDE, run
from test_events import both, wait_past
from test_exactness import replay

__all__ = ["both"]  # a fixture

LATE = """
at = listener(8401)
pairs = [pair(at) for _ in range(20)]
ports = [port(client) for client, _ in pairs]
for client, server in pairs:
    client.send(b"x" * 100)
    assert len(server.recv(100, socket.MSG_WAITALL)) == 100
step()
for n, (client, server) in enumerate(pairs):
    if n % 2:
        abort(server)
    else:  # in good order, but the program keeps the socket
        client.shutdown(socket.SHUT_WR); assert server.recv(1) == b""; server.close(); assert client.recv(1) == b""
step(*ports)
for client, _ in pairs:
    client.close()
"""


def told(recorder, ask, ports):
    rows = [row for row in ask("list", "--port", 8401)["rows"] if row["local_port"] in ports]
    return {row["local_port"]: row for row in rows}, Counter(row["local_port"] for row in rows if row["state"] != "CLOSE")


HELD = """
at = listener(8402)
pairs = [pair(at) for _ in range(20)]
for client, server in pairs:
    client.send(b"x" * 100)
    client.shutdown(socket.SHUT_WR)
    assert len(server.recv(100, socket.MSG_WAITALL)) == 100 and server.recv(1) == b""
step()
for n, (client, server) in enumerate(pairs):
    if n % 2:  # the FIN goes to what close() leaves
        client.close()
        server.close()
    else:  # to the socket that the program holds
        server.send(b"y" * 50)
        server.close()
        assert len(client.recv(50, socket.MSG_WAITALL)) == 50 and client.recv(1) == b""
        client.close()
step()
"""


def test_a_socket_held_in_fin_wait2_received_what_it_received(netns, db, record, ask):
    recorder = record(netns, "--interval", "300ms")
    wait_past(recorder)
    process = netns.python(PRELUDE + HELD)
    try:
        for _ in range(2):
            assert process.stdout.readline() == "[]\n"
            recorder.wait_snapshots(2)
            process.stdin.write("\n")
            process.stdin.flush()
        process.wait()
    finally:
        process.kill()
        process.communicate()
    wait_until(lambda: count(db, "SELECT count(*) FROM open_facts WHERE closed_by IS NOT NULL") == 20, "all last words")
    rows = [row for row in ask("list", "--port", 8402, "--role", "client")["rows"] if row["remote_port"] == 8402]
    assert len(rows) == 20
    for row in rows:
        assert row["tx_bytes"] == 100 and row["state"] == "TIME_WAIT", row
        payload = 50 if row["rx_bytes"] >= 50 else 0
        assert row["rx_bytes"] - payload in ((0, 1) if row["rx_uncertain"] else (0,)), row
    assert sum(row["rx_bytes"] >= 50 for row in rows) == 10


@pytest.mark.parametrize("seen", [True, False], ids=["seen", "unseen"])
def test_a_close_long_after_the_end_makes_no_second_row(netns, db, record, ask, seen):
    """The gap spans several snapshots; tests/replay has a minute of it."""
    recorder = record(netns, "--interval", "400ms")
    wait_past(recorder)
    process = netns.python(PRELUDE + LATE)
    try:
        assert process.stdout.readline() == "[]\n"
        if seen:
            recorder.wait_snapshots()
        process.stdin.write("\n")
        process.stdin.flush()
        ports = strict_json(process.stdout.readline())
        over_ms = time.time_ns() // 1_000_000
        wait_past(recorder)
        time.sleep(2)  # the kernel's word must come later than it could by itself
        recorder.wait_snapshots()
        before, _ = told(recorder, ask, ports)
        process.stdin.write("\n")
        process.stdin.flush()
        process.wait()
    finally:
        process.kill()
        process.communicate()
    wait_past(recorder)
    hold_whole(db)
    hold_exact(db)
    rows, number = told(recorder, ask, ports)
    assert number == Counter(ports)
    for n, one in enumerate(ports):
        row = rows[one]
        if n % 2:
            assert row["closed_by"] in ("reset", "unknown") and row["tx_bytes"] == 100, row
            assert row["closed_ms"] - over_ms < 1900, "it was over long before its close()"
        else:
            assert row["state"] == "TIME_WAIT" and row["closed_ms"] is None and row["closed_by"] == "local", row
    if seen:
        assert set(before) == set(ports)
    print(len(before), "known before their close(),", sum(row["tx_bytes"] == 100 for row in rows.values()), "with facts")


GIVEN_UP = """
import subprocess
def keep_alive(end):
    end.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option in socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL, socket.TCP_KEEPCNT:
        end.setsockopt(socket.IPPROTO_TCP, option, 1)
def await_death(end):
    while end.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != 7:
        time.sleep(0.02)
clients = [socket.create_connection(("10.9.0.1", 8402)) for _ in range(12)]
unanswered = []
sys.stdin.readline()
for n, client in enumerate(clients):
    if n % 3 == 0:
        keep_alive(client)
    else:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 500)
        client.send(b"x" * 10)
print(json.dumps([port(client) for client in clients]))
sys.stdin.readline()
for client in clients:
    await_death(client)
    client.close()
for n in range(4):
    client = socket.socket()
    client.setblocking(False)
    try:
        client.connect(("10.9.0.1", 8403))
    except BlockingIOError:
        pass
    unanswered.append(port(client))
    client.close()
print(json.dumps(unanswered))
"""

SERVE = """
at = socket.create_server(("10.9.0.1", 8402))
print("ready")
ends = [at.accept()[0] for _ in range(12)]
print("all")
sys.stdin.readline()
"""


def test_what_was_given_up_is_not_told_as_reset(both, db, record, ask):
    server, client = both
    recorder = record(client, "--interval", "500ms")
    wait_past(recorder)
    serving = server.python(PRELUDE + SERVE)
    assert serving.stdout.readline() == "ready\n"
    process = client.python(PRELUDE + GIVEN_UP)
    try:
        assert serving.stdout.readline() == "all\n"
        server.run("ip", "link", "set", "veth0", "down")
        process.stdin.write("\n\n")
        process.stdin.flush()
        ports = strict_json(process.stdout.readline())
        unanswered = strict_json(process.stdout.readline())
        process.wait()
    finally:
        for one in process, serving:
            one.kill()
            one.communicate()
    wait_past(recorder)
    rows = [row for row in ask("list", "--proto", "tcp")["rows"] if row["local_port"] in {*ports, *unanswered}]
    assert Counter(row["local_port"] for row in rows) >= Counter(ports)
    assert {row["closed_by"] for row in rows} <= {"timeout", "unknown"}, rows
    print(len(rows), "rows of", len(ports), "and", len(unanswered))


def test_a_refusal_that_the_program_did_not_wait_for_is_a_reset_or_unknown(netns, db, record, ask):
    recorder = record(netns, "--interval", "500ms")
    wait_past(recorder)
    ports, = run(netns, """
ports = []
for _ in range(10):
    client = socket.socket()
    client.setblocking(False)
    try:
        client.connect(("127.0.0.1", 8404))
    except (BlockingIOError, ConnectionRefusedError):
        pass
    ports.append(port(client))
    client.close()
print(json.dumps(ports))
""")
    wait_past(recorder)
    rows = [row for row in ask("list", "--proto", "tcp")["rows"]]
    assert {row["closed_by"] for row in rows} <= {"reset", "unknown"}
    assert len(rows) >= len({one for one in ports if one})
    print(Counter(row["closed_by"] for row in rows), query(db, "SELECT closings, unconnected FROM recordings"))


# A made-up kernel and clock: a client of port 443 in each snapshot's dump or not, and what the file makes of it.

PEER = "192.0.2.1 443 198.51.100.7 40000"
DUMPED = {
    "up": f"sample tcp 4 {PEER} ESTABLISHED 77 82 1000 0 0 0 0 0 2",
    "waits": f"sample tcp 4 {PEER} TIME_WAIT 77 0 -1 0 3 50000 0 0 0",
    "interrupted": "fail",
}


def play_client(path, *ticks):
    """Takes a snapshot for each word, and gives the client's rows, [opened, first seen, closed, by whom, what it sent, was
    closed], and the sums of what the rates counted. Times are snapshots, counted from 0."""
    commands = ["events", "clock 5000000000000 1700005000000000000", "start boot-1"]
    for n, word in enumerate(ticks):
        ms = 10_000 * n
        if word.startswith("event"):  # in the middle before the snapshot, which is without it
            ms -= 5000
            commands.append(f"clock {(5_000_000 + ms) * 1_000_000} {(1_700_005_000_000 + ms) * 1_000_000}")
            commands.append(f"event 0 tcp 4 {PEER} 77 2 1 {word[-1]} 0 0 100 1000")
            ms += 5000
        commands.append(f"clock {(5_000_000 + ms) * 1_000_000} {(1_700_005_000_000 + ms) * 1_000_000}")
        if word in DUMPED:
            commands.append(DUMPED[word])
        commands.append("tick")
    replay(path, commands)
    rows = query(path, "SELECT opened_ms, first_seen_ms, closed_ms, closed_by, tx_bytes FROM sockets ORDER BY first_seen_ms")
    at = [tuple(None if ms is None else (ms - 1_700_005_000_000) / 10_000 for ms in row[:3]) + row[3:] for row in rows]
    return at, query(path, "SELECT sum(opened), sum(closed), sum(tx_bytes) FROM rates")[0]


def test_a_close_a_minute_after_the_peers_reset_completes_the_row(tmp_path):
    """The socket leaves the table with the reset, and the kernel tells of it seven snapshots later."""
    path = tmp_path / "reset.db"
    rows, counted = play_client(path, "", "up", "up", *[""] * 7, "event fin 0", "")
    assert rows == [(1, 1, 3, "reset", 100)] and counted[:2] == (1, 1)
    assert count(path, "SELECT count(*) FROM closed") == 1 and count(path, "SELECT count(*) FROM late") == 1


def test_a_snapshot_that_was_interrupted_concludes_nothing_from_absence(tmp_path):
    rows, counted = play_client(tmp_path / "interrupted.db", "", "up", "interrupted", "interrupted", "up", "up")
    assert rows == [(1, 1, None, None, None)] and counted[:2] == (1, 0)


def test_a_socket_that_a_walk_missed_is_not_claimed_to_have_opened_twice(tmp_path):
    rows, counted = play_client(tmp_path / "missed.db", "", "up", "", "up", "up", "event fin 1", "")
    assert rows == [(1, 1, 2, "unknown", None), (None, 3, 4.5, "remote", 100)]
    assert counted[0] == 1 and counted[2] == 100


def test_a_time_wait_that_a_walk_missed_is_counted_once(tmp_path):
    rows, counted = play_client(tmp_path / "waits.db", "", "up", "waits", "", "waits", "")
    assert [row[3] for row in rows] == ["local", "local"] and counted[:2] == (1, 1)
