# SPDX-License-Identifier: MIT
"""Owners of made-up sockets held by made-up processes: what the record says of them, and how often it asks."""
import json
import sqlite3
import subprocess

import pytest
from conftest import BUILD

REPLAY = BUILD / "tests" / "replay" / "replay"
CONNHIST = BUILD / "src" / "connhist" / "connhist"
START_MS, WALL_MS = 5_000_000, 1_700_000_000_000
SERVER = ("192.0.2.1", 80)


class Host:
    """Commands for tests/replay: sockets stay until they are closed, processes until they end."""

    def __init__(self, events=False):
        self.commands, self.boot_ms, self.sockets = ["events"] if events else [], START_MS, {}
        self.clock()

    def clock(self):
        self.commands.append(f"clock {self.boot_ms * 1_000_000} {(WALL_MS + self.boot_ms) * 1_000_000}")

    def process(self, pid, name="prog", start=1000, uid=1000, unit="-", container="-", cgroup="-"):
        self.commands.append(f"process {pid} {start} {uid} {name} /usr/bin/{name} {unit} {container} {cgroup}")

    def do(self, command):
        self.commands.append(command)

    def socket(self, cookie, state, port, peer_port=0, inode=None, uid=1000, cgroup=0, proto="tcp", opener=0):
        """Opens a socket of SERVER's address, or changes it."""
        inode = cookie + 5 if inode is None else inode
        local, peer = ("192.0.2.1", "198.51.100.7") if peer_port else ("0.0.0.0", "0.0.0.0")
        timer, expires = (3, 59_000) if state == "TIME_WAIT" else (0, 0)
        self.sockets[cookie, state == "TIME_WAIT"] = (
            f"sample {proto} 4 {local} {port} {peer} {peer_port} {state} {cookie} {inode} {uid} 0 {timer} {expires}"
            f" 0 128 {opener} {cgroup}")

    def close(self, cookie):
        self.sockets = {key: sample for key, sample in self.sockets.items() if key[0] != cookie}

    def mini(self, cookie, port, peer_port):
        """What is left when the program has closed: TIME_WAIT, without owner or inode."""
        self.close(cookie)
        self.socket(cookie, "TIME_WAIT", port, peer_port, inode=0, uid=-1)

    def tick(self, n=1):
        for _ in range(n):
            self.boot_ms += 10_000
            self.clock()
            self.commands += [*self.sockets.values(), "tick"]

    def restart(self):
        self.commands += ["stop", "start boot-1"]


class Record:
    def __init__(self, path, host, asked=False):
        self.path = path
        done = subprocess.run([REPLAY, path, "on", "64"], text=True, capture_output=True, check=False, timeout=60,
                              input="\n".join(host.commands) + "\n")
        assert done.returncode == 0, done.stderr
        self.asked = [int(line.split()[1]) for line in done.stdout.splitlines()]

    def rows(self, columns, where="1"):
        database = sqlite3.connect(self.path)
        rows = database.execute(f"SELECT {columns} FROM sockets WHERE {where} ORDER BY local_port, remote_port,"
                                " first_seen_ms").fetchall()
        database.close()
        return rows

    def ask(self, *args):
        done = subprocess.run([CONNHIST, "--db", self.path, *args], text=True, capture_output=True, check=False,
                              timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(name="record")
def make_record(tmp_path):
    return lambda host: Record(tmp_path / "owners.db", host)


def server(host, pid=100, name="web", cookie=1, port=80, **more):
    host.process(pid, name, unit=f"{name}.service", cgroup=f"/system.slice/{name}.service", **more)
    host.do(f"holds {pid} {cookie + 5}")
    host.socket(cookie, "LISTEN", port)


OWNER = "pid, process, exe, unit, owner_source"
WEB = (100, "web", "/usr/bin/web", "web.service")


def test_an_owner_is_kept_after_close_and_called_cookie(record):
    host = Host()
    server(host)
    host.tick()
    host.socket(2, "ESTABLISHED", 80, 40000)
    host.do("holds 100 7")
    host.tick()
    host.mini(2, 80, 40000)
    host.do("ended 100")
    host.close(1)
    host.tick(3)
    rows = record(host).rows(OWNER + ", state", "remote_port = 40000")
    assert rows == [(*WEB, "cookie", "TIME_WAIT")]


def test_what_no_process_was_seen_to_hold_belongs_to_the_listener(record):
    host = Host(events=True)
    server(host)
    host.tick(2)
    host.socket(2, "SYN_RECV", 80, 40000, inode=0, uid=-1)
    host.socket(3, "ESTABLISHED", 80, 40001, inode=0)  # not accepted yet
    host.socket(4, "TIME_WAIT", 80, 40002, inode=0, uid=-1)
    host.do("event 0 tcp 4 192.0.2.1 80 198.51.100.7 40003 99 2 1 1 0 0 100 1000")
    host.tick(3)
    rows = record(host).rows(OWNER + ", uid", "remote_port BETWEEN 40000 AND 40003")
    assert rows == [(*WEB, "listener", 1000)] * 4


def test_uid_0_of_what_has_no_owner_is_not_root(record):
    host = Host()
    host.tick()
    host.socket(2, "TIME_WAIT", 80, 40000, inode=0, uid=-1)
    host.tick(2)
    assert record(host).rows("uid, pid, owner_source", "remote_port = 40000") == [(None, None, "unknown")]


def test_an_accepted_connection_gets_its_own_owner(record):
    host = Host()
    server(host)
    host.process(101, "worker")
    host.tick(2)
    host.socket(2, "ESTABLISHED", 80, 40000, inode=0)
    host.tick()
    host.socket(2, "ESTABLISHED", 80, 40000)
    host.do("holds 101 7")
    host.tick()
    assert record(host).rows("pid, owner_source", "remote_port = 40000") == [(101, "inode")]


@pytest.mark.parametrize("how", ["ended", "lets"])
def test_what_waits_to_be_accepted_goes_with_its_listener(record, how):
    host = Host(events=True)
    server(host)
    host.tick(2)
    host.socket(2, "SYN_RECV", 80, 40000, inode=0, uid=-1)
    host.socket(3, "ESTABLISHED", 80, 40001, inode=0)
    host.socket(4, "TIME_WAIT", 80, 40002, inode=0, uid=-1)
    host.tick(2)
    host.process(200, "heir", unit="web.service", cgroup="/system.slice/web.service")
    host.do("holds 200 6")
    host.do("ended 100" if how == "ended" else "lets 100 6")
    host.tick(9)
    host.mini(3, 80, 40001)  # what it became belongs to whom it waited for last
    host.tick()
    rows = record(host).rows("process, owner_source", "remote_port BETWEEN 40000 AND 40002")
    assert rows == [("heir", "listener"), ("heir", "listener"), ("web", "listener")]


def test_what_waits_for_a_listener_that_nobody_can_be_named_for_has_no_owner(record):
    host = Host()
    server(host)
    host.tick(2)
    host.socket(3, "ESTABLISHED", 80, 40001, inode=0)
    host.tick(2)
    host.process(200, "heir")
    host.do("hidden 200")
    host.do("holds 200 6")
    host.do("ended 100")
    host.tick(4)
    made = record(host)
    assert made.rows("pid, owner_source") == [(None, "unknown")] * 2
    row, = json.loads(made.ask("status", "--format", "json"))["rows"]
    assert [row[f"owners_{why}"] for why in ("later", "absent", "denied")] == [0, 1, 1]
    made.path.unlink()
    host.do("seen 200")
    host.tick(9)
    assert record(host).rows("process, owner_source") == [("heir", "inode"), ("heir", "listener")]


def test_a_server_that_took_a_port_over_does_not_get_what_was_the_others(record):
    """Between two snapshots one server ended and another began; nobody saw which one the connection came to."""
    host = Host()
    server(host)
    host.tick(2)
    host.close(1)
    host.do("ended 100")
    server(host, 200, "other", 10)
    host.socket(2, "TIME_WAIT", 80, 40000, inode=0, uid=-1)
    host.tick(3)
    rows = record(host).rows("pid, process, owner_source", "remote_port = 40000")
    assert rows == [(None, None, "unknown")]


def test_a_listener_that_is_no_older_than_the_connection_is_not_its_owner(record):
    """Between two snapshots another server may have come and gone that nobody saw."""
    host = Host()
    host.tick()
    server(host)
    host.socket(2, "TIME_WAIT", 80, 40000, inode=0, uid=-1)
    host.tick(2)
    assert record(host).rows("pid, owner_source", "remote_port = 40000") == [(None, "unknown")]


def test_one_program_listening_in_several_processes_is_named_without_pid(record):
    host = Host(events=True)
    server(host)
    server(host, 101, "web", 10)
    host.tick(2)
    host.socket(2, "TIME_WAIT", 80, 40000, inode=0, uid=-1)
    host.tick()
    rows = record(host).rows(OWNER, "remote_port = 40000")
    assert rows == [(None, *WEB[1:], "listener")]


def test_without_a_process_the_cgroup_tells_unit_and_container(record):
    host = Host()
    host.do("cgroup 77 /system.slice/docker-1.scope docker-1.scope docker:1")
    host.process(100)
    host.do("holds 100 7")
    host.do("hidden 100")
    host.socket(2, "ESTABLISHED", 40000, 5432, cgroup=77, opener=1)
    host.tick(2)
    made = record(host)
    assert made.rows("pid, exe, unit, container, owner_source") == [
        (None, None, "docker-1.scope", "docker:1", "cgroup")]


def test_what_no_process_is_seen_to_have_is_not_called_the_kernels(record):
    """It may be on its way in another socket, in io_uring, or with a thread whose files are its own."""
    host = Host()
    host.socket(2, "CLOSE", 4789, proto="udp", uid=0, cgroup=1)
    host.socket(3, "LISTEN", 2049, uid=0, cgroup=1)
    host.tick(4)
    host.process(100, "late", uid=0)
    host.do("holds 100 8")
    host.tick(64)
    assert record(host).rows("local_port, process, owner_source") == [
        (2049, "late", "inode"), (4789, None, "unknown")]


def test_a_pid_that_is_used_again_is_another_process(record):
    host = Host()
    host.process(100, "first", start=1000)
    host.do("holds 100 7")
    host.socket(2, "ESTABLISHED", 40000, 5432, opener=1)
    host.tick()
    host.close(2)
    host.do("ended 100")
    host.process(100, "second", start=9000)
    host.do("holds 100 8")
    host.socket(3, "ESTABLISHED", 40001, 5432, opener=1)
    host.tick(3)
    made = record(host)
    assert made.rows("process") == [("first",), ("second",)]
    database = sqlite3.connect(made.path)
    started = database.execute("SELECT pid, start_ms FROM processes ORDER BY start_ms").fetchall()
    assert started == [(100, WALL_MS + 1000), (100, WALL_MS + 9000)]
    database.close()


def test_who_ends_gives_its_sockets_to_those_who_hold_them_still(record):
    host = Host()
    host.process(100, "parent")
    host.do("holds 100 7")
    host.socket(2, "ESTABLISHED", 40000, 5432, opener=1)
    host.tick(2)
    host.process(101, "child")
    host.do("holds 101 7")
    host.do("ended 100")
    host.tick(2)
    assert record(host).rows("pid, process, owner_source") == [(101, "child", "inode")]


def test_who_passes_a_socket_on_does_not_own_it_for_long(record):
    host = Host()
    host.process(100, "giver")
    host.process(101, "taker")
    host.do("holds 100 7")
    host.socket(2, "ESTABLISHED", 40000, 5432, opener=1)
    host.tick(2)
    host.do("lets 100 7")
    host.do("holds 101 7")
    host.tick(9)
    assert record(host).rows("pid, process") == [(101, "taker")]


@pytest.mark.parametrize("n", [256, 300, 800])
def test_who_passes_one_of_many_sockets_on_does_not_own_it_for_long(record, n):
    host = Host()
    host.process(100, "giver")
    host.process(101, "taker")
    for cookie in range(10, 10 + n):
        host.do(f"holds 100 {cookie + 5}")
        host.socket(cookie, "ESTABLISHED", 30000 + cookie, 5432, opener=1)
    host.tick(2)
    for cookie in (n, n + 1, n + 2, n + 3):  # neighbours: of whatever they are counted by, each comes up
        host.do(f"lets 100 {cookie + 5}")
        host.do(f"holds 101 {cookie + 5}")
    host.tick(4 * 2 * (1 + n // 256) + 9)
    rows = record(host).rows("pid, local_port", "pid != 100")
    assert rows == [(101, 30000 + cookie) for cookie in (n, n + 1, n + 2, n + 3)]


def test_an_owner_that_can_not_be_found_any_more_is_unknown_not_wrong(record):
    host = Host()
    host.process(100, "giver")
    host.process(101, "taker")
    host.do("hidden 101")
    host.do("holds 100 7")
    host.socket(2, "ESTABLISHED", 40000, 5432, opener=1)
    host.tick(2)
    host.do("holds 101 7")
    host.do("ended 100")
    host.tick(3)
    assert record(host).rows("pid, owner_source") == [(None, "unknown")]


def test_who_changes_its_name_goes_by_the_new_one(record):
    host = Host()
    host.process(100, "before")
    host.do("holds 100 7")
    host.socket(2, "ESTABLISHED", 40000, 5432, opener=1)
    host.tick(2)
    host.process(100, "after")
    host.tick(3)
    assert record(host).rows("pid, process, exe") == [(100, "after", "/usr/bin/after")]


def test_the_others_who_hold_a_shared_socket_are_kept(record):
    host = Host()
    server(host)
    for pid in (101, 102):
        host.process(pid, "worker")
        host.do(f"holds {pid} 6")
    host.tick(2)
    for closed in (False, True):
        if closed:
            host.close(1)
            host.tick()
        made = record(host)
        database = sqlite3.connect(made.path)
        table = "closed" if closed else "open"
        assert database.execute("SELECT n.pid, n.process FROM holders AS h JOIN owner_names AS n ON n.id = h.owner"
                                f" JOIN {table} AS o ON o.life = h.life ORDER BY 1").fetchall() == [
                                    (101, "worker"), (102, "worker")]
        database.close()
        made.path.unlink()


def test_the_others_who_hold_a_shared_socket_are_told_to_a_file_begun_anew(tmp_path):
    path, host = tmp_path / "connhist.db", Host()
    server(host)
    for pid in (101, 102):
        host.process(pid, "worker")
        host.do(f"holds {pid} 6")
    host.tick(2)
    with subprocess.Popen([REPLAY, path, "on", "64"], text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as replay:
        def play():
            replay.stdin.write("\n".join([*host.commands, "tables"]) + "\n")
            replay.stdin.flush()
            host.commands.clear()
            assert "end\n" in iter(replay.stdout.readline, "")
        play()
        for file in tmp_path.iterdir():
            file.unlink()
        host.tick(7)
        host.do("asked")
        host.do("stop")
        out, _ = replay.communicate("\n".join(host.commands) + "\n", timeout=60)
    assert replay.returncode == 0
    assert out.split() == ["asked", "4"], "at first, once anew, and at the fifth and ninth snapshot as ever"
    database = sqlite3.connect(path)
    assert database.execute("SELECT n.pid, n.process FROM holders AS h JOIN owner_names AS n ON n.id = h.owner"
                            " JOIN open AS o ON o.life = h.life ORDER BY 1").fetchall() == [
                                (101, "worker"), (102, "worker")]
    database.close()


def asked_by_tick(record, host, ticks):
    for _ in range(ticks):
        host.tick()
        host.do("asked")
    asked = record(host).asked
    return [b - a for a, b in zip([0, *asked], asked)]


def test_what_is_not_found_is_asked_for_less_and_less(record):
    host = Host()
    host.process(100)
    host.do("hidden 100")
    host.do("holds 100 7")
    host.socket(2, "ESTABLISHED", 40000, 5432, opener=1)
    host.socket(3, "TIME_WAIT", 80, 40001, inode=0, uid=-1)
    asked = asked_by_tick(record, host, 300)
    times = [i + 1 for i, n in enumerate(asked) if n]
    assert times == [1, 2, 4, 8, 16, 32, 64, 128, 192, 256]
    assert set(asked) == {0, 1}


def test_a_look_without_an_end_is_gone_on_with_at_the_next_tick(record):
    host = Host()
    host.process(100)
    host.do("holds 100 7")
    host.socket(2, "ESTABLISHED", 40000, 5432, opener=1)
    for _ in range(3):
        host.do("late")
        host.tick()
    asked = asked_by_tick(record, host, 2)
    assert asked[0] == 4, "at each tick until the fourth one found it"


def test_status_counts_sockets_without_owner_and_why(record):
    host = Host()
    host.process(100)
    host.do("hidden 100")
    host.do("holds 100 7")
    host.socket(2, "ESTABLISHED", 40000, 5432, opener=1)
    host.socket(3, "TIME_WAIT", 80, 40001, inode=0, uid=-1)
    host.socket(4, "ESTABLISHED", 40002, 5432, opener=1)  # nobody has it
    host.tick()
    made = record(host)
    row, = json.loads(made.ask("status", "--format", "json"))["rows"]
    assert [row[f"owners_{why}"] for why in ("later", "absent", "denied")] == [0, 2, 1]
    assert "connhistd may lack CAP_SYS_PTRACE" in made.ask("status"), "what it has is not in the file"
    host.do("late")
    host.socket(5, "ESTABLISHED", 40003, 5432, opener=1)
    host.tick()
    made.path.unlink()
    row, = json.loads(record(host).ask("status", "--format", "json"))["rows"]
    assert row["owners_later"] == 1


def test_owners_go_on_over_a_restart_without_being_looked_for(record):
    host = Host(events=True)
    server(host)
    host.process(101, "web", unit="web.service", cgroup="/system.slice/web.service")
    host.do("holds 101 6")
    host.socket(2, "TIME_WAIT", 80, 40000, inode=0, uid=-1)
    host.tick(2)
    host.socket(3, "TIME_WAIT", 80, 40001, inode=0, uid=-1)
    host.tick()
    host.do("asked")
    host.restart()
    host.tick()
    host.do("asked")
    made = record(host)
    assert made.asked[0] == made.asked[1]
    assert made.rows(OWNER, "local_port = 80 AND remote_port IN (0, 40001)") == [
        (*WEB, "inode"), (*WEB, "listener")]
    database = sqlite3.connect(made.path)
    assert database.execute("SELECT count(*) FROM processes").fetchone() == (2,)
    assert database.execute("SELECT count(*) FROM holders").fetchone() == (1,)
    database.close()


def test_a_process_that_ended_is_not_taken_for_the_owner_of_what_came_later(record):
    host = Host(events=True)
    server(host)
    host.process(101, "web", unit="web.service", cgroup="/system.slice/web.service")
    host.do("holds 101 6")
    host.tick(2)
    host.do("ended 100")
    host.tick()  # that it ended is seen here
    host.do("late")  # who holds the listener now is not
    host.socket(2, "TIME_WAIT", 80, 40000, inode=0, uid=-1)
    host.tick()
    host.socket(3, "TIME_WAIT", 80, 40001, inode=0, uid=-1)
    host.tick()
    host.socket(4, "TIME_WAIT", 80, 40002, inode=0, uid=-1)
    host.tick()
    assert record(host).rows("remote_port, pid, owner_source") == [
        (0, 101, "inode"), (40000, None, "unknown"), (40001, None, "unknown"),
        (40002, 101, "listener")]


def test_names_that_are_hostile_break_nothing(tmp_path):
    name, unit = b"\xff\x1b[31m\xc3", b"=cmd\xc3\x28<b>"
    host = Host()
    host.socket(2, "ESTABLISHED", 40000, 5432, opener=1)
    path = "/" + "x" * 4000
    commands = [*[c.encode() for c in host.commands],
                b"process 100 1000 1000 " + name + b" " + path.encode() + b" " + unit + b" - /" + unit, b"holds 100 7"]
    host.commands = []
    host.tick()
    file = tmp_path / "hostile.db"
    done = subprocess.run([REPLAY, file, "on", "64"], capture_output=True, check=False, timeout=60,
                          input=b"\n".join([*commands, *[c.encode() for c in host.commands]]) + b"\n")
    assert done.returncode == 0, done.stderr
    database = sqlite3.connect(file)  # decodes text as UTF-8, strictly
    assert database.execute("SELECT process, exe, unit FROM sockets").fetchall() == [
        ("\\xff\x1b[31m\\xc3", path, "=cmd\\xc3(<b>")]
    database.close()
    for form in ("json", "jsonl", "csv", "table"):
        done = subprocess.run([CONNHIST, "--db", file, "list", "--since", "@1", "--format", form],
                              capture_output=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        text = done.stdout.decode("utf-8")
        assert form not in ("json", "table") or "\x1b" not in text
        if form == "json":
            row, = json.loads(text)["rows"]
            assert (row["process"], row["exe"], row["unit"]) == ("\\xff\x1b[31m\\xc3", path, "=cmd\\xc3(<b>")
