# SPDX-License-Identifier: MIT
"""netstat --at over three instants between which everything changes: each letter shows what ss, nstat, /proc and ip told
at that instant."""
import json
import os
import re
import shutil
import socket
import subprocess
import time

import pytest

from conftest import CONNHISTD, OWN_ONLY, SANITIZER, Namespace, connhist, count, strict_json
from socket_tables import SS_STATES, endpoint, table
from test_counters import at, counters, ip_links, ip_routes, links, routes, snmp

# Makes what the arguments say: PROTOCOL,FAMILY,PORT each, protocol tcp, mptcp or udp: a listener with a connection, or UDP
# sockets likewise; and sends as many datagrams to a closed port as the first argument says.
HOLDER = """
import socket, sys
kept = []
datagrams, *words = sys.argv[1:]
for word in words:
    protocol, family, port = word.split(",")
    family, where = (socket.AF_INET6, "::1") if family == "6" else (socket.AF_INET, "127.0.0.1")
    kind, number = {"tcp": (socket.SOCK_STREAM, 0), "mptcp": (socket.SOCK_STREAM, 262), "udp": (socket.SOCK_DGRAM, 0)}[protocol]
    server, client = socket.socket(family, kind, number), socket.socket(family, kind, number)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((where, int(port)))
    if kind == socket.SOCK_STREAM:
        server.listen(8)
    client.connect((where, int(port)))
    kept += [server, client]
    if kind == socket.SOCK_STREAM:
        kept.append(server.accept()[0])
        client.send(b"x")
        kept[-1].recv(1)
closed = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for _ in range(int(datagrams)):
    try:
        closed.sendto(b"x", ("127.0.0.1", 9))
    except ConnectionRefusedError:
        pass
closed.close()
print("ready", flush=True)
sys.stdin.read()
"""


class Then:
    """What was told at one instant."""

    def __init__(self, netns, path):
        own_only = path.with_suffix(".yaml")
        own_only.write_text(OWN_ONLY + "\n")
        for _ in range(30):
            told = self.look(netns)
            subprocess.run([*netns.command(CONNHISTD), "--once", "--db", path, "--config", own_only], check=True,
                           capture_output=True, timeout=60)
            if self.look(netns) == told:
                break
            time.sleep(0.2)
        else:
            raise AssertionError("the namespace does not come to rest")
        lines, words, self.snmp, self.links, self.routes = told
        self.at_ms = count(path, "SELECT max(start_ms) FROM snapshots")
        self.sockets, self.pids = {}, {}
        for line in lines:
            protocol, state, _, _, local, remote, *users = line.split()
            key = (protocol, SS_STATES.get(state, state.replace("-", "_")), *endpoint(local), *endpoint(remote))
            self.sockets[key] = line
            pids = set(map(int, re.findall(r"pid=(\d+)", " ".join(users))))
            if pids:
                self.pids[key], = pids
        self.programs = {pid: os.readlink(f"/proc/{pid}/exe") for pid in self.pids.values()}
        self.held = {}
        for line in words:
            state, _, _, local, remote, *more = line.split()
            if state not in ("ESTAB", "LISTEN"):
                continue
            self.held[(*endpoint(local), *endpoint(remote))] = "tcp-ulp-mptcp" in more

    @staticmethod
    def look(netns):
        def run(*args):
            return netns.run(*args).stdout
        return (sorted(run("ss", "-HOtuanp").splitlines()),
                [" ".join(word for word in line.split()[:5] + [w for w in line.split() if w.startswith("tcp-ulp-")])
                 for line in sorted(run("ss", "-HOtani", "exclude", "time-wait").splitlines())],
                run("cat", "/proc/net/snmp", "/proc/net/snmp6", "/proc/net/netstat"),
                json.loads(run("ip", "-s", "-j", "link")),
                [json.loads(run("ip", family, "-j", "route", "show", "table", "all")) for family in ("-4", "-6")])


@pytest.fixture(scope="module")
def machine(tmp_path_factory, can_netns):
    """The file, the namespace, and the three instants; nothing of the first two is left."""
    name = f"ch-then-{os.getpid()}"
    done = subprocess.run(["ip", "netns", "add", name], text=True, capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"no network namespace can be made here: {done.stderr.strip()}")
    netns, path = Namespace(name), tmp_path_factory.mktemp("then") / "then.db"
    other = path.with_name("other-program")  # another program, to tell -b from -b
    shutil.copy(os.path.realpath("/usr/bin/python3"), other)
    started = []

    def hold(program, *words):
        process = subprocess.Popen(netns.command(program, "-c", HOLDER, *map(str, words)), stdin=subprocess.PIPE, text=True,
                                   stdout=subprocess.PIPE, env={**os.environ, "PYTHONHOME": "/usr"})
        started.append(process)
        assert process.stdout.readline() == "ready\n"

    def end():
        for process in started:
            process.stdin.close()
            process.wait(20)
        started.clear()
    try:
        for command in ("link set lo up", "link add d0 type veth peer name d1", "link set d0 up", "link set d1 up",
                        "address add 192.0.2.2/24 dev d0", "route add default via 192.0.2.1", "route add blackhole 10.3.0.0/16"):
            netns.run("ip", *command.split())
        hold("/usr/bin/python3", 3, "tcp,4,80", "tcp,6,8080", "udp,4,5000")
        then = [Then(netns, path)]
        end()
        for command in ("link set d0 mtu 1400", "route del blackhole 10.3.0.0/16", "route replace default via 192.0.2.7"):
            netns.run("ip", *command.split())
        hold("/usr/bin/python3", 40, "udp,6,5001")
        hold(other, 5, "tcp,4,443", "tcp,6,80", *["mptcp,4,4002"] * has_mptcp(netns))
        then.append(Then(netns, path))
        end()
        netns.run("ip", "link", "del", "d0")
        hold(other, 200, "tcp,4,80", "udp,4,5001")
        then.append(Then(netns, path))
        end()
        yield netns, path, then
    finally:
        end()
        subprocess.run(["ip", "netns", "del", name], check=True)


def has_mptcp(netns):
    code = "import socket; socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)"
    return netns.run("/usr/bin/python3", "-c", code, check=False).returncode == 0


@pytest.fixture(params=["before", "during", "after"])
def case(machine, request):
    """ask("-a") gives netstat's rows of an instant, and `then` what was told at it."""
    _, path, thens = machine
    then = thens[["before", "during", "after"].index(request.param)]

    def ask(*words):
        document = strict_json(connhist("--db", path, "netstat", *words, "--at", at(then.at_ms), "--format", "json").stdout)
        assert document["snapshot_ms"] == then.at_ms and not document["in_gap"]
        return document["rows"]
    ask.text = lambda *words: connhist("--db", path, "netstat", *words, "--at", at(then.at_ms)).stdout
    return ask, then


def key(row):
    return (row["protocol"], row["state"], row["local_address"], row["local_port"], row["remote_address"], row["remote_port"])


def test_the_instants_differ_in_everything(machine):
    first, second, third = machine[2]
    for told in ("pids", "snmp", "links", "routes", "held"):
        assert len({str(getattr(then, told)) for then in (first, second, third)}) == 3
    assert len({str(set(then.programs.values())) for then in (first, second)}) == 2


def test_a_shows_all_and_without_it_connections(case):
    ask, then = case
    assert set(table(ask("-a"))) == set(then.sockets) and len(then.sockets) > 4
    assert set(table(ask())) == {which for which in then.sockets if which[1] not in ("LISTEN", "CLOSE")}


def test_b_shows_the_programs(case):
    ask, then = case
    shown = {key(row): row["exe"] for row in ask("-ab") if key(row) in then.pids}
    assert shown == {which: then.programs[pid] for which, pid in then.pids.items()}
    text = ask.text("-abn")
    assert all(program in text for program in then.programs.values())


def test_o_shows_the_process_ids(case):
    ask, then = case
    assert {key(row): row["pid"] for row in ask("-ao") if key(row) in then.pids} == then.pids
    heading, *rows = [line.split() for line in ask.text("-ano").splitlines() if line.split()[:1] in (["PROTO"], ["tcp"], ["udp"])]
    assert "PID" in heading and {str(pid) for pid in then.pids.values()} <= {row[heading.index("PID")] for row in rows}


def test_n_shows_numbers_and_without_it_names(case):
    ask, then = case
    numeric, named = ask.text("-an"), ask.text("-a")
    for _, _, address, port, _, _ in then.sockets:
        where = f"[{address}]" if ":" in address else address
        assert f"{where}:{port} " in numeric
    for port in (80, 443):
        here = any(port in which[3:6:2] for which in then.sockets)
        assert (f":{socket.getservbyport(port)} " in named) == here and f":{socket.getservbyport(port)} " not in numeric


@pytest.mark.skipif(SANITIZER == "tsan", reason="the C library's resolver has locks that TSan does not see")
def test_f_names_the_addresses_of_then(case):
    ask, then = case

    def name(address):
        try:
            return socket.getnameinfo((address, 0), socket.NI_NAMEREQD)[0]
        except socket.gaierror:
            return None
    peers = {which[4] for which in then.sockets if which[5]}
    shown = {row["remote_address"]: row["remote_name"] for row in ask("-f") if row["remote_port"]}
    assert peers and shown == {address: name(address) for address in peers}


@pytest.mark.parametrize("protocol, fits", [
    ("tcp", lambda which: which[0] == "tcp"), ("udp", lambda which: which[0] == "udp"),
    ("tcpv6", lambda which: which[0] == "tcp" and ":" in which[2]), ("udpv6", lambda which: which[0] == "udp" and ":" in which[2])])
def test_p_chooses_a_protocol(case, protocol, fits):
    ask, then = case
    assert set(table(ask("-a", "-p", protocol))) == {which for which in then.sockets if fits(which)}


def test_t_shows_what_held_the_connections(case):
    ask, then = case
    shown = {key(row)[2:]: row["offload"] for row in ask("-at", "-p", "tcp")
             if row["state"] in ("ESTABLISHED", "LISTEN")}
    assert shown == {ends: "MPTCP" if mptcp else "InHost" for ends, mptcp in then.held.items()}


def test_s_shows_the_counters(machine, case):
    netns, path, _ = machine
    then = case[1]
    mine, theirs = counters(path, netns, then.at_ms), snmp(then.snmp)
    moved = {name: value for name, value in theirs.items() if value}
    assert "Udp.NoPorts" in moved and {name: mine[name] for name in moved} == moved


def test_e_shows_the_interfaces(machine, case):
    netns, path, _ = machine
    then = case[1]
    assert links(path, netns, then.at_ms) == ip_links(then.links)


def test_r_shows_the_routes(machine, case):
    netns, path, _ = machine
    then = case[1]
    assert routes(path, netns, then.at_ms) == ip_routes(then.routes)
