# SPDX-License-Identifier: MIT
"""Sockets of the kernel itself are called that, and nothing else is."""
import signal

import pytest
from conftest import CONNHISTD, OWN_ONLY, Recorder, connhist, query, wait_until

# Where a process can't be looked into, even by root, it may hold anything: so none but the recorder is there.
ALONE = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")

# Binds a UDP socket, puts it in flight in a socket of its own, where no process has it, and stays.
IN_FLIGHT = """
import array, socket, sys
six = sys.argv[2:] == ["6"]
udp = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)
if six:
    udp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
udp.bind(("::" if six else "0.0.0.0", int(sys.argv[1])))
here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
here.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [udp.fileno()]))])
udp.close()
print("ready", flush=True)
sys.stdin.read()
"""


def add_tunnel(netns, name, *words):
    done = netns.run("ip", "link", "add", name, "type", *words, check=False)
    if done.returncode:
        pytest.skip(f"this kernel has no {words[0]}: {done.stderr.strip()}")
    netns.run("ip", "link", "set", name, "up")


@pytest.fixture(name="record_alone")
def make_recorder(netns, db, tmp_path):
    if netns.run(*ALONE, "true", check=False).returncode:
        pytest.skip("no process namespace")
    config, started = tmp_path / "own.yaml", []
    config.write_text(OWN_ONLY + "\n")

    def start(*args):
        started.append(Recorder(netns, db, ("--config", config, *args), program=(*ALONE, CONNHISTD)))
        return started[-1]

    yield start
    for recorder in started:
        recorder.stop(signal.SIGKILL, None)


def sources(db, port):
    return query(db, f"SELECT owner_source, process, pid FROM sockets WHERE local_port = {port}")


@pytest.mark.parametrize("words", [("vxlan", "id", "1", "dstport", "4789"),
                                   ("geneve", "id", "1", "remote", "192.0.2.1", "dstport", "6081"),
                                   ("bareudp", "dstport", "6635", "ethertype", "ip")], ids=lambda words: words[0])
def test_the_socket_of_a_tunnel_is_the_kernels(netns, record_alone, db, ask, words):
    add_tunnel(netns, "tunnel0", *words)
    port = int(words[words.index("dstport") + 1])
    assert f":{port} " in netns.run("ss", "-Hnua").stdout
    recorder = record_alone("--interval", "100ms")
    wait_until(lambda: db.exists() and recorder.snapshots() and
               {row[0] for row in sources(db, port)} == {"kernel"}, "the kernel's name")
    assert {row[1:] for row in sources(db, port)} == {(None, None)}
    recorder.wait_snapshots()
    recorder.stop(signal.SIGKILL, None)
    assert "(kernel)" in connhist("--db", db, "list", "--port", str(port)).stdout
    assert "(kernel)" in connhist("--db", db, "who", "--port", str(port)).stdout
    for command in (("list",), ("who",), ("report", "--by", "process", "--step", "1h")):
        rows = ask(*command, "--port", str(port))["rows"]
        assert {(row["owner_source"], row["process"]) for row in rows} == {("kernel", None)}, command
    assert "(kernel)" in connhist("--db", db, "report", "--by", "process", "--step", "1h", "--port", str(port)).stdout
    # it is that in the next run, too, from its first snapshot
    record_alone("--once").wait()
    assert {row[0] for row in sources(db, port)} == {"kernel"}


@pytest.mark.parametrize("words, families", [(("remote", "192.0.2.1"), "4"), (("remote", "2001:db8::1"), "6"),
                                             (("external",), "46")], ids=lambda value: value[0])
def test_a_socket_of_the_other_family_at_a_tunnels_port_is_not_the_kernels(netns, record_alone, db, words, families):
    add_tunnel(netns, "tunnel0", "vxlan", *(() if "external" in words else ("id", "1")), *words, "dstport", "4789")
    others = [netns.python(IN_FLIGHT, "4789", family) for family in "46" if family not in families]
    for other in others:
        assert other.stdout.readline() == "ready\n"
    recorder = record_alone("--interval", "100ms")
    wanted = sorted((address, "kernel" if family in families else "unknown")
                    for family, address in (("4", "0.0.0.0"), ("6", "::")))
    where = "SELECT local_address, owner_source FROM sockets WHERE local_port = 4789 ORDER BY 1"
    wait_until(lambda: db.exists() and recorder.snapshots() and query(db, where) == wanted, "the kernel's name")
    recorder.wait_snapshots(8)
    assert query(db, where) == wanted
    recorder.stop(signal.SIGKILL, None)
    for other in others:
        other.communicate("")


def test_what_merely_no_process_has_is_not_the_kernels(netns, record_alone, db):
    add_tunnel(netns, "tunnel0", "vxlan", "id", "1", "dstport", "4789")
    holder = netns.python(IN_FLIGHT, "4790")
    assert holder.stdout.readline() == "ready\n"
    recorder = record_alone("--interval", "100ms")
    wait_until(lambda: db.exists() and recorder.snapshots() and sources(db, 4789)[:1] == [("kernel", None, None)],
               "the tunnel")
    recorder.wait_snapshots(8)
    assert sources(db, 4790) == [("unknown", None, None)]
    # the device goes: so does its socket, and the port is anybody's
    netns.run("ip", "link", "del", "tunnel0")
    server = netns.python("import socket, sys\nudp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
                          "udp.bind(('0.0.0.0', 4789))\nprint('ready', flush=True)\nsys.stdin.read()\n")
    assert server.stdout.readline() == "ready\n"
    wait_until(lambda: sorted(row[0] for row in sources(db, 4789)) == ["kernel", "unknown"], "its successor")
    recorder.stop(signal.SIGKILL, None)
    for process in (holder, server):
        process.communicate("")
