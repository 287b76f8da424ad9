# SPDX-License-Identifier: MIT
"""`connhist netstat`: the kernel's table now, held against ss, and the record's as of an instant."""
import collections
import itertools
import re
import time

import pytest

from conftest import OWN_ONLY, connhist, query, strict_json
from socket_tables import bound_only, endpoint, live, ss, table

# Listeners, connections, and UDP of both families; ports with 80 in them that are not 80.
SOCKETS = """
import socket, sys
kept = []
def keep(family, kind, where, only6=True):
    sock = socket.socket(family, kind)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only6)
    sock.bind(where)
    kept.append(sock)
    return sock
def pair(family, where, target=None, only6=True):
    server = keep(family, socket.SOCK_STREAM, where, only6)
    server.listen(8)
    client = socket.create_connection(target or where)
    kept.extend([client, server.accept()[0]])
for port in (80, 180, 800, 8000, 8080):
    pair(socket.AF_INET, ("127.0.0.1", port))
for port in (80, 8080):
    pair(socket.AF_INET6, ("::1", port))
pair(socket.AF_INET6, ("::", 8443), ("127.0.0.1", 8443), False)
for family, local in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
    for port in (80, 8080):
        keep(family, socket.SOCK_DGRAM, (local, port))
    keep(family, socket.SOCK_DGRAM, (local, 5000)).connect((local, 80))
    keep(family, socket.SOCK_STREAM, (local, 9999))
print("ready")
for line in sys.stdin:
    pair(socket.AF_INET, ("127.0.0.1", int(line)))
    print("done")
"""

FAMILIES = {"tcp": ("tcp", None), "udp": ("udp", None), "tcpv4": ("tcp", False), "tcpv6": ("tcp", True),
            "udpv4": ("udp", False), "udpv6": ("udp", True)}


@pytest.fixture
def host(netns):
    """A namespace with SOCKETS in it; host.add(PORT) makes another listener with a connection."""
    process = netns.python(SOCKETS)
    assert process.stdout.readline() == "ready\n"

    def add(port):
        process.stdin.write(f"{port}\n")
        process.stdin.flush()
        assert process.stdout.readline() == "done\n"
    netns.add = add
    yield netns
    process.stdin.close()
    process.wait(20)


def kept(rows, true):
    return collections.Counter({row: n for row, n in rows.items() if true(*row)})


def everything(netns):
    """What ss shows, and the bound sockets that it does not ask for."""
    return ss(netns) + collections.Counter([("tcp", "CLOSE", "127.0.0.1", 9999, "0.0.0.0", 0),
                                            ("tcp", "CLOSE", "::1", 9999, "::", 0)])


def is_connection(_protocol, state, *_):
    return state not in ("LISTEN", "CLOSE")


def people(text):
    """The table for people, without its heading."""
    lines = [line.split() for line in text.splitlines()]
    start = next(i for i, line in enumerate(lines) if line[:3] == ["PROTO", "LOCAL", "REMOTE"])
    return [line for line in lines[start + 1:] if line]


@pytest.mark.parametrize("words", [[], ["-n"], ["--numeric"]])
def test_without_all_only_connections_are_shown(host, words):
    assert table(live(host, *words)) == kept(everything(host), is_connection)
    assert table(live(host, *words)) == ss(host) - kept(ss(host), lambda *row: not is_connection(*row))


@pytest.mark.parametrize("words", [["-a"], ["--all"], ["-an"], ["-na"], ["-a", "-n"]])
def test_with_all_everything_is_shown(host, words):
    found = table(live(host, *words))
    assert found == everything(host)
    assert found - bound_only(found) == ss(host)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_protocol_can_be_asked_for(host, name):
    protocol, six = FAMILIES[name]

    def wanted(of, _state, local, *_):
        return of == protocol and six in (None, ":" in local)
    assert kept(everything(host), wanted)
    for words in (["-p", name], [f"-p{name}"], ["--proto", name.upper()], [f"--proto={name}"]):
        assert table(live(host, "-an", *words)) == kept(everything(host), wanted)
    assert table(live(host, f"-anp{name}")) == kept(everything(host), wanted)


@pytest.mark.parametrize("words, ports", [
    ("80", {80}), ("8080", {8080}), ("80,443", {80}), ("http", {80}), ("79-181", {80, 180}), ("8", set()), ("81", set()),
])
def test_a_port_matches_the_port_and_nothing_else(host, record, ask, words, ports):
    """Where a search in text for "80" finds 8080 and 180 too."""
    wanted = kept(everything(host), lambda p, s, local, lport, remote, rport: {lport, rport} & ports)
    assert bool(wanted) == bool(ports)
    assert table(live(host, "-an", "--port", words)) == wanted
    record(host, "--once").wait()
    assert table(ask("netstat", "-an", "--port", words, "--at", "now")["rows"]) == wanted
    assert table(ask("list", "--port", words)["rows"]) == wanted


def test_a_port_of_one_protocol_is_another_service(host):
    wanted = kept(everything(host), lambda p, s, local, lport, remote, rport: p == "udp" and 80 in (lport, rport))
    assert sum(wanted.values()) == 4
    assert table(live(host, "-an", "--port", "80/udp")) == wanted
    assert table(live(host, "-an", "--port", "80", "-p", "udp")) == wanted


def test_options_combine_in_any_order(host):
    wanted = kept(everything(host), lambda p, s, local, lport, *_: (p, s, lport) == ("tcp", "LISTEN", 80))
    groups = [["-an"], ["-p", "tcp"], ["--port", "80"], ["--state", "listening"]]
    for order in itertools.permutations(groups):
        assert table(live(host, *itertools.chain(*order))) == wanted
    assert table(live(host, "-nap", "tcp", "--state=LISTEN", "--port=80")) == wanted


def test_the_table_for_people_has_the_same_sockets(host):
    rows = people(connhist("netstat", "-an", netns=host).stdout)
    found = collections.Counter((protocol, "CLOSE" if (protocol, state) == ("udp", "-") else state, *endpoint(local),
                                 *endpoint(remote)) for protocol, local, remote, state, *_ in rows)
    assert found == everything(host)
    assert {row[3] for row in rows if row[0] == "udp"} == {"-", "ESTABLISHED"}  # UDP has no states
    # In one order each time: protocol, listeners first, ports.
    listeners = [endpoint(row[1])[1] for row in rows if row[0] == "tcp" and row[3] == "LISTEN"]
    assert rows[0][3] == "LISTEN" and listeners == sorted(listeners)


def test_listening_ports_alone_are_those_of_ss(host, record, ask):
    """What fingers type -tulpn for elsewhere."""
    wanted = kept(ss(host), lambda protocol, state, *_: (protocol, state) in (("tcp", "LISTEN"), ("udp", "CLOSE")))
    assert sum(wanted.values()) == len(host.run("ss", "-Htuln").stdout.splitlines())
    assert {row[:2] for row in wanted} == {("tcp", "LISTEN"), ("udp", "CLOSE")}
    for words in (["-ln"], ["-nl"], ["--listen"], ["-al"]):
        assert table(live(host, *words)) == wanted
    assert table(live(host, "-lp", "udp")) == kept(wanted, lambda *row: row[0] == "udp")
    assert table(live(host, "-l", "--port", "80")) == kept(wanted, lambda p, s, local, port, *_: port == 80)
    record(host, "--once").wait()
    assert table(ask("netstat", "-l", "--at", "now")["rows"]) == wanted


def test_ports_have_names_unless_numbers_are_asked_for(host):
    named = connhist("netstat", "-a", "-p", "tcpv4", "--port", "80", netns=host).stdout
    assert "127.0.0.1:http " in named and not re.search(r":80\b", named)
    numbers = connhist("netstat", "-an", "-p", "tcpv4", "--port", "80", netns=host).stdout
    assert re.search(r"127\.0\.0\.1:80\b", numbers) and "http" not in numbers
    # Programs get numbers always.
    assert {type(row["local_port"]) for row in live(host, "-a")} == {int}


@pytest.fixture
def own_names(tmp_path, db):
    """A configuration that calls 8000/tcp qq."""
    path = tmp_path / "connhist.yaml"
    path.write_text(f"database: {db}\nservices:\n  8000/tcp: qq\n{OWN_ONLY}\n")
    return path


def test_names_of_ones_own_come_from_the_configuration(host, own_names):
    text = connhist("--config", own_names, "netstat", "-a", "--port", "qq", netns=host).stdout
    rows = people(text)
    assert len(rows) == 3 and "127.0.0.1:qq" in text and "8000" not in text
    document = strict_json(connhist("--config", own_names, "netstat", "-a", "--port", "qq/tcp", "--format", "json",
                                    netns=host).stdout)
    assert table(document["rows"]) == kept(everything(host), lambda *row: 8000 in (row[3], row[5]))


def test_names_of_ones_own_go_into_the_record(host, own_names, record, db):
    """So a file that was carried elsewhere still knows them, without the configuration."""
    record(host, "--config", own_names, "--once").wait()
    for words in (["--config", own_names], ["--db", db]):
        done = connhist(*words, "report", "--port", "qq", "--format", "json")
        rows = strict_json(done.stdout)["rows"]
        assert {row["port"] for row in rows} == {8000}
        assert "8000 (qq)" in connhist(*words, "report", "--port", "qq", "--format", "table").stdout
        assert "127.0.0.1:qq" in connhist(*words, "netstat", "-a", "--at", "now").stdout
        assert len(people(connhist(*words, "netstat", "-a", "--at", "now", "--port", "qq").stdout)) == 3
    assert query(db, "SELECT DISTINCT service_name FROM port_history WHERE port = 8000") == [("qq",)]


def test_an_unknown_name_is_wrong_usage(host):
    done = connhist("netstat", "--port", "no-such-name", netns=host, status=2)
    assert "no-such-name" in done.stderr and not done.stdout


def test_an_instant_has_the_table_of_the_snapshot_before_it(host, record, ask, db):
    recorder = record(host, "--interval", "500ms")
    recorder.wait_snapshots()
    before = everything(host)
    time.sleep(0.01)
    host.add(7777)
    after = everything(host)
    recorder.wait_snapshots(2)
    recorder.stop()
    snapshots = [at for (at,) in query(db, "SELECT start_ms FROM snapshots WHERE status = 0 ORDER BY start_ms")]
    shown = []
    for at, following in zip(snapshots, [*snapshots[1:], snapshots[-1]]):
        for asked in sorted({at, (at + following) // 2, max(at, following - 1)}):
            document = ask("netstat", "-an", "--at", f"@{asked / 1000:.3f}")
            assert (document["at_ms"], document["snapshot_ms"]) == (asked, at)
            assert document["distance_ms"] == asked - at and not document["in_gap"]
            shown.append(table(document["rows"]))
    assert shown[0] == before and shown[-1] == after
    # It changed once, and between there is nothing else.
    assert [key for key, _ in itertools.groupby(shown)] == [before, after]


def test_an_instant_before_the_record_cannot_be_answered(host, record, ask, db):
    record(host, "--once").wait()
    (first,), = query(db, "SELECT start_ms FROM snapshots")
    done = connhist("--db", db, "netstat", "--at", f"@{(first - 1) / 1000:.3f}", status=3)
    assert "begins" in done.stderr and not done.stdout


def test_an_instant_long_after_the_record_says_how_far_it_is(host, record, ask, db):
    record(host, "--interval", "100ms", "--count", "2").wait()
    time.sleep(1)
    document = ask("netstat", "-an", "--at", "now")
    assert document["in_gap"] and document["distance_ms"] >= 1000
    assert table(document["rows"]) == everything(host)
    done = connhist("--db", db, "netstat", "-an", "--at", "now")
    assert "NOTHING WAS RECORDED" in done.stdout and "nothing was recorded" in done.stderr


def test_a_role_is_known_to_the_record_alone(host, record, ask):
    assert "--at" in connhist("netstat", "--role", "server", netns=host, status=2).stderr
    record(host, "--once").wait()
    rows = ask("netstat", "--role", "server", "--port", 80, "--at", "now")["rows"]
    assert {(row["state"], row["local_port"]) for row in rows} == {("ESTABLISHED", 80)}
