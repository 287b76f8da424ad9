# SPDX-License-Identifier: MIT
"""The same endpoints, or the same socket, used by one connection after the other, faster than snapshots come: each use is
one row, or what lacks is counted; none is mixed with another. The uses are told apart by what they sent."""
import time
from collections import Counter

import pytest

from conftest import count, strict_json, wait_until
from record_files import hold_exact, hold_whole
from test_events import PRELUDE, wait_past

USES = """
at = listener(8201)
def use(n, kind, client_port=45678):
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    client.bind(("127.0.0.1", client_port))
    for _ in range(5000):
        try:
            client.connect(at.getsockname())
            break
        except OSError:  # the kernel holds a TIME_WAIT for a time
            time.sleep(0.001)
    server = at.accept()[0]
    client.send(b"x" * (100 + n))
    assert len(server.recv(100 + n, socket.MSG_WAITALL)) == 100 + n
    server.send(b"y" * (400 + n))
    assert len(client.recv(400 + n, socket.MSG_WAITALL)) == 400 + n
    if kind == "server":
        server.close(); assert client.recv(1) == b""; client.close()
    elif kind == "client":
        client.close(); assert server.recv(1) == b""; server.close()
    elif kind == "reset by client":
        abort(client)
        try:
            server.recv(1)
        except ConnectionResetError:
            server.close()
    elif kind == "reset by server":
        abort(server)
        try:
            client.recv(1)
        except ConnectionResetError:
            client.close()
    return n, kind
"""

ORDERS = {
    "a TIME_WAIT each time at the server": ["server"] * 60,
    "a TIME_WAIT each time at the client": ["client"] * 60,
    "no TIME_WAIT": ["reset by client", "reset by server"] * 30,
    "all mixed": ["server", "reset by client", "client", "client", "reset by server", "server", "client"] * 9,
}

WORDS = {  # what may be said at an end that closed first, and at the other
    "server": (("remote", "unknown"), ("local", "unknown")),
    "client": (("local", "unknown"), ("remote", "unknown")),
    "reset by client": (("reset", "unknown"), ("reset", "unknown")),
    "reset by server": (("reset", "unknown"), ("reset", "unknown")),
}


def run(netns, code, *args):
    """Runs a program of the test's own and gives what it says it did."""
    process = netns.python(PRELUDE + code, *args)
    try:
        out, _ = process.communicate(timeout=120)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0
    return [strict_json(line) for line in out.splitlines()]


def hold_uses(rows, uses, at_server):
    """Each use once: by what it sent, or, where its end was aborted unseen, as one whose peer's port nobody knows."""
    told = {}
    for row in rows:
        if row["remote_port"] and row["tx_bytes"] is not None:
            n = row["tx_bytes"] - (400 if at_server else 100)
            assert n not in told, "a use is one row"
            told[n] = row
    assert set(told) <= {n for n, _ in uses}
    for n, kind in uses:
        words = WORDS[kind][at_server]
        if n in told:
            row = told[n]
            other = 100 + n if at_server else 400 + n
            assert row["rx_bytes"] - other in ((0, 1) if row["rx_uncertain"] else (0,)), row
            if row["state"] == "TIME_WAIT":
                # the kernel tells of sockets that end on two CPUs in any order: it may be the neighbour's
                kinds = {other for m, other in uses if abs(m - n) <= 2}
                assert any("local" in WORDS[other][at_server] for other in kinds), (kind, row)
            else:
                assert row["closed_by"] in words, (kind, row)
    return told


@pytest.mark.parametrize("interval", ["100ms", "1s"])
@pytest.mark.parametrize("order", ORDERS)
def test_each_use_of_the_same_endpoints_is_one_row(netns, db, record, ask, order, interval):
    for name in "tcp_tw_reuse", "tcp_tw_reuse_delay":  # the second is new in Linux 6.14: without it a second passes
        netns.run("sysctl", "-qw", f"net.ipv4.{name}=1", check=False)
    recorder = record(netns, "--interval", interval)
    wait_past(recorder)
    code = USES + f"for n, kind in enumerate({ORDERS[order]!r}):\n    print(json.dumps(use(n, kind)))\n"
    uses = run(netns, code)
    assert len(uses) == len(ORDERS[order])
    wait_past(recorder)
    hold_whole(db)
    hold_exact(db)
    rows = [row for row in ask("list", "--proto", "tcp")["rows"] if row["state"] != "LISTEN"]
    sides = Counter()
    for at_server in True, False:
        ends = [row for row in rows if row["local_port"] == (8201 if at_server else 45678)]
        told = hold_uses(ends, uses, at_server)
        aborted = {n for n, kind in uses if kind == ("reset by server" if at_server else "reset by client")}
        nameless = [row for row in ends if not row["remote_port"] or row["tx_bytes"] is None]
        assert len(told) + len(nameless) == len(uses), (len(told), len(nameless))
        assert {n for n, _ in uses} - set(told) <= aborted, "only an abort takes away what was sent"
        sides.update(row["closed_by"] for row in told.values())
    print(order, interval, dict(sides))
    assert count(db, "SELECT closings FROM recordings") >= 2 * len(uses)


# One socket that connects to one peer after the other: its cookie stays, and the kernel tells of the last use alone.

RECONNECTS = {
    "udp": """
end = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
end.bind(("127.0.0.1", 45679))
def go(n):
    end.connect(("127.0.0.1", 8300 + n))
""",
    "udp, disconnected in between": """
end = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
end.bind(("127.0.0.1", 45679))
def go(n):
    if n:
        disconnect(end)
        if n % 3 == 0:
            pause()
    end.connect(("127.0.0.1", 8300 + n))
""",
    "tcp": """
ats = [listener(8300 + n) for n in range(9)]
end = socket.socket()
end.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
end.bind(("127.0.0.1", 45679))
def go(n):
    global last
    if n:
        disconnect(end)
        last.close()
        if n % 3 == 0:
            pause()
    end.connect(ats[n].getsockname())
    last = ats[n].accept()[0]
""",
}

RECONNECT_STEPS = """
seen = set(json.loads(sys.argv[1]))
def pause():
    print("pause")
    sys.stdin.readline()
for n in range(9):
    go(n)
    if n in seen:
        pause()
end.close()
print("end")
"""


def play_reconnects(netns, kind, seen, pace):
    process = netns.python(PRELUDE + RECONNECTS[kind] + RECONNECT_STEPS, str(sorted(seen)))
    try:
        while (line := process.stdout.readline()) == "pause\n":
            pace()
            process.stdin.write("\n")
            process.stdin.flush()
        assert line == "end\n"
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("seen", [range(9), [], [0, 1, 4, 8], [3, 7]], ids=["all seen", "none seen", "some", "others"])
@pytest.mark.parametrize("kind", RECONNECTS)
def test_a_socket_that_connects_elsewhere_is_a_row_for_each_peer(netns, db, record, ask, kind, seen):
    recorder = record(netns, "--interval", "100ms")
    wait_past(recorder)
    play_reconnects(netns, kind, set(seen), recorder.wait_snapshots)
    wait_past(recorder)
    hold_whole(db)
    hold_exact(db)
    rows = [row for row in ask("list", "--port", 45679)["rows"] if row["local_port"] == 45679]
    found = Counter(row["remote_port"] - 8300 for row in rows if row["remote_port"])
    assert set(found) <= set(range(9)) and all(n == 1 for n in found.values()), found
    assert set(seen) <= set(found), "what a snapshot saw is there"
    assert 8 in found or kind == "tcp", "so is what the kernel told of"
    for row in rows:
        assert row["closed_ms"] is not None or row["state"] == "TIME_WAIT", row
        words = ("local", "unknown", None) if row["remote_port"] == 8308 else ("reset", "unknown")
        assert row["closed_by"] in (words if row["protocol"] == "tcp" else ("unknown",)), row
    print(kind, sorted(found), Counter(row["closed_by"] for row in rows))
