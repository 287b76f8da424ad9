# SPDX-License-Identifier: MIT
"""Connections that no snapshot sees: each is in the record once, with what it carried and who closed it, or the record
says what it does not know. Real sockets, in namespaces of the test's own."""
import contextlib
import signal
import sqlite3
import subprocess
import time
from collections import Counter

import pytest

from conftest import BUILD, OWN_ONLY, PATIENCE, SANITIZER, count, query, strict_json, wait_until
from record_files import hold_exact, hold_whole

TRAFFIC = BUILD / "tests" / "integration" / "traffic"
SHORT = 2000 if SANITIZER else 20_000  # connections
PER_SECOND = 300 if SANITIZER else 2000
TIME_WAIT = 60  # s
SERVICES = {8001: ("10.9.0.1", "10.9.0.2"), 8002: ("fd09::1", "fd09::2"), 8003: ("::ffff:10.9.0.1", "10.9.0.2")}


@pytest.fixture
def both(make_netns):
    """Namespaces of a server and a client, joined by veth."""
    server, client = make_netns(), make_netns()
    server.run("ip", "link", "add", "veth0", "type", "veth", "peer", "name", "veth0", "netns", client.name)
    for netns, host in (server, 1), (client, 2):
        netns.run("ip", "address", "add", f"10.9.0.{host}/24", "dev", "veth0")
        netns.run("ip", "address", "add", f"fd09::{host}/64", "dev", "veth0", "nodad")
        netns.run("ip", "link", "set", "veth0", "up")
    return server, client


def start_traffic(both, number, per_second, *first_port):
    paths = [f"/run/netns/{netns.name}" for netns in both]
    return subprocess.Popen([TRAFFIC, *paths, str(number), str(per_second), *map(str, first_port)], text=True, stdout=subprocess.PIPE)


def end_traffic(traffic):
    """The truth: {(client port, server port): (who closed first, client's bytes, server's bytes)}, and the ms it took."""
    out, _ = traffic.communicate(timeout=600)
    assert traffic.returncode == 0
    *lines, took = [line.split() for line in out.splitlines()]
    truth = {(int(line[0]), int(line[1])): (line[2], int(line[3]), int(line[4])) for line in lines}
    assert len(truth) == len(lines)
    return truth, int(took[1])


def wait_past(recorder, patience=PATIENCE):
    """Waits until all that ended up to now is in the file: for two snapshots that began later."""
    now_ms = time.time_ns() // 1_000_000
    wait_until(lambda: recorder.snapshots(f"status = 0 AND start_ms > {now_ms}") >= 2, "two snapshots", patience)


def bare(address):
    return address.removeprefix("::ffff:")


def short_rows(ask, path, netns, port):
    """TCP rows of connections to a service, by the client's and the server's port; no listeners."""
    rows = ask("list", "--proto", "tcp", "--port", port, path=path, netns=netns)["rows"]
    return [row for row in rows if row["remote_port"]]


def hold_short(rows, truth, port, at_server, ended):
    """Each connection of a service once, as it was. Gives how many rows are flagged, and how many of those are off."""
    wanted = {key: value for key, value in truth.items() if key[1] == port}
    found = Counter((row["remote_port"], port) if at_server else (row["local_port"], port) for row in rows)
    assert found == Counter(wanted.keys()), (
        f"{len(wanted - found.keys())} lack, {sum(n - 1 for n in found.values() if n > 1)} too many")
    flagged = off = 0
    for row in rows:
        server, client = SERVICES[port]
        mine, theirs = (server, client) if at_server else (client, server)
        assert (bare(row["local_address"]), bare(row["remote_address"])) == (bare(mine), bare(theirs))
        assert row["role"] == ("server" if at_server else "client"), row
        first, client_bytes, server_bytes = wanted[(row["remote_port"] if at_server else row["local_port"]), port]
        sent, received = (server_bytes, client_bytes) if at_server else (client_bytes, server_bytes)
        if row["tx_bytes"] is None and not ended and row["state"] == "TIME_WAIT":
            continue  # a snapshot saw it open: its facts come with its end
        assert row["tx_bytes"] == sent, row
        assert row["rx_bytes"] - received in ((0, 1) if row["rx_uncertain"] else (0,)), row
        flagged += row["rx_uncertain"]
        off += row["rx_bytes"] != received
        local = first == ("server" if at_server else "client")
        assert row["closed_by"] == ("local" if local else "remote"), row
        assert row["opened_ms"] is None or row["opened_ms"] <= row["first_seen_ms"]
        assert row["state"] == "TIME_WAIT" or not local, row
    return flagged, off


def hold_all_short(ask, sides, truth, ended):
    for path, netns, at_server in sides:
        total = Counter()
        for port in SERVICES:
            rows = short_rows(ask, path, netns, port)
            flagged, off = hold_short(rows, truth, port, at_server, ended)
            total.update(rows=len(rows), flagged=flagged, off=off)
        print("server" if at_server else "client", dict(total))
        assert count(path, "SELECT count(*) FROM losses WHERE kind = 6") == 0
        assert count(path, "SELECT unresolved FROM recordings") == 0
        hold_whole(path)
        hold_exact(path)


def test_every_short_connection_is_recorded_once_as_it_was(both, tmp_path, record, ask):
    server, client = both
    sides = [(tmp_path / "server.db", server, True), (tmp_path / "client.db", client, False)]
    recorders = [record(netns, "--interval", "10s", path=path) for path, netns, _ in sides]
    for recorder in recorders:
        wait_until(recorder.snapshots, "the first snapshot")
    truth, took_ms = end_traffic(start_traffic(both, SHORT, PER_SECOND))
    ended = time.monotonic()
    print(f"{SHORT} connections in {took_ms} ms")
    for recorder in recorders:
        wait_past(recorder, PATIENCE + 20)
    hold_all_short(ask, sides, truth, ended=False)
    time.sleep(max(0, ended + TIME_WAIT + 1 - time.monotonic()))
    for recorder in recorders:
        wait_past(recorder, PATIENCE + 20)
    hold_all_short(ask, sides, truth, ended=True)


# Where not everything can be known

def hold_no_lie(rows, truth, port, at_server):
    """No connection twice, none that was not, and none that is said to have been closed by the wrong end."""
    found = Counter((row["remote_port"] if at_server else row["local_port"], port) for row in rows)
    assert set(found) <= set(truth) and all(n == 1 for n in found.values()), [key for key, n in found.items() if n > 1]
    for row in rows:
        first, client_bytes, server_bytes = truth[(row["remote_port"] if at_server else row["local_port"]), port]
        sent, received = (server_bytes, client_bytes) if at_server else (client_bytes, server_bytes)
        local = first == ("server" if at_server else "client")
        assert row["closed_by"] in ("local",) if row["state"] == "TIME_WAIT" else (None, "unknown", "local" if local else "remote"), row
        assert local or row["state"] != "TIME_WAIT", row
        assert row["tx_bytes"] in (None, sent), row
        assert row["rx_bytes"] is None or row["rx_bytes"] - received in (0, row["rx_uncertain"]), row
    return set(found)


def hold_no_lies(ask, path, netns, truth, at_server=True):
    hold_whole(path)
    hold_exact(path)
    found = set()
    for port in SERVICES:
        found |= hold_no_lie(short_rows(ask, path, netns, port), truth, port, at_server)
    return found


def closed_by(truth, end):
    return {key for key, (first, _, _) in truth.items() if first == end}


def test_events_lost_are_told_and_the_table_is_looked_at_at_once(both, tmp_path, db, record, ask):
    server, _ = both
    config = tmp_path / "connhist.yaml"
    config.write_text(f"limits:\n  events: 16KiB\n{OWN_ONLY}\n")
    recorder = record(server, "--config", config, "--interval", "1h")
    wait_until(recorder.snapshots, "the first snapshot")
    recorder.process.send_signal(signal.SIGSTOP)
    begin_ms = time.time_ns() // 1_000_000
    truth, _ = end_traffic(start_traffic(both, 1200, 2000))
    end_ms = time.time_ns() // 1_000_000
    recorder.process.send_signal(signal.SIGCONT)
    wait_until(lambda: recorder.snapshots() == 2, "a snapshot out of turn")
    losses = query(db, "SELECT from_ms, until_ms, text FROM losses WHERE kind = 6")
    assert len(losses) == 1 and losses[0][0] <= begin_ms < end_ms <= losses[0][1], losses
    assert "buffer" in losses[0][2]
    found = hold_no_lies(ask, db, server, truth)
    print(f"{len(found)} of {len(truth)} are recorded")
    assert closed_by(truth, "server") <= found < set(truth), "all that are in TIME_WAIT"
    answer = ask("list")
    assert answer["coverage"]["events_lost"] == 1


def test_a_locked_file_loses_no_event(both, db, record, ask):
    server, _ = both
    recorder = record(server, "--interval", "500ms")
    recorder.wait_snapshots()
    other = sqlite3.connect(db, isolation_level=None, timeout=10)
    other.execute("BEGIN IMMEDIATE")
    truth, _ = end_traffic(start_traffic(both, 1500, 300))
    other.execute("ROLLBACK")
    other.close()
    wait_past(recorder)
    assert hold_no_lies(ask, db, server, truth) == set(truth)
    assert count(db, "SELECT count(*) FROM losses WHERE kind IN (3, 4, 6)") == 0


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGKILL])
def test_a_restart_doubles_no_connection(both, db, record, ask, by):
    server, _ = both
    traffic = start_traffic(both, 1500, 250)
    for pause in 0.9, 1.1, 0.3, 1.3, 0.7:
        recorder = record(server, "--interval", "400ms")
        time.sleep(pause)
        recorder.stop(by, None)
    recorder = record(server, "--interval", "400ms")
    truth, _ = end_traffic(traffic)
    wait_past(recorder)
    found = hold_no_lies(ask, db, server, truth)
    print(f"{len(found)} of {len(truth)} are recorded")
    assert closed_by(truth, "server") <= found, "all that are in TIME_WAIT"


# Endings of every kind. Each scenario is a program that prints what it knows: [port of an end, port of its peer, words
# that the record may say of who closed it]; None: the end is still open.

PRELUDE = """
import json, socket, struct, sys, time
def step(*truth):  # says that a step is done, and waits for the word to go on
    print(json.dumps(truth))
    sys.stdin.readline()
def listener(port, backlog=64):
    return socket.create_server(("127.0.0.1", port), backlog=backlog)
def pair(at):
    client = socket.create_connection(at.getsockname())
    return client, at.accept()[0]
def port(end):
    return end.getsockname()[1]
def abort(end):
    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    end.close()
def disconnect(end):
    import ctypes
    assert ctypes.CDLL(None).connect(end.fileno(), bytes(16), 16) == 0
RESET = ["reset", "unknown"]
LOCAL, REMOTE, TIMEOUT = ["local", "unknown"], ["remote", "unknown"], ["timeout", "local", "unknown"]
"""

SCENARIOS = {
    "aborts": """
at = listener(8101)
pairs = [pair(at) for _ in range(20)]
for client, server in pairs:
    client.send(b"x" * 100); server.recv(100)
ports = [port(client) for client, _ in pairs]
step()
for n, (client, server) in enumerate(pairs):
    abort(server if n % 2 else client)
step()
for client, server in pairs:
    client.close(); server.close()
step(*[[p, 8101, RESET] for p in ports], *[[8101, p, RESET] for p in ports])
""",
    "a listener's closing": """
at = listener(8102)
clients = [socket.create_connection(at.getsockname()) for _ in range(20)]
ports = [port(client) for client in clients]
step()
at.close()
step()
for client in clients:
    client.close()
step(*[[p, 8102, RESET] for p in ports], *[[8102, p, RESET] for p in ports])
""",
    "refused connects": """
ports = []
step()
for _ in range(20):
    client = socket.socket()
    client.bind(("127.0.0.1", 0))
    ports.append(port(client))
    try:
        client.connect(("127.0.0.1", 8103))
        assert False
    except ConnectionRefusedError:
        client.close()
step()
step(*[[p, 8103, RESET] for p in ports])
""",
    "a timeout in FIN_WAIT2": """
at = listener(8104)
pairs = [pair(at) for _ in range(20)]
ports = [port(client) for client, _ in pairs]
step()
for client, _ in pairs:
    client.close()
step()
time.sleep(3)
for _, server in pairs:
    server.close()
step(*[[p, 8104, TIMEOUT] for p in ports], *[[8104, p, REMOTE + ["reset"]] for p in ports])
""",
    "a reset in FIN_WAIT2": """
at = listener(8111)
pairs = [pair(at) for _ in range(20)]
ports = [port(client) for client, _ in pairs]
for n, (client, _) in enumerate(pairs):
    client.shutdown(socket.SHUT_WR) if n % 2 else client.close()
time.sleep(0.2)  # the peer's ACK is delayed: without it they would still be in FIN_WAIT1
step()
for _, server in pairs:
    abort(server)
step()
for client, _ in pairs:
    client.close()
step(*[[p, 8111, RESET + LOCAL] for p in ports], *[[8111, p, RESET + REMOTE] for p in ports])
""",
    "a reset in FIN_WAIT1": """
at = listener(8112)
pairs = [pair(at) for _ in range(20)]
ports = [port(client) for client, _ in pairs]
for n, (client, _) in enumerate(pairs):
    client.shutdown(socket.SHUT_WR) if n % 2 else client.close()
step()
for _, server in pairs:
    abort(server)
step()
for client, _ in pairs:
    client.close()
step(*[[p, 8112, RESET + LOCAL] for p in ports], *[[8112, p, RESET + REMOTE] for p in ports])
""",
    "more than may be in TIME_WAIT": """
at = listener(8105)
pairs = [pair(at) for _ in range(60)]
ports = [port(client) for client, _ in pairs]
step()
for client, server in pairs:
    client.close(); server.recv(1); server.close()
step()
step(*[[p, 8105, LOCAL] for p in ports], *[[8105, p, REMOTE + ["reset"]] for p in ports])
""",
    "connecting elsewhere": """
first, second = listener(8106), listener(8107)
pairs = [pair(first) for _ in range(20)]
before = [port(client) for client, _ in pairs]
step()
for n, (client, server) in enumerate(pairs):
    disconnect(client)
    client.connect(second.getsockname())
    pairs[n] = client, server, second.accept()[0]
after = [port(client) for client, _, _ in pairs]
step()
for client, old, new in pairs:
    client.close(); new.recv(1); new.close(); old.close()
step(*[[p, 8106, RESET] for p in before], *[[8106, p, RESET] for p in before], *[[p, 8107, LOCAL] for p in after], *[[8107, p, REMOTE] for p in after])
""",
    "a FIN that goes with data": """
at = listener(8110)
pairs = [pair(at) for _ in range(20)]
ports = [port(client) for client, _ in pairs]
step()
for client, server in pairs:
    client.send(b"x" * 100); client.shutdown(socket.SHUT_WR)
    while server.recv(100): pass
    server.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
    server.send(b"y" * 100); server.close()
    while client.recv(100): pass
    client.close()
step()
step(*[[p, 8110, LOCAL] for p in ports], *[[8110, p, REMOTE] for p in ports])
""",
    "closing at both ends at once": """
at = listener(8108)
pairs = [pair(at) for _ in range(20)]
ports = [port(client) for client, _ in pairs]
step()
for client, server in pairs:
    client.send(b"unread"); server.send(b"unread")
    client.close(); server.close()  # data unread: an abort at the first, whatever the second does
step()
step(*[[p, 8108, RESET + LOCAL] for p in ports], *[[8108, p, RESET + REMOTE] for p in ports])
""",
    "udp": """
at = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
at.bind(("127.0.0.1", 8109))
clients = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(20)]
for client in clients:
    client.connect(at.getsockname())
ports = [port(client) for client in clients]
step()
for client in clients:
    client.send(b"x"); client.close()
step()
step(*[[p, 8109, ["unknown"]] for p in ports])
""",
}


# What the kernel is told before the recorder starts.
SYSCTLS = {"a timeout in FIN_WAIT2": "net.ipv4.tcp_fin_timeout=2",
           "more than may be in TIME_WAIT": "net.ipv4.tcp_max_tw_buckets=5"}


def play_scenario(netns, code, pace):
    """Runs a scenario; pace() is called between its steps. Gives {(port, peer's port): words}."""
    process = netns.python(PRELUDE + code)
    with contextlib.ExitStack() as stack:
        stack.callback(process.wait)
        stack.callback(process.kill)
        for _ in range(2):
            assert process.stdout.readline() == "[]\n"
            pace()
            process.stdin.write("\n")
            process.stdin.flush()
        truth = strict_json(process.stdout.readline())
        process.stdin.close()
        process.wait()
        process.stdout.close()
    return {(port, peer): words for port, peer, words in truth}


def hold_ending(row, truth):
    """A row says what is true, or that it does not know; who has no port at the other end was aborted."""
    words = truth.get((row["local_port"], row["remote_port"]))
    if words is None:
        assert row["remote_port"] == 0 or row["state"] == "CLOSE", row
        return
    if row["closed_ms"] is None:
        assert row["state"] == "TIME_WAIT" and "local" in words, row
    else:
        assert row["closed_by"] in words, row


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("seen", [True, False], ids=["seen", "unseen"])
def test_endings_are_told_as_they_were_or_as_unknown(netns, db, record, ask, name, seen):
    if name in SYSCTLS:
        netns.run("sysctl", "-w", SYSCTLS[name])
    recorder = record(netns, "--interval", "300ms" if seen else "3s")
    wait_past(recorder)
    truth = play_scenario(netns, SCENARIOS[name], recorder.wait_snapshots if seen else lambda: None)
    wait_past(recorder)
    hold_whole(db)
    hold_exact(db)
    rows = [row for row in ask("list")["rows"] if row["state"] != "LISTEN"]
    for row in rows:
        hold_ending(row, truth)
    found = Counter((row["local_port"], row["remote_port"]) for row in rows if row["remote_port"])
    assert all(n == 1 for n in found.values()), "a connection is one row"
    nameless = [row for row in rows if not row["remote_port"] and row["protocol"] == "tcp"]
    assert all((row["closed_by"], row["role"]) == ("reset", "client" if row["local_port"] > 9000 else "server")
               for row in nameless), nameless
    print(name, dict(Counter(row["closed_by"] for row in rows)), len(nameless), "nameless of", len(rows), "for", len(truth))
    lacking = len(truth.keys() - found.keys())
    if name == "connecting elsewhere" and not seen:
        assert lacking <= len(truth) / 4, "of the first use of a socket that connects elsewhere the kernel tells nothing"
    else:
        assert lacking <= len(nameless) if lacking else not nameless or name == "refused connects"
    assert not seen or not nameless or name == "refused connects", "those that were seen have their endpoints"
