# SPDX-License-Identifier: MIT
"""Sockets that several processes hold or none has yet, and what each is bound to: held against ss."""
import collections
import re
import subprocess

import pytest
from conftest import connhist, query, strict_json, wait_until
from socket_tables import live
from test_owners import REPLAY, WALL_MS, Host, server

# A server with a worker that goes by another name, and sockets of all kinds. It stays until its input ends.
FORK = """
import os, socket, sys
def listener(family, address, v6only=None):
    s = socket.socket(family)
    if v6only is not None:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, v6only)
    s.bind((address, 0))
    s.listen()
    return s
held = [listener(socket.AF_INET, "127.0.0.1"), listener(socket.AF_INET6, "::", 1), listener(socket.AF_INET6, "::", 0)]
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(("127.0.0.1", 0))
client = socket.create_connection(held[0].getsockname())
server = held[0].accept()[0]
waits, wakes = os.pipe()
children = []
for i in range(int(sys.argv[1])):
    pid = os.fork()
    if pid == 0:
        os.close(wakes)
        with open("/proc/self/comm", "w") as comm:
            comm.write("worker")
        os.read(waits, 1)
        os._exit(0)
    children.append(pid)
own = listener(socket.AF_INET, "127.0.0.1")
print(os.getpid(), *children, flush=True)
sys.stdin.read()
os.close(wakes)
for pid in children:
    os.waitpid(pid, 0)
"""

# Listens at a port of its own, as `user`, by its own name or another, perhaps with others (REUSEPORT).
LISTEN = """
import os, socket, sys
port, user, name, options = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4:]
os.setresuid(user, user, 0)
s = socket.socket(socket.AF_INET6 if "six" in options else socket.AF_INET)
os.setresuid(0, 0, 0)
if "shared" in options:
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
if "deferred" in options:
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 600)
if "six" in options:
    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
s.bind(("::" if "six" in options else "127.0.0.1", port))
s.listen()
if name != "-":
    with open("/proc/self/comm", "w") as comm:
        comm.write(name)
print("ready", flush=True)
sys.stdin.read()
"""

CONNECT = """
import socket, sys
held = [socket.create_connection(("127.0.0.1", int(port))) for port in sys.argv[1:]]
print("ready", flush=True)
sys.stdin.read()
"""


class Programs:
    """Programs in a namespace that end with the test."""

    def __init__(self, netns):
        self.netns, self.started = netns, []

    def start(self, code, *args):
        """Its first line."""
        self.started.append(self.netns.python(code, *args))
        return self.started[-1].stdout.readline().split()

    def end(self):
        for program in self.started:
            program.communicate("", timeout=60)
        self.started = []


@pytest.fixture(name="programs")
def make_programs(netns):
    programs = Programs(netns)
    yield programs
    programs.end()


def held_by(netns, pid):
    """The local ends of a process's sockets, as ss has them."""
    lines = netns.run("ss", "-Htuanp").stdout.splitlines()
    return collections.Counter(
        (line.split()[0], *re.sub(r"[\[\]]", "", line.split()[4]).replace("*", "::").rsplit(":", 1))
        for line in lines if f"pid={pid}," in line)


def ends(rows):
    return collections.Counter((row["protocol"], row["local_address"], str(row["local_port"])) for row in rows)


def test_each_holder_has_its_sockets_as_ss_says(netns, programs):
    parent, child = programs.start(FORK, "1")
    assert held_by(netns, child).total() == 6 and held_by(netns, parent).total() == 7
    for pid in (parent, child):
        rows = live(netns, "-a", "--pid", pid)
        assert ends(rows) == held_by(netns, pid)
        assert {(str(row["pid"]), row["owner_source"]) for row in rows} == {(pid, "inode")}
    assert sorted(row["holders"] for row in rows) == [2] * 6
    rows = live(netns, "-a", "--process", "worker")
    assert ends(rows) == held_by(netns, child)
    assert {(str(row["pid"]), row["process"]) for row in rows} == {(child, "worker")}
    # nobody chooses: it is the parent, and of listeners alone it is known how many have them
    rows = live(netns, "-ao")
    assert ends(rows) == held_by(netns, parent)
    assert {str(row["pid"]) for row in rows} == {parent}
    own = held_by(netns, parent) - held_by(netns, child)
    assert {(row["state"] == "LISTEN", row["holders"]) for row in rows} == {(True, 1), (True, 2), (False, None)}
    assert [ends([row]) for row in rows if row["holders"] == 1] == [own]
    assert f" {child} " in connhist("netstat", "-an", "--pid", child, netns=netns).stdout


def test_the_last_of_many_holders_has_them_too(netns, programs):
    pids = programs.start(FORK, "80")
    for pid in (pids[1], pids[40], pids[-1]):
        rows = live(netns, "-a", "--pid", pid)
        assert ends(rows) == held_by(netns, pid)
        assert {str(row["pid"]) for row in rows} == {pid}
        assert {row["holders"] for row in rows} == {65}


def test_the_record_finds_a_listener_by_each_of_its_holders(netns, programs, record, db, ask):
    parent, child = programs.start(FORK, "1")
    recorder = record(netns, "--interval", "100ms")
    wait_until(lambda: db.exists() and recorder.snapshots() and query(db, "SELECT count(*) FROM holders")[0][0] >= 3,
               "the holders")
    recorder.wait_snapshots()
    listeners = {row["local_port"] for row in live(netns, "--state", "LISTEN", "--pid", child)}
    assert len(listeners) == 3
    for command in (("list",), ("netstat", "-a", "--at", "now")):
        rows = ask(*command, "--pid", child)["rows"]
        assert {row["local_port"] for row in rows} == listeners, command
        assert {(str(row["pid"]), row["process"], row["owner_source"]) for row in rows} == {(child, "worker", "inode")}
        mine = ask(*command, "--pid", parent)["rows"]
        assert listeners < {row["local_port"] for row in mine}
        assert {str(row["pid"]) for row in mine} == {parent}
    programs.end()
    wait_until(lambda: not query(db, "SELECT count(*) FROM open WHERE life IN (SELECT life FROM holders)")[0][0],
               "their end")
    recorder.stop()
    rows = ask("list", "--pid", child)["rows"]
    assert {row["local_port"] for row in rows} == listeners
    assert {str(row["pid"]) for row in rows} == {child}


def waiting(netns, port, *args):
    """Connections at a port that nobody has accepted, as ss has them too: half-open ones and others."""
    rows = [row for row in live(netns, "-o", *args) if row["local_port"] == port]
    lines = netns.run("ss", "-Htanp", f"sport = :{port}").stdout.splitlines()
    lines = [line for line in lines if not line.startswith("LISTEN")]
    assert len(lines) == len(rows) and not any("users:" in line for line in lines)
    return rows


@pytest.mark.parametrize("user", [0, 65534], ids=["root", "nobody"])
def test_what_waits_to_be_accepted_is_the_listeners(netns, programs, user):
    programs.start(LISTEN, 9401, user, "-")
    programs.start(LISTEN, 9402, user, "-", "six")
    programs.start(LISTEN, 9403, user, "-", "deferred")
    programs.start(CONNECT, 9401, 9402, 9402, 9403)
    listeners = {row["local_port"]: row for row in live(netns, "-o", "--state", "LISTEN")}
    assert {row["uid"] for row in listeners.values()} == {user}
    states = {}
    for port, n in ((9401, 1), (9402, 2), (9403, 1)):
        rows = waiting(netns, port)
        assert len(rows) == n
        assert {(row["owner_source"], row["pid"], row["process"]) for row in rows} == {
            ("listener", listeners[port]["pid"], listeners[port]["process"])}
        assert waiting(netns, port, "--pid", str(listeners[port]["pid"])) == [{**row, "holders": None} for row in rows]
        states[port] = {(row["state"], row["uid"]) for row in rows}
    # the kernel tells the user of what is open, and of what is half-open none
    assert states == {9401: {("ESTABLISHED", user)}, 9402: {("ESTABLISHED", user)}, 9403: {("SYN_RECV", None)}}


@pytest.mark.parametrize("other, wanted", [("-", ("listener", "python3")), ("another", ("unknown", None))],
                         ids=["one program", "two programs"])
def test_of_several_listeners_the_program_is_named_if_it_is_one(netns, programs, other, wanted):
    programs.start(LISTEN, 9404, 0, "python3", "shared")
    programs.start(LISTEN, 9404, 0, "python3" if other == "-" else other, "shared")
    programs.start(CONNECT, 9404, 9404, 9404)
    rows = waiting(netns, 9404)
    assert [(row["owner_source"], row["process"], row["pid"]) for row in rows] == [(*wanted, None)] * 3


BOUND = """
import socket, sys
def listener(family, address, device=None, v6only=None):
    s = socket.socket(family)
    if device:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
    if v6only is not None:
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, v6only)
    s.bind(address)
    s.listen()
    return s
number = socket.if_nametoindex("p0")
held = [listener(socket.AF_INET, ("0.0.0.0", 9300), "p0"), listener(socket.AF_INET, ("0.0.0.0", 9300), "lo"),
        listener(socket.AF_INET6, ("fe80::1", 9301, 0, number)), listener(socket.AF_INET6, ("::", 9302), None, 1),
        listener(socket.AF_INET6, ("::", 9303), None, 0), listener(socket.AF_INET6, ("::", 9305), "p0", 0)]
udp = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
udp.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
udp.bind(("::", 9306))
print("ready", flush=True)
sys.stdin.read()
"""


def ss_local(netns):
    """What ss writes of local ends, brackets around all as connhist has it: [fe80::1%p0]:80."""
    lines = netns.run("ss", "-Htuan").stdout.splitlines()
    return sorted(re.sub(r"^\[(.*)\]%([^:]*):", r"[\1%\2]:", line.split()[4]) for line in lines)


def bound_to(rows):
    return sorted((row["local_port"], row["local_address"], row["interface"], row["ifindex"], row["v6only"])
                  for row in rows)


def test_what_a_socket_is_bound_to_shows_as_in_ss_now_and_then(netns, programs, record, db, ask):
    made = netns.run("ip", "link", "add", "p0", "type", "bridge", check=False)
    if made.returncode:
        pytest.skip(f"no bridge: {made.stderr.strip()}")
    netns.run("ip", "addr", "add", "fe80::1/64", "dev", "p0", "nodad")
    netns.run("ip", "link", "set", "p0", "up")
    programs.start(BOUND)
    table = connhist("netstat", "-an", netns=netns).stdout.splitlines()[1:]
    assert sorted(line.split()[1] for line in table) == ss_local(netns)
    assert {"0.0.0.0%p0:9300", "0.0.0.0%lo:9300", "*:9303", "[::]:9302", "[fe80::1%p0]:9301"} <= set(ss_local(netns))
    rows = live(netns, "-an")
    number = int(netns.run("cat", "/sys/class/net/p0/ifindex").stdout)
    wanted = [(9300, "0.0.0.0", "lo", 1, None), (9300, "0.0.0.0", "p0", number, None),
              (9301, "fe80::1%p0", "p0", number, 1), (9302, "::", None, None, 1), (9303, "::", None, None, 0),
              (9305, "::", "p0", number, 0), (9306, "::", "lo", 1, 0)]
    assert bound_to(rows) == wanted
    # from outside all is as it is inside
    outside = strict_json(connhist("netstat", "-an", "--format", "json", "--netns", netns.name).stdout)["rows"]
    assert [{**row, "netns": ""} for row in outside] == rows
    # and in the record
    recorder = record(netns, "--interval", "100ms")
    wait_until(lambda: db.exists() and recorder.snapshots() and query(db, "SELECT count(*) FROM interfaces")[0][0],
               "the interfaces")
    recorder.wait_snapshots()
    assert bound_to(ask("netstat", "-a", "--at", "now")["rows"]) == wanted
    then = connhist("--db", db, "netstat", "-an", "--at", "now", netns=netns).stdout.splitlines()
    assert sorted(line.split()[1] for line in then if line[:3] in ("tcp", "udp")) == ss_local(netns)
    recorder.stop()
    # the next run takes them up as they are
    recorder = record(netns, "--interval", "100ms")
    recorder.wait_snapshots()
    assert bound_to(ask("list")["rows"]) == wanted
    programs.end()
    wait_until(lambda: not query(db, "SELECT count(*) FROM open")[0][0], "their end")
    assert bound_to(ask("list")["rows"]) == wanted


def test_a_holder_that_began_later_and_one_of_a_listener_long_gone(db, ask):
    host = Host()
    server(host)
    host.process(101, "worker", start=1000)
    host.process(102, "later", start=host.boot_ms + 100_000)
    for pid in (101, 102):
        host.do(f"holds {pid} 6")
    host.tick(20)
    host.close(1)
    host.tick()
    closed_ms = host.boot_ms
    server(host, pid=200, name="other", cookie=50, port=81)
    for i in range(4):  # hours in which others close
        host.tick(360)
        host.close(50 + i)
        host.socket(51 + i, "LISTEN", 81)
        host.do(f"holds 200 {56 + i}")
    done = subprocess.run([REPLAY, db, "on", "64"], text=True, capture_output=True, check=False, timeout=120,
                          input="\n".join(host.commands) + "\n")
    assert done.returncode == 0, done.stderr
    for name, pid in ("web", 100), ("worker", 101), ("later", 102):
        for chosen in ("--process", name), ("--pid", str(pid)):
            rows = ask("list", "--since", f"@{WALL_MS // 1000}", *chosen)["rows"]
            assert [(row["local_port"], row["pid"], row["process"]) for row in rows] == [(80, pid, name)]
        for at_ms, there in (closed_ms - 150_000, pid != 102), (closed_ms - 30_000, True), (closed_ms + 60_000, False):
            at = f"@{(WALL_MS + at_ms) // 1000}"
            rows = ask("netstat", "-a", "--at", at, "--process", name)["rows"]
            assert [(row["local_port"], row["pid"]) for row in rows] == [(80, pid)] * there
