# SPDX-License-Identifier: MIT
"""Who held a port, and counts by owner, held against what the test itself knows of its made-up processes."""
import csv
import io
import random
import socket
import sqlite3
import subprocess
from collections import Counter

import pytest
from conftest import CONNHIST, connhist, count, strict_json, wait_until
from test_owners import START_MS, WALL_MS, Host, Record

INTERVAL_MS = 10_000
SPAN = ("--since", f"@{(WALL_MS + START_MS) // 1000}", "--until", f"@{(WALL_MS + START_MS) // 1000 + 3600}")


def wall(tick):
    """Wall time of the n-th snapshot, from 1."""
    return WALL_MS + START_MS + tick * INTERVAL_MS


def held(host, pid, cookie, *args, **options):
    host.socket(cookie, *args, **options)
    host.do(f"holds {pid} {cookie + 5}")


def ask(path, command, *args, span=SPAN):
    document = strict_json(connhist("--db", path, command, "--format", "json", *span, *args).stdout)
    assert document["schema"] == f"connhist/{command}/1"
    return document


def who(path, *args, span=SPAN):
    return ask(path, "who", *args, span=span)["rows"]


def only(rows, *names):
    return [tuple(row[name] for name in names) for row in rows]


@pytest.fixture
def host():
    made = Host()
    for pid, name, unit in ((100, "alpha", "a.service"), (101, "alpha", "a.service"), (200, "beta", "-")):
        made.process(pid, name, start=pid * 10, unit=unit, cgroup=f"/{name}")
    return made


def test_a_port_that_changes_hands_has_a_row_for_each_holder(host, tmp_path):
    host.tick()
    held(host, 100, 0x100, "LISTEN", 80)
    host.tick(3)  # 2-4
    host.close(0x100)
    host.tick()  # 5
    held(host, 101, 0x200, "LISTEN", 80)
    host.tick(2)  # 6, 7
    rows = who(Record(tmp_path / "db", host).path, "--port", "80")
    assert only(rows, "use", "pid", "from_ms", "until_ms", "open", "local_address", "local_port") == [
        ("listener", 100, wall(2), wall(5), 0, "0.0.0.0", 80), ("listener", 101, wall(6), None, 1, "0.0.0.0", 80)]
    assert only(rows, "process", "exe", "uid", "unit", "owner_source", "sockets") == [
        ("alpha", "/usr/bin/alpha", 1000, "a.service", "inode", 1)] * 2
    assert only(rows, "from_after_ms", "first_seen_ms", "last_seen_ms", "until_before_ms") == [
        (wall(1), wall(2), wall(4), wall(5)), (wall(5), wall(6), wall(7), None)]


def test_at_an_instant_only_its_holder_is_named(host, tmp_path):
    held(host, 100, 0x100, "LISTEN", 80)
    host.tick(3)
    host.close(0x100)
    held(host, 101, 0x200, "LISTEN", 80)
    host.tick(3)
    path = Record(tmp_path / "db", host).path
    for tick in range(1, 7):
        at = ("--at", f"@{wall(tick) // 1000 + 4}")
        document = ask(path, "who", "--port", "80", *at, span=())
        assert only(document["rows"], "pid") == [(100 if tick < 4 else 101,)]
        assert (document["since_ms"], document["distance_ms"], document["in_gap"]) == (wall(tick), 4000, 0)
    # what was held already when the record began has no begin
    assert only(who(path, "--port", "80", "--at", f"@{wall(1) // 1000}", span=()), "from_ms", "first_seen_ms") == [
        (None, wall(1))]
    before = connhist("--db", path, "who", "--port", "80", "--at", f"@{wall(0) // 1000}", status=3)
    assert "the record begins at" in before.stderr
    late = connhist("--db", path, "who", "--port", "80", "--at", f"@{wall(500) // 1000}")
    assert "nothing was recorded at that time" in late.stderr and "NOTHING WAS RECORDED" in late.stdout


def test_sockets_of_one_owner_without_a_snapshot_between_them_are_one_row(host, tmp_path):
    truth = []
    host.tick()
    for cookie, ticks in ((0x100, 1), (0x200, 2), (0x300, 1), (None, 2), (0x400, 1)):
        if cookie:
            held(host, 200, cookie, "ESTABLISHED", 40000 + cookie, 3306, opener=1)
        truth += [cookie] * ticks
        host.tick(ticks)
        if cookie:
            host.close(cookie)
    host.tick()
    rows = who(Record(tmp_path / "db", host).path, "--port", "3306")
    assert truth == [0x100, 0x200, 0x200, 0x300, None, None, 0x400]
    assert only(rows, "use", "pid", "from_ms", "until_ms", "sockets") == [
        ("client", 200, wall(2), wall(6), 3), ("client", 200, wall(8), wall(9), 1)]
    assert only(rows, "port", "local_address", "local_port") == [(3306, None, None)] * 2


def test_listeners_come_before_connections_and_those_before_clients(host, tmp_path):
    held(host, 100, 0x100, "LISTEN", 80)
    for n in range(3):
        held(host, 100, 0x200 + 8 * n, "ESTABLISHED", 80, 40000 + n, opener=2)
        held(host, 200, 0x300 + 8 * n, "ESTABLISHED", 50000 + n, 80, opener=1)
    held(host, 200, 0x400, "CLOSE", 80, proto="udp")
    held(host, 200, 0x500, "CLOSE", 80)
    host.tick(2)
    path = Record(tmp_path / "db", host).path
    rows = who(path, "--port", "80")
    assert only(rows, "protocol", "use", "pid", "sockets") == [
        ("tcp", "listener", 100, 1), ("tcp", "bound", 200, 1), ("tcp", "connection", 100, 3),
        ("tcp", "client", 200, 3), ("udp", "listener", 200, 1)]
    assert only(who(path, "--port", "80", "--proto", "udp"), "protocol", "pid") == [("udp", 200)]
    assert who(path, "--port", "80/udp") == [rows[-1]]
    # a client's own port is held by it; the port of a server's peer is not held here
    assert only(who(path, "--port", "50000,40000"), "use", "pid") == [("connection", 200)]


def test_an_owner_that_nobody_knows_is_a_row_of_its_own(host, tmp_path):
    host.socket(0x100, "LISTEN", 80, uid=33)
    host.tick(2)
    rows = who(Record(tmp_path / "db", host).path, "--port", "80")
    assert only(rows, "use", "process", "pid", "exe", "unit", "owner_source") == [
        ("listener", None, None, None, None, "unknown")]


def test_those_who_share_a_listener_are_named(host, tmp_path):
    held(host, 100, 0x100, "LISTEN", 80)
    host.do(f"holds 101 {0x105}")
    host.tick(2)
    rows = who(Record(tmp_path / "db", host).path, "--port", "80")
    assert only(rows, "use", "pid") == [("listener", 100), ("sharer", 101)]


def test_who_holds_a_listener_no_more_is_no_sharer(host, tmp_path):
    held(host, 100, 0x100, "LISTEN", 80)
    for pid in (101, 102):
        host.process(pid, "worker")
        host.do(f"holds {pid} {0x105}")
    host.tick(2)
    host.do("ended 101")
    host.tick(24)
    path = Record(tmp_path / "left", host).path
    assert only(who(path, "--port", "80"), "use", "pid") == [("listener", 100), ("sharer", 102)]
    host.do("ended 102")
    host.tick(24)
    path = Record(tmp_path / "alone", host).path
    assert only(who(path, "--port", "80"), "use", "pid") == [("listener", 100)]


def test_who_owns_a_listener_is_not_its_sharer(host, tmp_path):
    held(host, 100, 0x100, "LISTEN", 80)
    host.process(101, "worker")
    host.do(f"holds 101 {0x105}")
    host.tick(2)
    host.do("ended 100")
    host.tick(9)
    path = Record(tmp_path / "db", host).path
    inherited = [("listener", 100), ("listener", 101)]
    assert only(who(path, "--port", "80"), "use", "pid") == inherited
    database = sqlite3.connect(path)  # as an older record may have it, also by another name of that process
    owner, = database.execute("SELECT owner FROM open WHERE owner IS NOT NULL").fetchone()
    database.execute("INSERT INTO holders SELECT life, ? FROM open WHERE life IS NOT NULL", (owner,))
    database.commit()
    database.close()
    assert only(who(path, "--port", "80"), "use", "pid") == inherited


def test_ends_within_a_gap_are_bounds(host, tmp_path):
    held(host, 100, 0x100, "LISTEN", 80)
    held(host, 200, 0x200, "LISTEN", 81)
    host.tick(3)
    host.close(0x100)
    host.boot_ms += 20 * INTERVAL_MS  # nobody records
    host.restart()
    held(host, 100, 0x300, "LISTEN", 80)
    host.tick(2)  # 24, 25
    path = Record(tmp_path / "db", host).path
    rows = who(path, "--port", "80,81")
    fields = ("pid", "from_ms", "until_ms", "open", "first_seen_ms", "last_seen_ms", "until_before_ms")
    assert only(rows, *fields) == [
        (100, None, None, 0, wall(1), wall(3), wall(24)), (100, None, None, 1, wall(24), wall(25), None),
        (200, None, None, 1, wall(1), wall(25), None)]
    assert len(ask(path, "who", "--port", "80")["coverage"]["gaps"]) >= 1
    table = connhist("--db", path, "--utc", "who", "--port", "80", *SPAN).stdout
    assert "before 2023-11-14" in table and "after 2023-11-14" in table and "open" in table


def test_another_boot_is_never_the_same_holder(host, tmp_path):
    host.socket(0x100, "LISTEN", 80)  # of nobody known, so that only the boot tells them apart
    host.tick(3)
    host.commands += ["stop", "start boot-2"]
    host.tick(2)
    rows = who(Record(tmp_path / "db", host).path, "--port", "80")
    assert [row["open"] for row in rows] == [0, 1]
    assert rows[0]["until_ms"] is None or rows[0]["until_ms"] <= rows[1]["first_seen_ms"]
    assert rows[0]["last_seen_ms"] == wall(3) and rows[1]["first_seen_ms"] == wall(4)


def test_every_format_has_the_same_rows(host, tmp_path):
    held(host, 100, 0x100, "LISTEN", 80)
    host.tick(2)
    path = Record(tmp_path / "db", host).path
    rows = who(path, "--port", "80")

    def shown(form):
        return connhist("--db", path, "who", "--port", "80", "--format", form, *SPAN).stdout
    assert [strict_json(line) for line in shown("jsonl").splitlines()] == rows
    table = list(csv.DictReader(io.StringIO(shown("csv"))))
    assert table == [{name: "" if value is None else str(value) for name, value in row.items()} for row in rows]
    assert "alpha" in shown("table") and "coverage:" in shown("table")


def test_what_can_not_be_asked_is_refused(tmp_path):
    host = Host()
    host.tick()
    path = Record(tmp_path / "db", host).path
    for args, words in (
            (("who",), "--port"),
            (("who", "--port", "nothing-of-the-kind"), "is no port"),
            (("who", "--port", "80", "--at", "now", "--since", "-1h"), "exclude each other"),
            (("list", "--pid", "0"), "--pid 0"),
            (("list", "--pid", "me"), "--pid me"),
            (("list", "--process", ""), "--process needs a name"),
            (("list", "--unit", ""), "--unit needs a name"),
            (("report", "--container", ""), "--container needs a name"),
            (("report", "--by", "program"), "--by 'program'"),
            (("report", "--measure", "opened", "--pid", "1"), "--pid does not go with --measure"),
            (("report", "--measure", "opened", "--by", "unit"), "--by unit does not go with --measure")):
        refused = connhist("--db", path, *args, status=2)
        assert words in refused.stderr and refused.stderr.count("\n") <= 2 and not refused.stdout, args


def test_a_leak_in_one_of_three_programs_is_named(tmp_path):
    host = Host()
    for pid, name in ((100, "alpha"), (200, "beta"), (300, "gamma")):
        host.process(pid, name, start=pid * 10)
        held(host, pid, 0x1000 + pid * 8, "LISTEN", 8000 + pid)
    cookies = iter(range(0x10000, 0x90000, 16))
    for n in range(8):
        for pid in (100, 200, 300):
            cookie = next(cookies)
            held(host, pid, cookie, "ESTABLISHED", 8000 + pid, 40000 + n, opener=2)
            host.tick()
            host.socket(cookie, "CLOSE_WAIT", 8000 + pid, 40000 + n, opener=2)
            host.tick()
            if pid != 200:  # the others close what their peer closed
                host.close(cookie)
    path = Record(tmp_path / "db", host).path
    rows = ask(path, "report", "--state", "CLOSE_WAIT", "--by", "process", "--step", "2h")["rows"]
    # the first of beta's was opened at snapshot 3, of 48
    assert only(rows, "process", "pid", "exe", "state", "last", "oldest_ms") == [
        ("beta", 200, "/usr/bin/beta", "CLOSE_WAIT", 8, (48 - 4) * INTERVAL_MS),
        ("alpha", None, "/usr/bin/alpha", "CLOSE_WAIT", 0, None),
        ("gamma", 300, "/usr/bin/gamma", "CLOSE_WAIT", 1, 0)]
    open_now = ask(path, "list", "--state", "CLOSE_WAIT", "--open", "--process", "beta")["rows"]
    assert len(open_now) == 8 and {row["pid"] for row in open_now} == {200}
    chart = connhist("--db", path, "report", "--state", "CLOSE_WAIT", "--by", "process", "--format", "chart", *SPAN)
    assert "process beta of /usr/bin/beta pid 200" in chart.stdout and "oldest 7m20s" in chart.stdout


def test_time_wait_counts_for_the_program_that_is_known_to_have_caused_it(tmp_path):
    host = Host(events=True)
    for pid, name, port in ((100, "alpha", 80), (200, "beta", 81)):
        host.process(pid, name, start=pid * 10)
        held(host, pid, 0x1000 + pid * 8, "LISTEN", port)
    held(host, 200, 0x8000, "ESTABLISHED", 81, 41000, opener=2)
    host.tick(2)
    host.mini(0x8000, 81, 41000)  # seen before
    for n in range(3):
        host.mini(0x9000 + 16 * n, 80, 42000 + n)  # came and went between two snapshots
    host.mini(0xa000, 4444, 43000)  # nobody listens there
    host.tick()
    path = Record(tmp_path / "db", host).path
    rows = ask(path, "report", "--state", "TIME_WAIT", "--by", "process", "--step", "2h")["rows"]
    assert only(rows, "process", "exe", "state", "last") == [
        ("alpha", "/usr/bin/alpha", "TIME_WAIT", 3), (None, None, "TIME_WAIT", 1),
        ("beta", "/usr/bin/beta", "TIME_WAIT", 1)]
    table = connhist("--db", path, "report", "--state", "TIME_WAIT", "--by", "process", "--step", "2h", *SPAN).stdout
    assert "(unknown)" in table
    sources = Counter((row["process"], row["owner_source"]) for row in ask(path, "list", "--state", "TIME_WAIT")["rows"])
    assert sources == {("alpha", "listener"): 3, ("beta", "cookie"): 1, (None, "unknown"): 1}


STATES = {"ESTABLISHED": ["CLOSE_WAIT", "FIN_WAIT2", "TIME_WAIT"], "CLOSE_WAIT": ["LAST_ACK"], "FIN_WAIT2": ["TIME_WAIT"]}


def play(seed):
    """A host of three processes at random, and who held how many in which state at each snapshot."""
    choose = random.Random(seed)
    host, sockets, counts = Host(), {}, []
    owners = {100: ("alpha", "a.service", "-"), 101: ("alpha", "a.service", "-"), 200: ("beta", "-", "docker:0123abc")}
    for pid, (name, unit, container) in owners.items():
        host.process(pid, name, start=pid * 10, uid=pid, unit=unit, container=container, cgroup=f"/{name}")
    cookie, port = 0x1000, 30000
    for _ in range(40):
        for key, socket in list(sockets.items()):
            if choose.random() < 0.3 and socket[1] in STATES:
                socket[1] = choose.choice(STATES[socket[1]])
                if socket[1] == "TIME_WAIT":
                    socket.append(len(counts))
                    host.mini(key, 80, socket[2])
                else:
                    host.socket(key, socket[1], 80, socket[2], uid=socket[0] or 0, opener=2)
            elif socket[1] in ("LAST_ACK", "TIME_WAIT") and (len(socket) == 3 or len(counts) - socket[3] >= 5):
                del sockets[key]
                host.close(key)
        for _ in range(choose.randrange(4)):
            cookie, port, pid = cookie + 16, port + 1, choose.choice([*owners, None])
            sockets[cookie] = [pid, "ESTABLISHED", port]
            host.socket(cookie, "ESTABLISHED", 80, port, uid=pid or 0, opener=2)
            if pid:
                host.do(f"holds {pid} {cookie + 5}")
        host.tick()
        counts.append(Counter((socket[0], socket[1]) for socket in sockets.values()))
    return host, owners, counts


def series(document, *names):
    """The counts of a report as {snapshot: Counter}; each bucket holds one snapshot."""
    counts = {}
    for row in document["rows"]:
        if row["last"] is not None:
            assert row["min"] == row["max"] == row["last"]
            counts.setdefault(row["at_ms"], Counter())[tuple(row[name] for name in names)] += row["last"]
    return counts


@pytest.mark.parametrize("seed", range(6))
def test_counts_by_owner_are_those_of_every_snapshot(tmp_path, seed):
    host, owners, truth = play(seed)
    path = Record(tmp_path / "db", host).path
    span = ("--since", f"@{wall(1) // 1000}", "--until", f"@{wall(40) // 1000 + 5}")
    nobody = (None, None, None)

    def compare(by, names, key, *args, wanted=lambda pid, state: True):
        document = ask(path, "report", "--by", by, "--step", "10s", "--top", "0", *args, span=span)
        found = series(document, *names)
        assert document["unkept_max"] == 0
        for n, counts in enumerate(truth):
            expected = Counter()
            for (pid, state), number in counts.items():
                if wanted(pid, state):
                    expected[key(pid, owners.get(pid, nobody), state)] += number
            assert +found.get(wall(n + 1), Counter()) == expected, (by, args, n)

    compare("process,state", ("process", "state"), lambda pid, owner, state: (owner[0], state))
    compare("pid", ("process", "pid"), lambda pid, owner, state: (owner[0], pid))
    compare("uid", ("uid",), lambda pid, owner, state: (pid or 0,))
    compare("unit", ("unit",), lambda pid, owner, state: (None if not pid else owner[1].strip("-"),))
    compare("container,state", ("container", "state"), lambda pid, owner, state: (
        None if not pid else owner[2].strip("-"), state))
    compare("netns", ("netns",), lambda pid, owner, state: ("",))
    compare("process", ("process",), lambda pid, owner, state: (owner[0],), "--state", "TIME_WAIT",
            wanted=lambda pid, state: state == "TIME_WAIT")
    for args, wanted in (
            (("--process", "alp*"), lambda pid, state: pid in (100, 101)),
            (("--process", "/usr/bin/beta"), lambda pid, state: pid == 200),
            (("--pid", "101"), lambda pid, state: pid == 101),
            (("--unit", "a"), lambda pid, state: pid in (100, 101)),
            (("--container", "0123"), lambda pid, state: pid == 200),
            (("--container", "docker:0123abc", "--process", "alpha"), lambda pid, state: False)):
        compare("state", ("state",), lambda pid, owner, state: (state,), *args, wanted=wanted)
        for n in (7, 20, 33):
            rows = strict_json(connhist("--db", path, "netstat", "-a", "--at", f"@{wall(n) // 1000}", "--format", "json",
                                        *args).stdout)["rows"]
            assert Counter((row["pid"], row["state"]) for row in rows) == Counter(
                {key: number for key, number in truth[n - 1].items() if wanted(*key)})


def test_without_detail_an_answer_by_owner_says_what_lacks(host, tmp_path):
    host.commands.insert(0, "detail off")
    held(host, 100, 0x100, "LISTEN", 80)
    held(host, 100, 0x200, "ESTABLISHED", 80, 40000, opener=2)
    host.tick(3)
    path = Record(tmp_path / "db", host).path
    done = connhist("--db", path, "report", "--by", "process", "--step", "1h", "--format", "json", *SPAN)
    document = strict_json(done.stdout)
    assert only(document["rows"], "process", "last") == [("alpha", 1)] and document["unkept_max"] == 1
    assert "up to 1 socket" in done.stderr and "detail: off" in done.stderr
    assert "detail: off" in connhist("--db", path, "who", "--port", "80", *SPAN).stderr


SERVER = """
import socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("listens")
sys.stdin.readline()
"""


def test_real_servers_one_after_the_other_are_named(netns, record, db):
    recorder = record(netns, "--interval", "200ms")
    recorder.wait_snapshots()
    pids = []
    for _ in range(2):
        with netns.python(SERVER, 7070) as server:
            assert server.stdout.readline() == "listens\n"
            wait_until(lambda: count(db, "SELECT count(*) FROM sockets WHERE local_port = 7070 AND pid = ?", server.pid),
                       "the record to name the server")
            inside = strict_json(connhist("netstat", "-a", "--port", "7070", "--process", "python3*", "--format", "json",
                                          netns=netns).stdout)["rows"]
            assert only(inside, "pid") == [(server.pid,)]
            pids.append(server.pid)
            server.stdin.write("\n")
            server.stdin.close()
            server.wait()
        recorder.wait_snapshots(3)
    recorder.stop()
    rows = strict_json(connhist("--db", db, "who", "--port", "7070", "--since", "-1h", "--format", "json").stdout)["rows"]
    assert only(rows, "use", "pid", "owner_source") == [("listener", pid, "inode") for pid in pids]
    assert pids[0] != pids[1] and all(row["exe"] and "python" in row["process"] for row in rows)
    assert rows[0]["until_before_ms"] <= rows[1]["first_seen_ms"] and not rows[0]["open"] and not rows[1]["open"]
    nobody = connhist("netstat", "-a", "--port", "7070", "--pid", str(pids[0]), netns=netns)
    assert "no socket matches" in nobody.stderr


SHORT = """
import socket, time
listener = socket.create_server(("127.0.0.1", 7071))
for _ in range(30):
    client = socket.create_connection(("127.0.0.1", 7071))
    server, _ = listener.accept()
    client.close()
    server.close()
    time.sleep(0.05)
"""


def test_connections_that_no_snapshot_saw_are_counted(netns, record, db):
    recorder = record(netns, "--interval", "500ms")
    recorder.wait_snapshots()
    assert netns.python(SHORT).wait() == 0
    recorder.wait_snapshots(3)
    recorder.stop()
    args = ("--db", db), ("--port", "7071", "--since", "-1h", "--format", "json")
    sockets = strict_json(connhist(*args[0], "list", *args[1]).stdout)["rows"]
    assert any(row["closed_ms"] == row["first_seen_ms"] for row in sockets), "one that an event alone told of"
    uses = Counter()
    for row in strict_json(connhist(*args[0], "who", *args[1]).stdout)["rows"]:
        uses[row["use"]] += row["sockets"]
    assert uses == Counter("listener" if not row["remote_port"] else "client" if row["remote_port"] == 7071 else "connection"
                           for row in sockets)
    assert uses["client"] == uses["connection"] == 30


@pytest.mark.parametrize("wrap, words", [
    (("setpriv", "--inh-caps=-all", "--bounding-set=-all"), "can't be seen: that needs CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH"),
    (("unshare", "-U", "-r"), "can't be seen")])  # it has all there are, in a user namespace of its own
def test_privileges_are_asked_for_only_where_they_lack(wrap, words):
    if subprocess.run([*wrap, "true"], check=False, capture_output=True).returncode:
        pytest.skip(f"{wrap[0]} is not possible here")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        done = subprocess.run([*wrap, CONNHIST, "netstat", "-a", "-o", "--port", str(port)], text=True,
                              capture_output=True, check=False, timeout=60)
    assert done.stderr.rstrip("\n").endswith(f"the owners of 1 of these sockets {words}")
