# SPDX-License-Identifier: MIT
"""Sockets whose program closes them long after their connection was over, and connections that nobody closed: given up,
or never answered. The record has each once, and says of none what was not."""
import time
from collections import Counter

import pytest

from conftest import query, strict_json
from record_files import hold_exact, hold_whole
from test_again import PRELUDE, run
from test_events import both, wait_past

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
            assert row["state"] == "TIME_WAIT" and row["closed_ms"] is None and row["closed_by"] is None, row
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
