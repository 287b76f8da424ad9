# SPDX-License-Identifier: MIT
"""`connhist diff`: what changed between two instants, held against what the made-up kernel showed at both."""
import collections
import csv
import io
import random
import subprocess

import pytest
from conftest import connhist, query, strict_json
from socket_tables import ss
from test_owners import CONNHIST, START_MS, WALL_MS, Host, Record, server

INTERVAL_MS = 10_000


@pytest.fixture(name="play")
def make_play(tmp_path):
    return lambda host: Record(tmp_path / "diff.db", host)


def at(tick):
    """The instant of a snapshot, from 1, as an option's value."""
    return f"@{(WALL_MS + START_MS + tick * INTERVAL_MS) / 1000:.3f}"


def diff(made, first, last, *more):
    return strict_json(made.ask("diff", "--from", at(first), "--to", at(last), "--format", "json", *more))


def changes(made, first, last, *more):
    return [(row["change"], row["local_port"], row["remote_port"], row["state_before"], row["state"])
            for row in diff(made, first, last, *more)["rows"]]


def busy():
    """Three snapshots: before, in between, after a deploy."""
    host = Host()
    server(host)                                     # stays
    server(host, 200, "old", cookie=2, port=8080)    # is replaced by another program
    server(host, 300, "gone", cookie=3, port=180)    # ends
    host.socket(10, "ESTABLISHED", 80, 40000)
    host.socket(11, "ESTABLISHED", 80, 40001)
    host.socket(12, "ESTABLISHED", 80, 40002)
    host.do("holds 100 15")
    host.tick(2)
    host.close(2)
    host.close(3)
    host.close(12)
    host.do("ended 200")
    host.do("ended 300")
    host.socket(13, "ESTABLISHED", 80, 40003)        # came and went
    host.tick()
    host.close(13)
    server(host, 201, "new", cookie=4, port=8080, start=4_000_000)
    server(host, 400, "intruder", cookie=5, port=31337)
    host.socket(11, "CLOSE_WAIT", 80, 40001)
    host.tick(3)
    return host


def test_what_opened_closed_and_changed_is_told_and_nothing_else(play):
    made = play(busy())
    assert changes(made, 2, 6) == [
        ("closed", 180, 0, "LISTEN", None),
        ("replaced+owner", 8080, 0, "LISTEN", "LISTEN"),
        ("opened", 31337, 0, None, "LISTEN"),
        ("state", 80, 40001, "ESTABLISHED", "CLOSE_WAIT"),
        ("closed", 80, 40002, "ESTABLISHED", None)]
    done = diff(made, 2, 6)
    assert done["schema"] == "connhist/diff/1" and done["coverage"]["gaps"] == []
    assert [done[name] for name in ("sockets_before", "sockets_after", "opened", "closed", "changed")] == [6, 5, 1, 2, 2]
    owner = next(row for row in done["rows"] if row["local_port"] == 8080)
    assert (owner["pid_before"], owner["process_before"], owner["unit_before"]) == (200, "old", "old.service")
    assert (owner["pid"], owner["process"], owner["exe"]) == (201, "new", "/usr/bin/new")
    assert changes(made, 2, 2) == []


def test_listen_and_the_filters_choose_what_is_compared(play):
    made = play(busy())
    assert [row[:2] for row in changes(made, 2, 6, "--listen")] == [
        ("closed", 180), ("replaced+owner", 8080), ("opened", 31337)]
    assert [row[:3] for row in changes(made, 2, 6, "--port", "80")] == [("state", 80, 40001), ("closed", 80, 40002)]
    # what matched at one of both instants is not closed because it does not match at the other
    assert changes(made, 2, 6, "--state", "CLOSE_WAIT") == [("state", 80, 40001, "ESTABLISHED", "CLOSE_WAIT")]
    for name in ("old", "new"):
        assert [row[:2] for row in changes(made, 2, 6, "--process", name)] == [("replaced+owner", 8080)]
    assert changes(made, 2, 6, "--proto", "udp") == []


def test_a_socket_that_changes_hands_is_no_other_socket(play):
    host = Host()
    server(host)
    host.process(101, "heir")
    host.tick(12)
    host.do("lets 100 6")
    host.do("holds 101 6")
    host.tick(30)
    rows = diff(play(host), 1, 42)["rows"]
    assert [(row["change"], row["pid_before"], row["pid"]) for row in rows] == [("owner", 100, 101)]


def test_a_restart_of_the_recorder_changes_nothing(play):
    """Not even where an owner was not known before it; one that is another behind the gap is told."""
    host = Host()
    server(host)
    server(host, 200, "old", cookie=2, port=8080)
    host.socket(3, "LISTEN", 443)                    # whose, is not found
    host.socket(10, "ESTABLISHED", 80, 40000)
    host.do("holds 100 15")
    host.tick(4)
    host.do("stop")
    host.boot_ms += 100_000
    host.close(2)
    host.do("ended 200")
    server(host, 201, "new", cookie=4, port=8080, start=4_000_000)
    host.process(300, "late")
    host.do("holds 300 8")
    host.clock()
    host.do("start boot-1")
    host.tick(4)
    rows = diff(play(host), 2, 18)["rows"]
    assert [(row["local_port"], row["pid_before"], row["pid"]) for row in rows] == [(8080, 200, 201)]
    assert "owner" in rows[0]["change"].split("+")


@pytest.mark.parametrize("ticks, change", [(0, "owner"), (1, "replaced+owner")])
def test_a_port_that_snapshots_saw_free_is_another_sockets(play, ticks, change):
    """Though the recorder did not see the later one open: it began behind a gap."""
    host = Host()
    server(host, 200, "old", cookie=2, port=8080)
    host.tick(4)
    if ticks:
        host.close(2)
        host.do("ended 200")
        host.tick(ticks)
    host.do("stop")
    host.boot_ms += 100_000
    if not ticks:
        host.close(2)
        host.do("ended 200")
    server(host, 201, "new", cookie=4, port=8080, start=4_000_000)
    host.clock()
    host.do("start boot-1")
    host.tick(4)
    rows = diff(play(host), 2, 16 + ticks)["rows"]
    assert [(row["change"], row["pid_before"], row["pid"]) for row in rows] == [(change, 200, 201)]


def test_what_else_of_an_owner_is_another_is_shown_where_its_process_is_the_same(play):
    host = Host()
    server(host)
    host.tick(3)
    host.process(100, "web", unit="other.service", cgroup="/system.slice/other.service")
    host.tick(60)
    made = play(host)
    rows = diff(made, 2, 62)["rows"]
    assert [(row["change"], row["pid_before"], row["pid"], row["unit_before"], row["unit"]) for row in rows] == [
        ("owner", 100, 100, "web.service", "other.service")]
    assert "web/100: web.service -> other.service" in made.ask("diff", "--from", at(2), "--to", at(62))


def test_another_upper_layer_is_a_change(play):
    """kTLS begins on a connection; two others are as they were."""
    host = Host()

    def held(cookie, port, offload):
        host.socket(cookie, "ESTABLISHED", 80, port)
        key = cookie, False
        host.sockets[key] += f"\noffload {offload}"
    host.do("sampling 20000")
    server(host)
    for cookie, port, offload in ((10, 40000, 1), (11, 40001, 2), (12, 40002, 1)):
        held(cookie, port, offload)
    host.tick(14)
    for cookie, port, offload in ((10, 40000, 128 + 2 * 8 + 3), (11, 40001, 2), (12, 40002, 1)):
        held(cookie, port, offload)
    host.tick(14)
    made = play(host)
    rows = diff(made, 10, 28)["rows"]
    assert [(row["change"], row["remote_port"], row["offload_before"], row["offload"]) for row in rows] == [
        ("offload", 40000, "InHost", "kTLS tx software rx device")]
    assert "ESTABLISHED, InHost -> kTLS tx software rx device" in made.ask("diff", "--from", at(10), "--to", at(28), "-n")


def test_sockets_that_share_their_ends_find_themselves(play):
    """SO_REUSEPORT: one of four workers is replaced, and one comes."""
    host = Host()
    for number in range(4):
        server(host, 100 + number, f"worker{number}", cookie=1 + number)
    host.tick(2)
    host.close(3)
    host.do("ended 102")
    host.tick()
    server(host, 500, "worker2", cookie=20, start=4_000_000)
    server(host, 501, "worker4", cookie=21, start=4_000_000)
    host.tick(2)
    rows = diff(play(host), 2, 5)["rows"]
    assert sorted((row["change"], row["pid_before"] or 0, row["pid"]) for row in rows) in (
        [("opened", 0, 501), ("replaced+owner", 102, 500)], [("opened", 0, 500), ("replaced+owner", 102, 501)])


@pytest.mark.parametrize("seed", range(4))
def test_random_tables_differ_as_the_kernel_showed(play, seed):
    chance, host, shown = random.Random(seed), Host(), {}
    server(host)
    alive, cookie = {}, 10
    for tick in range(1, 13):
        for key in [key for key in alive if chance.random() < 0.3]:
            host.close(alive.pop(key)[0])
        for key in alive:
            if chance.random() < 0.2:
                alive[key] = (alive[key][0], "CLOSE_WAIT")
                host.socket(alive[key][0], "CLOSE_WAIT", *key)
        for peer_port in range(40000, 40012):
            if (80, peer_port) not in alive and chance.random() < 0.4:
                cookie += 1
                alive[80, peer_port] = (cookie, "ESTABLISHED")
                host.socket(cookie, "ESTABLISHED", 80, peer_port)
        host.tick()
        shown[tick] = dict(alive)
    made = play(host)
    for first, last in [(1, 12), (3, 4), (5, 9), (11, 12)]:
        truth = collections.Counter()
        for key in shown[first].keys() | shown[last].keys():
            before, after = shown[first].get(key), shown[last].get(key)
            if before and after:
                words = [word for word, other in (("replaced", before[0] != after[0]), ("state", before[1] != after[1]))
                         if other]
                change = "+".join(words)
            else:
                change = "opened" if after else "closed"
            if change:
                truth[(change, *key, before and before[1], after and after[1])] += 1
        assert collections.Counter(changes(made, first, last)) == truth


def test_tables_for_people_say_which_snapshots_and_what_was_between(play):
    host = busy()
    made = play(host)
    text = made.ask("diff", "--from", at(2), "--to", at(6), "-n", "--utc")
    lines = text.splitlines()
    assert lines[0].startswith("From snapshot of ") and lines[1].startswith("To   snapshot of ")
    assert lines[2] == "6 sockets before, 5 after: 1 opened, 2 closed, 2 changed"
    assert lines[3].split()[0] == "CHANGE"
    assert any("old/200 -> new/201" in line for line in lines)
    assert any("ESTABLISHED -> CLOSE_WAIT" in line for line in lines)
    csv = made.ask("diff", "--from", at(2), "--to", at(6), "--format", "csv").splitlines()
    assert len(csv) == 6 and csv[0].startswith("change,netns,protocol,")
    assert len(made.ask("diff", "--from", at(2), "--format", "jsonl").splitlines()) == 5


def test_a_gap_between_both_is_told(play):
    host = Host()
    server(host)
    host.tick(2)
    host.do("stop")
    host.boot_ms += 600_000
    host.clock()
    host.do("start boot-1")
    host.tick(2)
    done = diff(play(host), 2, 64)
    assert len(done["coverage"]["gaps"]) == 1 and done["rows"] == []


def test_wrong_questions_are_refused_in_one_line(play):
    host = Host()
    server(host)
    host.tick(2)
    made = play(host)
    for args, status, words in [
            ([], 2, "--from"), (["--from", "nonsense"], 2, "--from"),
            (["--from", at(2), "--to", at(1)], 2, "later than --to"),
            (["--from", at(1), "--to", "tomorrow"], 2, "--to"),
            (["--from", at(1), "--listen", "--state", "LISTEN"], 2, "exclude each other"),
            (["--from", at(-100)], 3, "the record begins at")]:
        done = subprocess.run([CONNHIST, "--db", made.path, "diff", *args], text=True, capture_output=True, check=False,
                              timeout=60)
        assert done.returncode == status and words in done.stderr and done.stderr.count("\n") == 1, (args, done)
        assert done.stdout == ""


LISTENERS = """
import socket, sys
kept = {}
for line in sys.stdin:
    word, port = line.split()
    if word == "listen":
        kept[port] = socket.socket()
        kept[port].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        kept[port].bind(("127.0.0.1", int(port)))
        kept[port].listen(8)
    else:
        kept.pop(port).close()
    print("done", flush=True)
"""


def test_real_listeners_that_came_and_went(netns, db, record):
    process = netns.python(LISTENERS)

    def say(*commands):
        for command in commands:
            process.stdin.write(command + "\n")
            process.stdin.flush()
            assert process.stdout.readline() == "done\n"
    say("listen 80", "listen 8080", "listen 180")
    record(netns, "--once").process.wait(20)
    say("close 8080", "listen 31337")
    record(netns, "--once").process.wait(20)
    first, last = (row[0] for row in query(db, "SELECT start_ms FROM snapshots ORDER BY 1"))
    rows = strict_json(connhist("--db", db, "diff", "--listen", "--from", f"@{first / 1000:.3f}",
                                "--to", f"@{last / 1000:.3f}", "--format", "json").stdout)["rows"]
    assert [(row["change"], row["local_address"], row["local_port"]) for row in rows] == [
        ("closed", "127.0.0.1", 8080), ("opened", "127.0.0.1", 31337)]
    assert {row["pid"] or row["pid_before"] for row in rows} == {process.pid}
    process.stdin.close()
    process.wait(20)


CONNECTIONS = """
import socket, sys
kept = {}
for line in sys.stdin:
    word, port = line.split()
    if word in ("open", "open6"):
        where, family = (("::1", socket.AF_INET6) if word == "open6" else ("127.0.0.1", socket.AF_INET))
        listener = socket.create_server((where, int(port)), family=family)
        client = socket.create_connection((where, int(port)))
        kept[port] = [listener, client, listener.accept()[0]]
    elif word == "udp":
        kept[port] = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM)]
        kept[port][0].bind(("127.0.0.1", int(port)))
    elif word == "udp6":
        kept[port] = [socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)]
        kept[port][0].bind(("::1", int(port)))
    elif word == "half":
        kept[port][1].close()
    else:
        for sock in kept.pop(port):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\\1\\0\\0\\0\\0\\0\\0\\0")
            sock.close()
    print("done", flush=True)
"""


@pytest.fixture(name="two_tables")
def make_two_tables(netns, db, record):
    """A record of two snapshots, and what ss showed at each: (first instant, second, table, table)."""
    process = netns.python(CONNECTIONS)
    tables = []
    for commands in (("open 80", "open 8080", "open 443", "udp 53", "udp 5353", "open6 81", "open6 8443", "open6 444", "udp6 54"),
                     ("close 8080", "half 443", "close 53", "open 9000", "udp 123", "close 8443", "half 444", "close 54",
                      "open6 9001", "udp6 546")):
        for command in commands:
            process.stdin.write(command + "\n")
            process.stdin.flush()
            assert process.stdout.readline() == "done\n"
        record(netns, "--once").wait()
        tables.append(ss(netns))
    first, last = (f"@{row[0] / 1000:.3f}" for row in query(db, "SELECT start_ms FROM snapshots ORDER BY 1"))
    yield first, last, *tables
    process.stdin.close()
    process.wait(20)


def ends(table):
    return {(protocol, *rest): state for protocol, state, *rest in table}


def test_the_difference_is_that_of_two_tables_of_ss(two_tables, db, netns):
    first, last, before, after = two_tables
    before, after = ends(before), ends(after)
    wanted = collections.Counter()
    for key in before.keys() | after.keys():
        one, other = before.get(key), after.get(key)
        if one != other:
            wanted["opened" if not one else "closed" if not other else "state", *key, one, other] += 1
    assert {change for change, *_ in wanted} == {"opened", "closed", "state"}
    base = ["--db", db, "diff", "--from", first, "--to", last]
    found = strict_json(connhist(*base, "--format", "json", netns=netns).stdout)
    rows = found["rows"]
    # what both know of a row: the owner may change with the state, as of a socket that the program closed
    assert collections.Counter((row["change"].replace("owner+", ""), row["protocol"], row["local_address"], row["local_port"],
                                row["remote_address"], row["remote_port"], row["state_before"], row["state"])
                               for row in rows) == wanted
    assert (found["sockets_before"], found["sockets_after"]) == (len(before), len(after))
    # the same in every format
    lines = connhist(*base, "--format", "jsonl", netns=netns).stdout.splitlines()
    assert [strict_json(line) for line in lines] == rows
    table = list(csv.DictReader(io.StringIO(connhist(*base, "--format", "csv", netns=netns).stdout)))
    assert table == [{name: "" if value is None else str(value) for name, value in row.items()} for row in rows]
    text = connhist(*base, "-n", netns=netns).stdout
    assert sum(line.split()[0] in ("opened", "closed", "state", "owner+state") for line in text.splitlines()) == len(rows)
    # listening ports alone; UDP that serves is among them
    found = strict_json(connhist(*base, "--listen", "--format", "json", netns=netns).stdout)["rows"]
    assert collections.Counter((row["change"], row["protocol"], row["local_port"]) for row in found) == collections.Counter(
        (change, key[0], key[2]) for change, *key, one, other in wanted
        if (one or other) == "LISTEN" or key[0] == "udp")


def test_instants_of_one_snapshot_or_before_any_are_told(two_tables, db, netns):
    first, last = two_tables[:2]
    done = connhist("--db", db, "diff", "--from", first, "--to", f"@{float(first[1:]) + 0.001:.3f}", netns=netns)
    assert "the same snapshot: nothing can differ" in done.stderr and "0 opened, 0 closed, 0 changed" in done.stdout
    # the later instant lies in a gap: what is shown is told, in words and as a field
    later = f"@{float(first[1:]) + 0.9 * (float(last[1:]) - float(first[1:])):.3f}"
    found = strict_json(connhist("--db", db, "diff", "--from", first, "--to", later, "--format", "json", netns=netns).stdout)
    assert found["rows"] == [] and found["to_snapshot_ms"] == found["from_snapshot_ms"]
    done = connhist("--db", db, "diff", "--from", last, "--to", first, netns=netns, status=2)
    assert "exchange them" in done.stderr and done.stderr.count("\n") == 1


def test_across_a_reboot_nothing_is_the_same_socket(play):
    """Also where addresses and cookies are: all of the first boot closed, what came in the second replaced it."""
    host = Host()
    server(host)
    server(host, 200, "old", cookie=2, port=8080)
    host.socket(10, "ESTABLISHED", 80, 40000)
    host.tick(3)
    host.do("stop")
    host.boot_ms += 600_000
    host.clock()
    host.do("start boot-2")
    host.close(2)
    host.close(10)
    host.tick(2)
    made = play(host)
    done = diff(made, 2, 65)
    assert sorted((row["change"].split("+")[0], row["state_before"], row["local_port"]) for row in done["rows"]) == [
        ("closed", "ESTABLISHED", 80), ("closed", "LISTEN", 8080), ("replaced", "LISTEN", 80)]
    assert len(done["coverage"]["gaps"]) == 1
    said = subprocess.run([CONNHIST, "--db", made.path, "diff", "--from", at(2), "--to", at(65)], text=True,
                          capture_output=True, check=True, timeout=60).stderr
    assert "booted between both" in said
