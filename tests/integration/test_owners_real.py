# SPDX-License-Identifier: MIT
"""Owners of real sockets of real processes, held against what the test itself knows of them."""
import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time

import pytest
from conftest import BUILD

CONNHIST = BUILD / "src" / "connhist" / "connhist"
CONNHISTD = BUILD / "src" / "connhistd" / "connhistd"
PATIENCE_S = 60

# Serves on a port of its own; each byte on standard input makes it do something (see the tests).
SERVER = """
import os, socket, sys, array
with open("/proc/self/comm", "w") as comm: comm.write(sys.argv[1])
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
kept = []
for order in iter(lambda: sys.stdin.read(1), ""):
    if order == "a": kept.append(listener.accept()[0])
    elif order == "c": kept.pop(0).close()
    elif order == "n":
        with open("/proc/self/comm", "w") as comm: comm.write(sys.argv[1] + "-new")
    elif order == "f":
        child = os.fork()
        if child == 0:
            os.setsid()
            with open("/proc/self/comm", "w") as comm: comm.write(sys.argv[1] + "-kid")
            import signal; signal.pause()
        print(child, flush=True); continue
    elif order == "s":
        to = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); to.connect(sys.argv[2])
        given = kept.pop(0)
        to.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [given.fileno()]))])
        given.close()
    elif order == "x": os._exit(0)
    print("done", flush=True)
"""


class Server:
    def __init__(self, name, user=None, path=""):
        self.process = subprocess.Popen([sys.executable, "-c", SERVER, name, str(path)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, user=user, group=user,
                                        extra_groups=[] if user else None)
        self.name, self.pid, self.uid = name, self.process.pid, user if user else os.geteuid()
        self.port = int(self.process.stdout.readline())

    def do(self, order):
        self.process.stdin.write(order)
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def accept(self):
        client = socket.create_connection(("127.0.0.1", self.port))
        self.do("a")
        return client

    def end(self):
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


class Recorder:
    def __init__(self, path):
        self.path = path
        self.process = subprocess.Popen([CONNHISTD, "--db", path, "--interval", "100ms", "--log-level", "error"])

    def rows(self, where, columns="pid, process, exe, uid, owner_source", *values):
        """Of this namespace: others on the machine may use the same ports."""
        with contextlib.closing(sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, timeout=30)) as database:
            return database.execute(f"SELECT {columns} FROM sockets WHERE netns = '' AND ({where}) ORDER BY first_seen_ms, local_port,"
                                    " remote_port", values).fetchall()

    def wait_for(self, what):
        """Until it is true; the last answer is the test's to judge."""
        end = time.monotonic() + PATIENCE_S
        while True:
            with contextlib.suppress(sqlite3.OperationalError):  # the file is not there yet
                if what() or time.monotonic() > end:
                    return what()
            time.sleep(0.05)

    def wait_for_owner(self, where, pid, *values):
        assert self.wait_for(lambda: (rows := self.rows(where, "pid", *values)) and
                             all(row == (pid,) for row in rows)), self.rows(where, "*", *values)

    def ask(self, *args):
        done = subprocess.run([CONNHIST, "--db", self.path, *args], text=True, capture_output=True, check=False,
                              timeout=60)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)["rows"]

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(60) == 0


@pytest.fixture(name="recorder")
def make_recorder(tmp_path):
    recorder = Recorder(tmp_path / "real.db")
    yield recorder
    if recorder.process.poll() is None:
        recorder.end()


@pytest.fixture(name="start")
def make_servers():
    started = []

    def start(*args, **more):
        started.append(Server(*args, **more))
        return started[-1]

    yield start
    for server in started:
        server.end()


OURS = "local_port = ?"


def test_two_servers_of_different_users_behind_one_another(recorder, start):
    """The front server closes first: its TIME_WAITs are its own, those of its connections to the other as well."""
    if os.geteuid() != 0:
        pytest.skip("another user needs root")
    front, back = start("front"), start("back", user=65534)
    for server in (front, back):
        recorder.wait_for_owner(OURS, server.pid, server.port)
    clients = [server.accept() for server in (front, back) for _ in range(5)]
    for server in (front, back):
        assert recorder.wait_for(lambda s=server: len(recorder.rows(OURS + " AND pid = ?", "1", s.port, s.pid)) == 6)
        for _ in range(5):
            server.do("c")
    for client in clients:
        client.close()
    for server in (front, back):
        waiting = OURS + " AND state = 'TIME_WAIT'"
        assert recorder.wait_for(lambda s=server, w=waiting: len(recorder.rows(w, "1", s.port)) == 5)
        rows = recorder.rows(waiting, "pid, process, exe, uid, owner_source", server.port)
        exe = os.path.realpath(sys.executable)
        assert set(rows) == {(server.pid, server.name, exe, server.uid, "cookie")}
    again = [(server, socket.create_connection(("127.0.0.1", server.port))) for server in (front, back)]
    for server, client in again:  # accepted and closed at once: no snapshot need see more than the TIME_WAIT
        port = client.getsockname()[1]
        server.do("a")
        server.do("c")
        client.close()
        assert recorder.wait_for(lambda s=server, p=port: recorder.rows(OURS + " AND remote_port = ?", "1", s.port, p))
        row, = recorder.rows(OURS + " AND remote_port = ?", "pid, process, owner_source", server.port, port)
        assert row[:2] == (server.pid, server.name) and row[2] in ("listener", "cookie", "inode")


def test_a_leak_of_close_wait_is_named(recorder, start):
    servers = [start(name) for name in ("good", "leaky", "fine")]
    for server in servers:
        clients = [server.accept() for _ in range(4)]
        for client in clients:
            client.close()
            if server.name != "leaky":
                server.do("c")
    leaky = servers[1]
    assert recorder.wait_for(lambda: len(recorder.rows("state = 'CLOSE_WAIT' AND pid = ?", "1", leaky.pid)) == 4)
    rows = [row for row in recorder.ask("list", "--netns", "own", "--state", "CLOSE_WAIT", "--open", "--port", str(leaky.port),
                                        "--format", "json") if row["state"] == "CLOSE_WAIT"]
    assert len(rows) == 4
    assert {(row["pid"], row["process"], row["exe"], row["owner_source"]) for row in rows} == {
        (leaky.pid, "leaky", os.path.realpath(sys.executable), "inode")}
    assert all(row["close_wait_ms"] for row in rows)


def test_a_socket_that_is_passed_on_goes_to_its_new_holder(recorder, start, tmp_path):
    path = tmp_path / "pass"
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as taker:
        taker.bind(str(path))
        taker.listen()
        giver = start("giver", path=path)
        client = giver.accept()
        where = OURS + " AND remote_port = ?"
        ports = giver.port, client.getsockname()[1]
        recorder.wait_for_owner(where, giver.pid, *ports)
        giver.do("s")
        given, _ = taker.accept()
        with given:
            _, fds, _, _ = socket.recv_fds(given, 1, 1)
            recorder.wait_for_owner(where, os.getpid(), *ports)
            os.close(fds[0])
        client.close()


def test_sockets_of_a_process_that_ended_go_to_the_child_that_holds_them(recorder, start):
    parent = start("parent")
    client = parent.accept()
    where, ports = OURS + " AND remote_port = ?", (parent.port, client.getsockname()[1])
    recorder.wait_for_owner(where, parent.pid, *ports)
    child = int(parent.do("f"))
    try:
        parent.process.stdin.write("x")
        parent.process.stdin.flush()
        parent.process.wait()
        recorder.wait_for_owner(where, child, *ports)
        assert recorder.rows(where, "process", *ports) == [("parent-kid",)]
    finally:
        os.kill(child, signal.SIGKILL)
        client.close()


def test_a_parent_that_nobody_reaps_is_no_owner_any_more(recorder, start):
    """It is listed still, as a zombie; its child holds the listener, as its own descriptors show."""
    parent = start("parent")
    recorder.wait_for_owner(OURS, parent.pid, parent.port)
    child = int(parent.do("f"))
    try:
        shares = ("EXISTS (SELECT 1 FROM holders AS h JOIN owners AS o ON o.id = h.owner JOIN processes AS p"
                  f" ON p.id = o.process WHERE p.pid = {child})")
        assert recorder.wait_for(lambda: recorder.rows(OURS, shares, parent.port) == [(1,)]), "the child shares it"
        parent.process.stdin.write("x")
        parent.process.stdin.flush()
        stat = f"/proc/{parent.pid}/stat"
        assert recorder.wait_for(lambda: open(stat, encoding="utf-8").read().rsplit(")", 1)[1].split()[0] == "Z")
        recorder.wait_for_owner(OURS, child, parent.port)
        recorder.end()
        with open(f"/proc/{child}/net/tcp", encoding="utf-8") as table:
            inode = next(words[9] for words in map(str.split, table)
                         if words[1] == f"0100007F:{parent.port:04X}" and words[3] == "0A")
        assert f"socket:[{inode}]" in {os.readlink(f"/proc/{child}/fd/{fd}") for fd in os.listdir(f"/proc/{child}/fd")}
        assert not os.path.exists(f"/proc/{parent.pid}/exe"), "not reaped, not alive"
        rows = recorder.ask("who", "--port", str(parent.port), "--format", "json")
        assert [row["pid"] for row in rows if row["use"] == "listener"] == [parent.pid, child]
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_process_that_ends_keeps_what_was_its_own(recorder, start):
    server = start("short")
    client = server.accept()
    recorder.wait_for_owner(OURS, server.pid, server.port)
    server.end()
    closed = OURS + " AND closed_ms IS NOT NULL"
    client.close()
    assert recorder.wait_for(lambda: len(recorder.rows(closed, "1", server.port)) >= 1)
    assert {row[:2] for row in recorder.rows(closed, "pid, process", server.port)} == {(server.pid, "short")}


def test_a_process_that_renames_itself_goes_by_its_new_name(recorder, start):
    server = start("old")
    recorder.wait_for_owner(OURS, server.pid, server.port)
    server.do("n")
    assert recorder.wait_for(lambda: recorder.rows(OURS, "pid, process", server.port) == [(server.pid, "old-new")])


def test_netstat_shows_who_listens_now(start):
    server = start("now")
    done = subprocess.run([CONNHIST, "netstat", "-anob", "--port", str(server.port), "--format", "json"], text=True,
                          capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    row, = json.loads(done.stdout)["rows"]
    assert (row["pid"], row["process"], row["exe"]) == (server.pid, "now", os.path.realpath(sys.executable))
    without = subprocess.run([CONNHIST, "netstat", "-an", "--port", str(server.port), "--format", "json"], text=True,
                             capture_output=True, check=False, timeout=60)
    assert json.loads(without.stdout)["rows"][0]["pid"] is None
    table = subprocess.run([CONNHIST, "netstat", "-anob", "--port", str(server.port)], text=True, capture_output=True,
                           check=False, timeout=60).stdout.splitlines()
    assert "PID" in table[0] and "PROGRAM" in table[0] and str(server.pid) in table[1]
