# SPDX-License-Identifier: MIT
"""netstat -t: what holds each connection, against what ss tells of the same sockets."""
import pytest

from conftest import CONNHIST, connhist, strict_json, wait_until

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


def told_by_ss(netns, port):
    """{(local port, remote port): the words of ss -i} of TCP sockets."""
    lines = netns.run("ss", "-tianHO", f"sport = :{port} or dport = :{port}").stdout.splitlines()
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
    theirs = told_by_ss(host, port)
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


def test_the_past_is_refused_in_one_line(host):
    for words in (["-t", "--at", "-1m"], ["-t", "-r"], ["-st"]):
        done = connhist("netstat", *words, netns=host, status=2)
        assert done.stdout == "" and done.stderr.count("\n") == 1 and "--offload" in done.stderr
