# SPDX-License-Identifier: MIT
"""What is named by who listened there: only where all that did are known, and are one program."""
import os
import signal
import socket
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


def closes(host, port=80, cookie=77):
    """The event of a socket without peer that no snapshot saw."""
    host.do(f"event 0 tcp 4 {SERVER[0]} {port} 0.0.0.0 0 {cookie} 0 0 0 0 1 0 0")


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
    assert record(host).rows("process", CAME) in ([(None,)], [("other",)])


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
        assert unseen.do("q") == 0
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
