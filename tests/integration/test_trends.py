# SPDX-License-Identifier: MIT
"""Counts over time of real sockets: what `connhist report`, `list` and plain SQLite tell is what was made."""
import collections
import json
import subprocess
import time

import pytest

from conftest import query

SPAN = ["--since", "-5m"]

# Makes N connections that the server closes first, over some seconds, and tells for each the client's
# port and the times before and after the close that let the server's end enter TIME_WAIT.
PILE = """
import json, socket, sys, time
port_tw, port_cw, n_tw, n_cw = map(int, sys.argv[1:5])
def listen(port):
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", port))
    sock.listen(64)
    return sock
with open("/proc/sys/net/ipv4/tcp_max_tw_buckets", "w") as file:
    file.write("262144")
quick, leaky = listen(port_tw), listen(port_cw)
print("ready")
sys.stdin.readline()
told, leaks = [], []
began = time.monotonic()
for i in range(n_tw):
    time.sleep(max(0, began + i * 4 / n_tw - time.monotonic()))
    # Ports of its own choice: the kernel would take one again, whose TIME_WAIT at the server then ends.
    port = 10000 + i
    client = socket.create_connection(("127.0.0.1", port_tw), source_address=("127.0.0.1", port))
    server = quick.accept()[0]
    server.close()
    before = time.time()
    client.close()
    told.append((port, before, time.time()))
    if i % (n_tw // n_cw) == 0:
        client = socket.create_connection(("127.0.0.1", port_cw))
        leaks.append(leaky.accept()[0])
        client.close()
print(json.dumps(told))
sys.stdin.read()
"""

# Listens and connects as it is told, a line at a time, and answers each with the time before and after.
HANDS = """
import json, socket, sys, time
kept = {}
for line in sys.stdin:
    word, name, *args = json.loads(line)
    before = time.time()
    if word == "listen":
        kept[name] = socket.create_server((args[0], args[1]))
    elif word == "udp":
        kept[name] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        kept[name].bind((args[0], args[1]))
        if len(args) > 2:
            kept[name].connect((args[2], args[3]))
    elif word == "connect":
        server, address = args[:2]
        kept[name] = socket.create_connection(kept[server].getsockname(), source_address=(address, 0))
        kept[name + "'s other end"] = kept[server].accept()[0]
    elif word == "close":
        kept.pop(name).close()
    print(json.dumps([before, time.time(), kept[name].getsockname()[1] if name in kept else 0]))
"""


class Hands:
    """A program in a namespace that does with sockets what it is told."""

    def __init__(self, netns):
        self.process = netns.python(HANDS)

    def do(self, *words):
        """Gives the time before, the time after, and the local port."""
        self.process.stdin.write(json.dumps(words) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def end(self):
        self.process.stdin.close()
        self.process.wait(20)


@pytest.fixture
def hands(netns):
    made = Hands(netns)
    yield made
    made.end()


class Pile:
    """2,000 TIME_WAIT on one port and 50 CLOSE_WAIT on another, made while a recorder ran."""
    TIME_WAITS, CLOSE_WAITS, TIME_WAIT_PORT, CLOSE_WAIT_PORT = 2000, 50, 8080, 9090

    def __init__(self, netns, record):
        process = netns.python(PILE, self.TIME_WAIT_PORT, self.CLOSE_WAIT_PORT, self.TIME_WAITS, self.CLOSE_WAITS)
        assert process.stdout.readline() == "ready\n"
        recorder = record(netns, "--interval", "1s")
        recorder.wait_snapshots()
        process.stdin.write("\n")
        process.stdin.flush()
        self.told = json.loads(process.stdout.readline())
        recorder.wait_snapshots()
        recorder.stop()
        process.stdin.close()
        process.wait(20)


@pytest.fixture
def pile(netns, record):
    return Pile(netns, record)


def by_series(rows, *names):
    series = collections.defaultdict(list)
    for row in rows:
        series[tuple(row[name] for name in names)].append(row)
    return series


def last_of(rows):
    """The last bucket in which there is a snapshot."""
    return [row["last"] for row in rows if row["last"] is not None][-1]


def sqlite3(db, statement):
    """What the program `sqlite3 FILE STATEMENT` prints, as a person has it."""
    done = subprocess.run(["sqlite3", "-readonly", db, statement], text=True, capture_output=True, check=True)
    return [tuple(line.split("|")) for line in done.stdout.splitlines()]


def test_what_piles_up_is_counted_dated_and_told_by_port(pile, ask, db):
    """The mission's example. One test, since making the pile takes some seconds."""
    check_report(pile, ask)
    check_sqlite3(pile, db)
    check_entry_times(pile, ask("list", "--port", Pile.TIME_WAIT_PORT, "--state", "TIME_WAIT", *SPAN)["rows"])
    at = ask("netstat", "-an", "--port", Pile.TIME_WAIT_PORT, "--state", "TIME_WAIT", "--at", "now")["rows"]
    check_entry_times(pile, [{**row, "time_wait_ms": row["state_since_ms"]} for row in at])


def check_report(pile, ask):
    for port, state, wanted in ((Pile.TIME_WAIT_PORT, "TIME_WAIT", Pile.TIME_WAITS),
                                (Pile.CLOSE_WAIT_PORT, "CLOSE_WAIT", Pile.CLOSE_WAITS)):
        document = ask("report", "--port", port, *SPAN, "--step", "1s")
        series = by_series(document["rows"], "protocol", "port", "role", "state")
        rows = series["tcp", port, "server", state]
        assert max(row["max"] for row in rows if row["max"] is not None) == wanted
        assert last_of(rows) == wanted
        assert last_of(series["tcp", port, "server", "LISTEN"]) == 1
        counts = [row["last"] for row in rows if row["last"] is not None]
        assert counts == sorted(counts) and counts[0] == 0 and len(set(counts)) > 2  # it piled up before our eyes
        assert document["coverage"]["done"] > 4 and document["coverage"]["interrupted"] == 0
        # Nobody else's sockets are there.
        assert {key[1] for key in series} == {port}
        one = ask("report", "--port", port, "--state", state, "--role", "server", *SPAN, "--step", "10m")["rows"]
        assert [row["max"] for row in one if row["max"] is not None] == [wanted]


def check_sqlite3(pile, db):
    for port, state, wanted in ((Pile.TIME_WAIT_PORT, "TIME_WAIT", Pile.TIME_WAITS),
                                (Pile.CLOSE_WAIT_PORT, "CLOSE_WAIT", Pile.CLOSE_WAITS)):
        history = sqlite3(db, f"SELECT role, count FROM port_history WHERE port = {port} AND state = '{state}' "
                              "AND protocol = 'tcp' ORDER BY at_ms")
        assert {role for role, _ in history} == {"server"}
        counts = [int(count) for _, count in history]
        assert counts[-1] == max(counts) == wanted
        assert sqlite3(db, f"SELECT count(*) FROM sockets WHERE local_port = {port} AND state = '{state}' "
                           "AND closed_ms IS NULL") == [(str(wanted),)]


def check_entry_times(pile, rows):
    """Each TIME_WAIT began within 50 ms of the close that made it."""
    told = {port: (before * 1000, after * 1000) for port, before, after in pile.told}
    assert {row["remote_port"] for row in rows} == set(told) and len(rows) == len(told) == Pile.TIME_WAITS
    late = []
    for row in rows:
        before, after = told[row["remote_port"]]
        if not before - 50 <= row["time_wait_ms"] <= after + 50:
            late.append((row["remote_port"], row["time_wait_ms"] - before, after - before))
    assert not late, f"{len(late)} of {len(rows)}: {late[:10]}"


def test_openings_are_dated_between_two_snapshots(netns, hands, record, ask, db):
    hands.do("listen", "early", "127.0.0.1", 7000)
    recorder = record(netns, "--interval", "200ms")
    recorder.wait_snapshots()
    truth = {7001: hands.do("listen", "late", "127.0.0.1", 7001)[:2]}
    for n in range(5):
        recorder.wait_snapshots()
        before, after, port = hands.do("connect", f"c{n}", "late", "127.0.0.1")
        truth[port] = (before, after)
    recorder.wait_snapshots()
    recorder.stop()
    snapshots = [at for (at,) in query(db, "SELECT start_ms FROM snapshots WHERE status = 0 ORDER BY start_ms")]
    rows = ask("list", *SPAN)["rows"]
    assert len(rows) == 2 + 2 * 5
    for row in rows:
        if row["local_port"] == 7000:
            # It was there before; nobody knows since when.
            assert row["opened_ms"] is None and row["first_seen_ms"] == snapshots[0]
            continue
        before, after = truth[row["remote_port"] if row["local_port"] == 7001 and row["remote_port"]
                              else row["local_port"]]
        previous = snapshots[snapshots.index(row["opened_ms"]) - 1]
        # Some ms for the two clocks that are read one after the other, and the length of a snapshot.
        assert previous - 20 <= after * 1000 and before * 1000 <= row["opened_ms"] + 20
        assert row["first_seen_ms"] == row["opened_ms"] and row["closed_ms"] is None


def test_tcp_and_udp_of_one_port_are_two_services(netns, hands, record, ask):
    hands.do("listen", "dns", "127.0.0.1", 53)
    hands.do("udp", "dns-udp", "127.0.0.1", 53)
    hands.do("connect", "client", "dns", "127.0.0.1")
    for n in range(3):
        hands.do("udp", f"resolver{n}", "127.0.0.1", 0, "127.0.0.1", 53)
    record(netns, "--once").wait()
    rows = ask("report", "--port", 53, *SPAN)["rows"]
    series = by_series(rows, "protocol", "role", "state")
    assert {key: last_of(of) for key, of in series.items()} == {
        ("tcp", "server", "LISTEN"): 1, ("tcp", "server", "ESTABLISHED"): 1, ("tcp", "client", "ESTABLISHED"): 1,
        ("udp", "server", "CLOSE"): 1, ("udp", "client", "ESTABLISHED"): 3}
    for words, protocol in ((["--port", "53/udp"], "udp"), (["--port", "53", "--proto", "tcp"], "tcp"),
                            (["--port", "domain/tcp"], "tcp")):
        rows = ask("report", *words, *SPAN)["rows"]
        assert {row["protocol"] for row in rows} == {protocol}


def test_counts_can_be_told_apart_by_peer_state_and_role(netns, hands, record, ask):
    hands.do("listen", "web", "0.0.0.0", 8000)
    peers = {"127.0.0.7": 1, "127.0.0.8": 3, "127.0.0.9": 2}
    for peer, n in peers.items():
        for i in range(n):
            hands.do("connect", f"{peer} {i}", "web", peer)
    hands.do("close", "127.0.0.9 0")  # its other end, the server's, is in CLOSE_WAIT
    record(netns, "--once").wait()

    def told(by, *args):
        rows = ask("report", "--port", 8000, "--by", by, *SPAN, *args)["rows"]
        return {key: last_of(of) for key, of in by_series(rows, *by.split(",")).items()}
    assert told("state") == {("ESTABLISHED",): 5 + 5, ("CLOSE_WAIT",): 1, ("FIN_WAIT2",): 1, ("LISTEN",): 1}
    assert told("role") == {("server",): 7, ("client",): 6}
    assert told("role,state", "--role", "server") == {
        ("server", "ESTABLISHED"): 5, ("server", "CLOSE_WAIT"): 1, ("server", "LISTEN"): 1}
    assert told("peer", "--role", "server", "--state", "ESTABLISHED,CLOSE_WAIT") == {
        (peer,): n for peer, n in peers.items()}
    assert told("peer", "--role", "server", "--peer", "127.0.0.8/32") == {("127.0.0.8",): 3}
    assert list(told("peer", "--role", "server", "--top", 1)) == [("127.0.0.8",)]
    assert told("peer,state", "--state", "close-wait") == {("127.0.0.9", "CLOSE_WAIT"): 1}


def test_a_gap_is_told_and_never_a_zero(netns, hands, record, ask, db):
    """The recorder stops for 3 s; the lives go on where they are the same sockets."""
    hands.do("listen", "web", "127.0.0.1", 8000)
    hands.do("connect", "client", "web", "127.0.0.1")
    first = record(netns, "--interval", "200ms")
    first.wait_snapshots(5)
    first.stop()
    time.sleep(3)
    second = record(netns, "--interval", "200ms")
    second.wait_snapshots(5)
    second.stop()
    snapshots = query(db, "SELECT recording, start_ms FROM snapshots ORDER BY start_ms")
    from_ms, until_ms = (max(at for recording, at in snapshots if recording == 1),
                         min(at for recording, at in snapshots if recording == 2))
    document = ask("report", "--port", 8000, "--since", f"@{snapshots[0][1] / 1000:.3f}",
                   "--until", f"@{snapshots[-1][1] / 1000:.3f}", "--step", "200ms")
    assert_gap(document, from_ms, until_ms)
    rows = ask("list", "--since", "-1m")["rows"]
    assert sorted(row["state"] for row in rows) == ["ESTABLISHED", "ESTABLISHED", "LISTEN"]
    assert all(row["first_seen_ms"] == snapshots[0][1] and row["closed_ms"] is None for row in rows)
    middle = ask("netstat", "-a", "--at", f"@{(from_ms + until_ms) / 2000:.3f}")
    assert middle["in_gap"] and middle["snapshot_ms"] == from_ms


def assert_gap(document, from_ms, until_ms):
    gaps = document["coverage"]["gaps"]
    assert [(gap["from_ms"], gap["until_ms"]) for gap in gaps] == [(from_ms, until_ms)]
    assert gaps[0]["reason"]
    within = 0
    for row in document["rows"]:
        values = [row[name] for name in ("min", "avg", "max", "last")]
        if from_ms < row["at_ms"] and row["at_ms"] + document["step_ms"] <= until_ms:
            within += 1
            assert values == [None] * 4
        elif row["state"] == "ESTABLISHED" and row["role"] == "server":
            assert set(values) in ({1}, {None})
    assert within > 10
    assert any(row["last"] for row in document["rows"] if row["at_ms"] >= until_ms)
