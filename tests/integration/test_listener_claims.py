# SPDX-License-Identifier: MIT
"""What is named by who listened there: only where all that did are known, and are one program."""
import os
import signal
import socket
import struct
import subprocess
import sys

import pytest
from test_owners import OWNER, SERVER, WEB, Host, Record, server
from test_owners_real import make_recorder  # noqa: F401  pylint: disable=unused-import

NOBODY = [(None, None, None, None, "unknown")]
CAME = "remote_port = 40000"


@pytest.fixture(name="record")
def make_record(tmp_path):
    return lambda host: Record(tmp_path / "claims.db", host)


def comes(host, cookie=2):
    """A connection that was over before a snapshot saw it."""
    host.socket(cookie, "TIME_WAIT", 80, 40000, inode=0, uid=-1)


def closes(host, port=80, cookie=77, drains=0):
    """The event of a socket without peer that no snapshot saw."""
    host.do(f"event {drains} tcp 4 {SERVER[0]} {port} 0.0.0.0 0 {cookie} 0 0 0 0 1 0 0")


def claimed(record, host):
    host.tick(3)
    return record(host).rows(OWNER, CAME)


def test_the_only_program_that_listened_is_named(record):
    host = Host(events=True)
    server(host)
    host.tick(2)
    closes(host, port=81)
    comes(host)
    assert claimed(record, host) == [(*WEB, "listener")]


def test_one_that_listened_between_two_snapshots_may_have_been_the_one(record):
    host = Host(events=True)
    server(host)
    host.tick(2)
    closes(host)
    comes(host)
    assert claimed(record, host) == NOBODY


def test_one_that_was_told_while_a_snapshot_was_taken_may_have_been_the_one_of_what_the_next_one_shows(record):
    """Both came and went behind the walk of the tables, and the event was read after it."""
    host = Host(events=True)
    server(host)
    host.tick(2)
    closes(host, drains=1)
    host.tick()
    comes(host)
    assert claimed(record, host) == NOBODY


def comes_while_it_is_taken(host, state="TIME_WAIT"):
    """A connection of which the snapshot that shows it can't tell whether it was there when that began."""
    host.socket(2, state, 80, 40000, inode=0, uid=-1)
    key, = [key for key in host.sockets if key[0] == 2]
    host.sockets[key] = host.sockets[key].replace(" 59000 ", " 60000 ")
    host.tick()


def test_an_interrupted_snapshot_does_not_show_all_that_listen(record):
    host = Host(events=True)
    server(host)
    host.tick(2)
    comes(host)
    host.do("fail")
    host.tick()
    server(host, 200, "other", 10)
    assert claimed(record, host) == NOBODY


def test_after_an_interrupted_snapshot_the_next_one_decides(record):
    host = Host(events=True)
    server(host)
    host.tick(2)
    comes(host)
    for _ in range(2):
        host.do("fail")
        host.tick()
    assert claimed(record, host) == [(*WEB, "listener")]


@pytest.mark.parametrize("state", ["TIME_WAIT", "FIN_WAIT2"])
def test_what_came_while_a_snapshot_was_taken_is_named_by_the_next_one(record, state):
    host = Host(events=True)
    server(host)
    host.tick(2)
    comes_while_it_is_taken(host, state)
    assert record(host).rows(OWNER, CAME) == NOBODY
    record = Record(record(host).path.with_name("next.db"), (host.tick(), host)[1])
    assert record.rows(OWNER, CAME) == [(*WEB, "listener")]


@pytest.mark.parametrize("how", ["closed", "shown", "given away"])
def test_what_came_while_a_snapshot_was_taken_may_be_one_s_that_it_did_not_show(record, how):
    host = Host(events=True)
    server(host)
    host.process(200, "other")
    host.tick(2)
    comes_while_it_is_taken(host)
    if how == "closed":
        closes(host)
    elif how == "shown":
        server(host, 201, "third", 10)
    else:
        host.do("lets 100 6")
        host.do("holds 200 6")
    assert claimed(record, host) == NOBODY


def test_one_that_listened_before_has_nothing_to_do_with_what_came_later(record):
    host = Host(events=True)
    server(host)
    host.tick(2)
    closes(host)
    host.tick()
    comes(host)
    assert claimed(record, host) == [(*WEB, "listener")]


def test_after_an_interrupted_snapshot_it_may_have_come_before_that(record):
    host = Host(events=True)
    server(host)
    host.tick(2)
    closes(host)
    host.do("fail")
    host.tick()
    comes(host)
    assert claimed(record, host) == NOBODY


def test_a_listener_that_no_complete_snapshot_saw_before_is_not_named(record):
    host = Host(events=True)
    host.tick(2)
    server(host)
    host.do("fail")
    host.tick()
    comes(host)
    assert claimed(record, host) == NOBODY


@pytest.mark.parametrize("how", ["lose", "deaf"])
def test_without_the_events_nobody_knows_who_listened_meanwhile(record, how):
    host = Host(events=True)
    server(host)
    host.tick(2)
    host.do(how)
    comes(host)
    assert claimed(record, host) == NOBODY


def test_where_events_are_not_heard_at_all_nobody_is_named(record):
    host = Host()
    server(host)
    host.tick(2)
    comes(host)
    assert claimed(record, host) == NOBODY


def test_what_came_before_the_first_snapshot_of_a_run_is_not_claimed(record):
    host = Host(events=True)
    server(host)
    host.tick(2)
    host.restart()
    comes(host)
    assert claimed(record, host) == NOBODY


def test_one_of_two_programs_is_not_named_when_the_other_has_gone(record):
    host = Host(events=True)
    server(host)
    server(host, 200, "other", 10)
    host.process(300, "hidden")
    host.do("holds 300 7")
    host.do("hidden 300")
    host.tick(2)
    host.socket(2, "ESTABLISHED", 80, 40000)
    host.tick(2)
    host.close(10)
    host.do("ended 200")
    host.tick(70)
    assert claimed(record, host) == NOBODY


def test_one_that_ceased_to_listen_may_have_been_the_one(record):
    host = Host(events=True)
    server(host)
    server(host, 200, "other", 10)
    host.tick(2)
    host.close(10)
    host.socket(10, "CLOSE", 80, inode=15)
    comes(host)
    assert claimed(record, host) == NOBODY


def test_a_listener_that_was_passed_on_just_now_is_not_its_givers(record):
    """When its holder is held against what is now again may be long from now: what came is looked at before."""
    host = Host(events=True)
    server(host)
    host.process(200, "other")
    host.tick(5)
    host.do("lets 100 6")
    host.do("holds 200 6")
    comes(host)
    host.tick()
    assert claimed(record, host) == NOBODY


def test_a_listener_that_can_not_be_looked_at_is_nobodys(record):
    host = Host(events=True)
    server(host)
    host.tick(5)
    host.do("late")
    comes(host)
    assert claimed(record, host) == NOBODY


def test_several_programs_that_hold_one_listener_are_not_told_apart(record):
    host = Host(events=True)
    server(host)
    host.process(200, "other", unit="web.service", cgroup="/system.slice/web.service")
    host.do("holds 200 6")
    host.tick(2)
    comes(host)
    assert claimed(record, host) == NOBODY


def test_workers_of_a_program_may_run_as_others_and_a_manager_does_not_accept(record):
    host = Host(events=True)
    server(host)
    host.do("process 101 1000 33 worker /usr/bin/web web.service - /system.slice/web.service")
    host.do("process 1 1 0 systemd /usr/lib/systemd/systemd - - /init.scope")
    for pid in (101, 1):
        host.do(f"holds {pid} 6")
    host.tick(2)
    comes(host)
    assert claimed(record, host) == [(*WEB, "listener")]


LISTENER = """
import os, socket, sys
with open("/proc/self/comm", "w") as comm: comm.write(sys.argv[1])
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
listener.bind(("127.0.0.1", int(sys.argv[2])))
listener.listen()
print(listener.getsockname()[1], flush=True)
for order in iter(lambda: sys.stdin.read(1), ""):
    if order == "q": listener.close()
    else:
        listener.settimeout(0.05 if order == "t" else None)
        try:
            taken, peer = listener.accept()
            taken.close()
            print(peer[1], flush=True); continue
        except TimeoutError: pass
    print(0, flush=True)
"""


class Listener:
    def __init__(self, name, port=0):
        self.process = subprocess.Popen([sys.executable, "-c", LISTENER, name, str(port)], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.name, self.pid, self.port = name, self.process.pid, int(self.process.stdout.readline())

    def do(self, order):
        self.process.stdin.write(order)
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


def connect(port):
    client = socket.create_connection(("127.0.0.1", port))
    return client, client.getsockname()[1]


class Events:
    """Hears of closed TCP sockets of IPv4, as the kernel tells everyone."""
    NETLINK_SOCK_DIAG, SOCK_DIAG_BY_FAMILY, INET_TCP_DESTROY = 4, 20, 1

    def __init__(self):
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, self.NETLINK_SOCK_DIAG)
        self.socket.bind((0, 1 << self.INET_TCP_DESTROY - 1))
        self.socket.settimeout(60)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def wait_for_listener(self, port):
        while True:
            told = self.socket.recv(65536)
            ports = struct.unpack_from("!HH", told, 16 + 4)  # of struct inet_diag_msg, behind struct nlmsghdr
            if struct.unpack_from("=H", told, 4) == (self.SOCK_DIAG_BY_FAMILY,) and ports == (port, 0):
                return


def test_who_listened_beside_it_unseen_is_not_mistaken_for_it(recorder):
    """Between two snapshots another program of the same user listens at the port, accepts, and is gone."""
    seen, unseen = Listener("seen"), None
    try:
        recorder.wait_for_owner("local_port = ?", seen.pid, seen.port)
        os.kill(recorder.process.pid, signal.SIGSTOP)
        unseen = Listener("unseen", seen.port)
        truth = {}
        while set(truth.values()) != {"seen", "unseen"}:
            client, port = connect(seen.port)
            while port not in truth:
                for listener in (seen, unseen):
                    if (peer := listener.do("t")):
                        truth[peer] = listener.name
            client.recv(1)  # it was closed by the server first
            client.close()
        with Events() as events:
            assert unseen.do("q") == 0
            events.wait_for_listener(seen.port)  # the kernel tells of it when it comes to it
        os.kill(recorder.process.pid, signal.SIGCONT)
        ours = "local_port = ? AND remote_port = ?"
        for port, name in truth.items():
            assert recorder.wait_for(lambda p=port: recorder.rows(ours, "1", seen.port, p))
            rows = recorder.rows(ours, "process, owner_source", seen.port, port)
            assert {row[0] for row in rows} <= {None, name}, (rows, truth)
    finally:
        os.kill(recorder.process.pid, signal.SIGCONT)
        for listener in filter(None, (seen, unseen)):
            listener.end()
