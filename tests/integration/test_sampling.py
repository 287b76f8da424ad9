# SPDX-License-Identifier: MIT
"""What connections carried that are still open: beside getsockopt(TCP_INFO) of both ends, asked by Python."""
import json
import signal
import subprocess

import pytest

from conftest import OWN_ONLY, connhist, query, wait_until

# Obeys lines of JSON and answers each with one. Ends are named CLIENT or SERVER and a number.
ENDS = r"""
import json, socket, struct, sys, time
listener = socket.create_server(("127.0.0.1", 8000), backlog=100)
ends = {}
def connect(n):
    client = socket.create_connection(("127.0.0.1", 8000))
    ends[f"client{n}"], ends[f"server{n}"] = client, listener.accept()[0]
    return {"client": client.getsockname()[1]}
def send(end, n, to):
    before = time.time()
    ends[end].sendall(b"x" * n)
    left = n
    while left:
        left -= len(ends[to].recv(min(left, 1 << 16)))
    return {"before": before, "after": time.time()}
def half_close(end, to):
    ends[end].shutdown(socket.SHUT_WR)
    return {"rest": len(ends[to].recv(10))}
def abort(n):
    for end in f"client{n}", f"server{n}":
        ends[end].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        ends[end].close()
    return {}
def info(end):  # offsets in struct tcp_info of linux/tcp.h
    b = ends[end].getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 240)
    u32 = lambda at: struct.unpack_from("I", b, at)[0]
    u64 = lambda at: struct.unpack_from("Q", b, at)[0]
    return {"unacked": u32(24), "rtt_us": u32(68), "retrans": u32(100), "received": u64(128), "tx_segs": u32(136),
            "rx_segs": u32(140), "sent": u64(200) - u64(208)}
print("ready", flush=True)
for line in sys.stdin:
    name, *args = json.loads(line)
    print(json.dumps(globals()[name](*args)), flush=True)
"""


class Ends:
    """Connections to port 8000, both ends of them."""

    def __init__(self, netns):
        self.process = netns.python(ENDS)
        assert self.process.stdout.readline() == "ready\n"

    def __call__(self, *words):
        self.process.stdin.write(json.dumps(words) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


@pytest.fixture
def ends(netns):
    it = Ends(netns)
    it.netns = netns
    yield it
    it.process.communicate("")


@pytest.fixture
def configure(tmp_path):
    path = tmp_path / "connhist.yaml"

    def write(pace, *more):
        path.write_text("\n".join(["interval: 100ms", f"sampling: {{tcp_info: {pace}}}", OWN_ONLY, *more]) + "\n")
        return path
    return write


@pytest.fixture
def sample(ends, record, configure):
    """sample("200ms") records with that pace, and returns when a snapshot is written."""
    def start(pace, *more):
        recorder = record(ends.netns, "--config", configure(pace, *more))
        wait_until(recorder.snapshots, "a snapshot")
        return recorder
    return start


def listed(ask, port, *args):
    """The rows of one connection, by end."""
    rows = ask("list", "--port", port, "--proto", "tcp", *args)["rows"]
    return {"client" if row["local_port"] == port else "server": row for row in rows}


def carried(row):
    return {key: row[key] for key in ("tx_bytes", "rx_bytes", "rtt_us", "retrans", "tx_segs", "rx_segs", "rx_uncertain")}


def told_by_kernel(ends, end, peer_fin=0):
    info = ends("info", end)
    return {"tx_bytes": info["sent"], "rx_bytes": info["received"] - peer_fin, "rtt_us": info["rtt_us"],
            "retrans": info["retrans"], "tx_segs": info["tx_segs"], "rx_segs": info["rx_segs"], "rx_uncertain": 0}


def wait_same(ask, ends, n, port, peer_fins=None):
    """Waits until the record says of both ends what the kernel says: acknowledgements may still be on their way."""
    peer_fins = peer_fins or {}

    def same():
        rows = listed(ask, port, "--open")
        return len(rows) == 2 and all(carried(rows[who]) == told_by_kernel(ends, f"{who}{n}", peer_fins.get(who, 0))
                                      for who in ("client", "server")) and rows
    return wait_until(same, "the record to say what the kernel says")


def samplings(db):
    return query(db, "SELECT count(*) FROM snapshots WHERE sampled = 1 AND status = 0")[0][0]


def wait_samplings(db, more):
    wanted = samplings(db) + more
    wait_until(lambda: samplings(db) >= wanted, f"{more} more samplings")


def test_bytes_of_open_connections_are_those_that_were_sent(ends, sample, ask, db):
    sample("200ms")
    sizes = [(0, 0), (1, 0), (100, 1000), (300_000, 7)]
    ports = []
    for n, (up, down) in enumerate(sizes):
        ports.append(ends("connect", n)["client"])
        ends("send", f"client{n}", up, f"server{n}")
        ends("send", f"server{n}", down, f"client{n}")
    for n, (up, down) in enumerate(sizes):
        rows = wait_same(ask, ends, n, ports[n])
        assert (rows["client"]["tx_bytes"], rows["client"]["rx_bytes"]) == (up, down)
        assert (rows["server"]["tx_bytes"], rows["server"]["rx_bytes"]) == (down, up)
        assert all(row["closed_ms"] is None and row["sampled_ms"] and row["idle_ms"] >= 0 for row in rows.values())
    # the view for people has the same
    assert sorted(query(db, "SELECT tx_bytes, rx_bytes FROM sockets WHERE local_port = 8000 AND tx_bytes IS NOT NULL")) \
        == sorted((down, up) for up, down in sizes)
    listener, = [row for row in ask("list", "--port", 8000, "--state", "LISTEN")["rows"]]
    assert listener["tx_bytes"] is None and listener["sampled_ms"] is None and listener["idle_ms"] is None


def test_a_quiet_connection_grows_idle_and_its_row_is_left_alone(ends, sample, ask, db):
    sample("200ms")
    port = ends("connect", 1)["client"]
    sent = ends("send", "client1", 100, "server1")
    wait_same(ask, ends, 1, port)

    def left_alone():
        """Over four samplings: an acknowledgement may have been on its way before."""
        first, before = listed(ask, port, "--open"), query(db, "SELECT * FROM open_facts ORDER BY life")
        wait_samplings(db, 4)
        return query(db, "SELECT * FROM open_facts ORDER BY life") == before and len(before) == 2 and first
    first = wait_until(left_alone, "rows to stay as they are")
    rows = listed(ask, port, "--open")
    for who, row in rows.items():
        assert row["idle_ms"] >= first[who]["idle_ms"] + 300, "of four samplings the last three are as far apart"
        # jiffies are coarse, and the wall clock may be set a little
        last_payload = (row["sampled_ms"] - row["idle_ms"]) / 1000
        assert sent["before"] - 1 < last_payload < sent["after"] + 1
    (view,) = query(db, "SELECT sampled_ms - idle_ms FROM sockets WHERE local_port = ?", port)
    assert view[0] == rows["client"]["sampled_ms"] - rows["client"]["idle_ms"]
    # and a word ends it
    ends("send", "server1", 5, "client1")
    rows = wait_same(ask, ends, 1, port)
    assert rows["client"]["rx_bytes"] == 5
    assert rows["client"]["sampled_ms"] - rows["client"]["idle_ms"] > view[0]


def test_a_half_closed_connection_counts_no_fin(ends, sample, ask):
    sample("200ms")
    port = ends("connect", 1)["client"]
    ends("send", "client1", 1000, "server1")
    assert ends("half_close", "client1", "server1") == {"rest": 0}
    rows = wait_same(ask, ends, 1, port, {"server": 1})
    assert rows["client"]["state"] == "FIN_WAIT2" and rows["server"]["state"] == "CLOSE_WAIT"
    assert rows["client"]["tx_bytes"] == 1000 and rows["server"]["rx_bytes"] == 1000
    ends("send", "server1", 500, "client1")
    rows = wait_same(ask, ends, 1, port, {"server": 1})
    assert rows["client"]["rx_bytes"] == 500 and rows["server"]["rx_bytes"] == 1000


def test_without_sampling_nothing_is_told_of_open_connections(ends, sample, ask, configure, db):
    port = ends("connect", 1)["client"]
    ends("send", "client1", 100, "server1")
    recorder = sample("off")
    recorder.wait_snapshots(2)
    rows = listed(ask, port, "--open")
    assert len(rows) == 2
    for row in rows.values():
        assert all(row[key] is None for key in (*carried(row), "sampled_ms", "idle_ms")), row
    assert query(db, "SELECT (SELECT count(*) FROM open_facts), sum(sampled) FROM snapshots") == [(0, 0)]
    # a new pace is taken over without a restart
    configure("100ms")
    recorder.process.send_signal(signal.SIGHUP)
    assert wait_same(ask, ends, 1, port)["client"]["tx_bytes"] == 100


def test_what_was_not_sampled_yet_is_null_and_not_0(ends, sample, ask, db):
    recorder = sample("24h")
    port = ends("connect", 1)["client"]
    ends("send", "client1", 100, "server1")
    recorder.wait_snapshots(2)
    rows = listed(ask, port)
    assert len(rows) == 2 and samplings(db) == 1
    for row in rows.values():
        assert all(row[key] is None for key in (*carried(row), "sampled_ms", "idle_ms")), row
    table = connhist("--db", db, "list", "--open", "--port", port).stdout.splitlines()
    assert table[0].split()[-5:] == ["RX", "TX", "RTT", "US", "IDLE"] and "CLOSED" not in table[0]
    assert table[1].split()[-4:] == ["-"] * 4


def test_of_the_past_only_what_was_known_then_is_told(ends, sample, ask, db):
    sample("200ms")
    port = ends("connect", 1)["client"]
    ends("send", "client1", 100, "server1")
    wait_same(ask, ends, 1, port)

    def until(instant):
        return listed(ask, port, "--until", f"@{(instant + 1) / 1000:.3f}")["client"]

    def known():
        instant = listed(ask, port, "--open")["client"]["sampled_ms"]
        row = until(instant)
        return row["tx_bytes"] == 100 and row["sampled_ms"] == instant and instant
    instant = wait_until(known, "a sampling that the past has, too")
    ends("send", "client1", 1, "server1")
    assert wait_same(ask, ends, 1, port)["client"]["tx_bytes"] == 101
    then = until(instant)
    assert then["tx_bytes"] is None and then["sampled_ms"] is None and then["idle_ms"] is None


def test_facts_of_open_connections_leave_when_they_close(ends, sample, ask, db):
    recorder = sample("200ms")
    ports = [ends("connect", n)["client"] for n in (1, 2)]
    for n, port in zip((1, 2), ports):
        ends("send", f"client{n}", 100 * n, f"server{n}")
        wait_same(ask, ends, n, port)
    ends("abort", 1)
    wait_until(lambda: all(row["closed_ms"] for row in listed(ask, ports[0]).values()), "the closing")
    # the kernel wipes what is aborted: its last sampling stays, and says when it was; the other end's numbers are final
    rows = listed(ask, ports[0])
    assert all(row["idle_ms"] is None for row in rows.values())
    assert rows["client"]["sampled_ms"] and rows["client"]["tx_bytes"] == 100
    assert rows["server"]["sampled_ms"] is None and rows["server"]["rx_bytes"] == 100
    assert len(query(db, "SELECT * FROM open_facts")) == 2
    # one that closes while nobody looks
    recorder.kill()
    ends("abort", 2)
    recorder = sample("200ms")
    wait_until(lambda: query(db, "SELECT count(*) FROM open_facts") == [(0,)], "the rows to leave")
    assert all(row["closed_ms"] for row in listed(ask, ports[1]).values())


def test_ss_says_the_same(ends, sample, ask):
    """iproute2 reads what we read, by its own program."""
    sample("200ms")
    port = ends("connect", 1)["client"]
    ends("send", "client1", 4321, "server1")
    ends("send", "server1", 1234, "client1")

    def told_by_ss():
        told = subprocess.run(ends.netns.command("ss", "-tinH", "sport", "=", f":{port}"), text=True,
                              capture_output=True, check=True).stdout
        words = dict(word.split(":", 1) for word in told.split() if word.count(":") == 1)
        return [int(words[name]) for name in ("bytes_sent", "bytes_received", "segs_out", "segs_in")]

    def same():
        row = listed(ask, port, "--open").get("client", {})
        return [row.get(name) for name in ("tx_bytes", "rx_bytes", "tx_segs", "rx_segs")] == told_by_ss()
    wait_until(same, "the record to say what ss says")
    assert told_by_ss()[:2] == [4321, 1234]


def test_anonymous_detail_keeps_facts_and_no_detail_has_none(ends, sample, ask, db):
    port = ends("connect", 1)["client"]
    ends("send", "client1", 100, "server1")
    recorder = sample("200ms", "detail: anonymous")
    wait_until(lambda: any(
        row["tx_bytes"] == 100 for row in ask("list", "--open", "--port", port)["rows"]), "the anonymous row")
    recorder.stop()
    recorder = sample("200ms", "detail: off")
    recorder.wait_snapshots(2)
    assert query(db, "SELECT count(*) FROM open_facts") == [(0,)]
