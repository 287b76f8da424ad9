# SPDX-License-Identifier: MIT
"""netstat -t: what holds each connection, now and then, against what ss told of the same sockets."""
import subprocess
import time

import pytest

from conftest import CONNHIST, CONNHISTD, OWN_ONLY, connhist, query, strict_json, wait_until

# Port 4001: ordinary TCP, and UDP; 4002: MPTCP with itself; 4003: MPTCP asked of an ordinary listener; 4004: a TIME_WAIT;
# 4005: kTLS without keys. One line says which of them are there.
SOCKETS = """
import socket, sys
MPTCP, TCP_ULP = 262, 31
kept, there = [], ["4001", "4004"]
def pair(port, server=0, client=0):
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, server)
    connected = socket.socket(socket.AF_INET, socket.SOCK_STREAM, client)
    kept.extend([listener, connected])
    listener.bind(("127.0.0.1", port))
    listener.listen(8)
    connected.connect(("127.0.0.1", port))
    accepted = listener.accept()[0]
    kept.append(accepted)
    connected.send(b"x")
    accepted.recv(1)
    return connected, accepted
pair(4001)
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(("127.0.0.1", 4001))
try:
    pair(4002, MPTCP, MPTCP)
    pair(4003, 0, MPTCP)
    there += ["4002", "4003"]
except OSError:
    pass
for end in pair(4004):
    end.close()
connected, accepted = pair(4005)
try:
    connected.setsockopt(socket.IPPROTO_TCP, TCP_ULP, b"tls")
    there.append("4005")
except OSError:
    pass
print(*there)
sys.stdin.read()
"""


@pytest.fixture
def host(netns):
    process = netns.python(SOCKETS)
    netns.there = process.stdout.readline().split()
    assert "4001" in netns.there
    yield netns
    process.stdin.close()
    process.wait(20)


def offloads(netns, port, *words):
    """{(protocol, state, local port, remote port): what holds it} of one port."""
    done = connhist("netstat", "-at", "--port", port, *words, "--format", "json", netns=netns)
    return {(row["protocol"], row["state"], row["local_port"], row["remote_port"]): row["offload"]
            for row in strict_json(done.stdout)["rows"]}


def told_by_ss(netns, *which):
    """{(local port, remote port): the words of ss -i} of TCP sockets, of which TIME_WAIT has none."""
    lines = netns.run("ss", "-tianHO", "exclude", "time-wait", *which).stdout.splitlines()
    found = {}
    for line in lines:
        words = line.split()
        local, remote = (word.rpartition(":")[2] for word in words[3:5])
        found[int(local), 0 if remote == "*" else int(remote)] = words[5:]
    return found


def need(netns, port, what):
    if str(port) not in netns.there:
        pytest.skip(f"this kernel has no {what}")


@pytest.mark.parametrize("port", [4001, 4002, 4003])
def test_what_holds_a_socket_is_what_ss_tells(host, port):
    if port != 4001:
        need(host, port, "MPTCP")
    ours = {ports: held for (protocol, _, *ends), held in offloads(host, port, "-p", "tcp").items() for ports in [tuple(ends)]}
    theirs = told_by_ss(host, f"sport = :{port} or dport = :{port}")
    assert len(ours) == 3 and set(ours) == set(theirs)
    for ports, held in ours.items():
        assert held is not None and held.startswith("MPTCP") == ("tcp-ulp-mptcp" in theirs[ports]), (ports, theirs[ports])
        assert (held == "InHost") == (not any(word.startswith("tcp-ulp-") for word in theirs[ports]))


def test_mptcp_is_told_from_mptcp_that_fell_back(host):
    need(host, 4002, "MPTCP")
    assert set(offloads(host, 4002).values()) == {"MPTCP"}
    fallen = offloads(host, 4003)
    assert sorted(fallen.values()) == ["InHost", "InHost", "MPTCP as TCP"]
    assert [key[3] for key, held in fallen.items() if held != "InHost"] == [4003]  # who connected


def test_what_the_kernel_does_not_tell_is_unknown(host):
    assert {held for key, held in offloads(host, 4001).items() if key[0] == "udp"} == {None}
    wait_until(lambda: "TIME-WAIT" in host.run("ss", "-Htan", "dport = :4004").stdout, "the connection is in TIME_WAIT")
    assert {key[1]: held for key, held in offloads(host, 4004).items()} == {"LISTEN": "InHost", "TIME_WAIT": None}


def test_ktls_has_its_modes(host):
    need(host, 4005, "kTLS")
    assert sorted(offloads(host, 4005).values()) == ["InHost", "InHost", "kTLS tx none rx none"]


@pytest.mark.parametrize("words", [["-ant"], ["-tna"], ["-a", "--offload", "-n"]])
def test_people_see_a_column(host, words):
    text = connhist("netstat", *words, "-p", "tcp", "--port", "4001", netns=host).stdout
    heading, *rows = text.splitlines()
    assert "OFFLOAD" in heading and len(rows) == 3 and all(row.rstrip().endswith("InHost") for row in rows)
    assert "OFFLOAD" not in connhist("netstat", "-an", "--port", "4001", netns=host).stdout


def test_it_is_told_without_privileges(host):
    prefix = ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all"]
    ports = "4001,4002" if "4002" in host.there else "4001"
    words = [CONNHIST, "netstat", "-ant", "-p", "tcp", "--port", ports, "--format", "json"]
    assert int(host.run(*prefix, "grep", "CapEff", "/proc/self/status").stdout.split()[1], 16) == 0
    rows = strict_json(host.run(*prefix, *words).stdout)["rows"]
    assert {(row["local_port"], row["offload"]) for row in rows if row["state"] == "LISTEN"} == {
        (int(port), "InHost" if port == "4001" else "MPTCP") for port in ports.split(",")}


def test_other_tables_are_refused_in_one_line(host):
    for words in (["-t", "-r"], ["-st"], ["-rt", "--at", "-1m"]):
        done = connhist("netstat", *words, netns=host, status=2)
        assert done.stdout == "" and done.stderr.count("\n") == 1 and "--offload" in done.stderr


# Obeys lines: `pair PORT SERVER CLIENT` makes a listener and a connection to it, the protocols by number; `end PORT` closes
# all of them, the client last.
ORDERS = """
import socket, sys
kept = {}
for line in sys.stdin:
    word, port, *protocols = line.split()
    if word == "end":
        for end in kept.pop(port):
            end.close()
    else:
        listener, connected = (socket.socket(socket.AF_INET, socket.SOCK_STREAM, int(each)) for each in protocols)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", int(port)))
        listener.listen(8)
        connected.connect(("127.0.0.1", int(port)))
        accepted = listener.accept()[0]
        connected.send(b"x")
        accepted.recv(1)
        kept[port] = [listener, accepted, connected]
    print("done", flush=True)
"""


@pytest.fixture
def order(netns):
    process = netns.python(ORDERS)

    def give(*words):
        print(*words, file=process.stdin, flush=True)
        return process.stdout.readline() == "done\n"
    give.netns = netns
    yield give
    process.stdin.close()
    process.wait(20)


@pytest.fixture
def mptcp(order):
    """Orders in a namespace where MPTCP works: 262 is its protocol, 0 is TCP."""
    if not order("pair", 4009, 262, 262):
        pytest.skip("this kernel has no MPTCP")
    assert order("end", 4009)
    return order


@pytest.fixture
def start(order, record, tmp_path):
    """start("100ms") records with that pace of tcp_info."""
    def run(pace):
        config = tmp_path / "connhist.yaml"
        config.write_text(f"interval: 100ms\nsampling: {{tcp_info: {pace}}}\n{OWN_ONLY}\n")
        return record(order.netns, "--config", config)
    return run


def at_rest(recorder, netns):
    """An instant, and what ss tells at it: nothing has changed since the snapshot before."""
    def quiet():
        return {line.split()[0] for line in netns.run("ss", "-tanH").stdout.splitlines()} <= {"LISTEN", "ESTAB", "TIME-WAIT"}
    wait_until(quiet, "no connection is half closed")
    recorder.wait_snapshots(2)
    return time.time(), told_by_ss(netns)


def held(ask, instant, *words):
    """{(local port, remote port): what held it} of what was in the table then."""
    rows = ask("netstat", "-ant", "-p", "tcp", "--at", f"@{instant:.3f}", *words)["rows"]
    return {(row["local_port"], row["remote_port"]): row["offload"] for row in rows if row["state"] != "TIME_WAIT"}


def words_of_ss(told):
    """What ours must begin with."""
    return {ports: "MPTCP" if "tcp-ulp-mptcp" in words else "InHost" for ports, words in told.items()}


def words_of_ours(found):
    return {ports: word and word.replace("MPTCP as TCP", "MPTCP") for ports, word in found.items()}


def test_each_instant_has_what_held_the_connections_then(mptcp, start, ask, db):
    recorder = start("100ms")
    mptcp("pair", 4001, 0, 0)
    then = [at_rest(recorder, mptcp.netns)]
    mptcp("pair", 4002, 262, 262)
    mptcp("pair", 4003, 0, 262)
    mptcp("pair", 4004, 262, 0)
    then.append(at_rest(recorder, mptcp.netns))
    recorder.stop()
    recorder = start("100ms")
    then.append(at_rest(recorder, mptcp.netns))
    for port in (4001, 4002, 4003, 4004):
        mptcp("end", port)
    mptcp("pair", 4002, 0, 0)  # the same port, ordinary now
    then.append(at_rest(recorder, mptcp.netns))
    recorder.stop()
    for instant, told in then:
        assert words_of_ours(held(ask, instant)) == words_of_ss(told)
    assert [len(told) for _, told in then] == [3, 12, 12, 3]
    during = held(ask, then[1][0], "--port", "4003")
    assert sorted(during.values()) == ["InHost", "InHost", "MPTCP as TCP"]
    assert during == held(ask, then[2][0], "--port", "4003")  # over a restart
    # What is ordinary has no row, and what is not has one, however many snapshots and runs there were.
    assert query(db, "SELECT count(*), count(DISTINCT life) FROM offloads") == [(5, 5)]
    listed = ask("list", "--proto", "tcp", "--since", "-1h")["rows"]
    assert sorted(row["offload"] for row in listed if row["role"] == "server" and row["local_port"] == 4002) == [
        "InHost", "InHost", "MPTCP", "MPTCP"]
    assert connhist("--db", db, "sql", "SELECT count(*) FROM sockets WHERE offload LIKE 'MPTCP%'",
                    "--format", "csv").stdout.split() == ["count(*)", "5"]
    assert subprocess.run([CONNHISTD, "--check", "--db", db], check=False, capture_output=True).returncode == 0


def test_what_was_not_looked_at_is_unknown_and_not_ordinary(mptcp, start, ask):
    """Without sampling only those are asked about whose role the recorder would not know: new connections."""
    recorder = start("off")
    recorder.wait_snapshots(1)
    mptcp("pair", 4001, 0, 0)
    mptcp("pair", 4002, 262, 262)
    instant, told = at_rest(recorder, mptcp.netns)
    recorder.stop()
    for ports, word in words_of_ours(held(ask, instant)).items():
        wanted = words_of_ss(told)[ports]
        assert word == (wanted if wanted == "MPTCP" and ports[1] else None), ports
