# SPDX-License-Identifier: MIT
"""Network namespaces: each is recorded apart, found when it comes and let go when it goes, without threads, processes
or descriptors that stay. Real namespaces, with ip(8) and /proc as witnesses."""
import ctypes
import itertools
import json
import os
import shutil
import socket
import subprocess
import time
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

import pytest

from conftest import CONNHIST, CONNHISTD, HERE, SANITIZER, Namespace, Recorder, connhist, count, query, wait_until

LONG = "1h"  # an interval at which no tick comes while the test runs
NOBODY = 65534
_serial = itertools.count()


def ip(*args, check=True):
    return subprocess.run(["ip", *map(str, args)], check=check, text=True, capture_output=True, timeout=120)


def batch(*commands):
    """Many commands of ip(8) in one process."""
    subprocess.run(["ip", "-batch", "-"], input="".join(line + "\n" for line in commands), check=True, text=True,
                   capture_output=True, timeout=120)


@pytest.fixture
def tag(can_netns):
    """Begins the names of all namespaces and devices of one test; they are gone after it."""
    tag = f"ct{os.getpid()}x{next(_serial)}-"
    yield tag
    for name in names(tag):
        ip("netns", "del", name, check=False)
    for device in os.listdir("/sys/class/net"):
        if device.startswith(tag):
            ip("link", "del", device, check=False)


def names(tag):
    folder = Path("/run/netns")
    return sorted(path.name for path in folder.iterdir() if path.name.startswith(tag)) if folder.is_dir() else []


def make(tag, n):
    """n namespaces with lo up."""
    made = [f"{tag}{i}" for i in range(n)]
    batch(*(f"netns add {name}" for name in made))
    for name in made:
        ip("-n", name, "link", "set", "lo", "up")
    return made


def inode(name):
    return os.stat(f"/run/netns/{name}").st_ino


@pytest.fixture
def config(tmp_path, tag):
    """A configuration that includes the test's namespaces alone: others may be on this host, and come and go."""
    def write(*lines, include=None, exclude=()):
        path = tmp_path / "netns.yaml"
        include = [f"{tag}*"] if include is None else include
        path.write_text("".join(f"{line}\n" for line in (*lines, "namespaces:", f"  include: {json.dumps(list(include))}",
                                                         f"  exclude: {json.dumps(list(exclude))}")))
        return path
    return write


def libc_setns(fd):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(fd, 0x40000000):
        raise OSError(ctypes.get_errno(), "setns")


@contextmanager
def inside(name):
    """This thread is in the namespace."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{name}", os.O_RDONLY)
    libc_setns(there)
    try:
        yield
    finally:
        libc_setns(home)
        os.close(home)
        os.close(there)


def connection(name, server=("127.0.0.1", 7000), client=("127.0.0.1", 40000)):
    """The same four numbers in whatever namespace; [listener, client, accepted]."""
    with inside(name):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(server)
        listener.listen()
        one = socket.socket()
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind(client)
        one.connect(server)
        accepted, _ = listener.accept()
    return [listener, one, accepted]


def close(sockets):
    for one in sockets:
        one.close()


def rows(db, netns, where="1"):
    return query(db, "SELECT protocol, state, local_address, local_port, remote_port, closed_ms IS NULL FROM sockets"
                     f" WHERE netns = ? AND {where} ORDER BY 4, 5", netns)


def truth(name):
    """The TCP sockets of a namespace as its own /proc has them."""
    states = {"01": "ESTABLISHED", "06": "TIME_WAIT", "0A": "LISTEN"}
    with inside(name):
        lines = Path("/proc/thread-self/net/tcp").read_text().splitlines()[1:]
    found = []
    for line in lines:
        _, local, remote, state = line.split()[:4]
        found.append((states[state], int(local.split(":")[1], 16), int(remote.split(":")[1], 16)))
    return sorted(found)


def open_now(db, name):
    return sorted((row[1], row[3], row[4]) for row in rows(db, name, "closed_ms IS NULL"))


def threads(pid):
    return len(os.listdir(f"/proc/{pid}/task"))


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def settled(pid):
    """How many descriptors it has apart from those that it opens for an instant."""
    return Counter(descriptors(pid) for _ in range(15) if not time.sleep(0.02)).most_common(1)[0][0]


def process_apart():
    """A process in a namespace without a name, and the number of that."""
    process = subprocess.Popen(["unshare", "--net", "sh", "-c", "echo in; exec cat"], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE, text=True)
    process.stdout.readline()
    return process, os.stat(f"/proc/{process.pid}/ns/net").st_ino


def children(pid):
    found = subprocess.run(["ps", "--ppid", str(pid), "-o", "pid="], check=False, text=True, capture_output=True)
    return found.stdout.split()


def held(pid):
    """How many sockets a process has, in all namespaces."""
    inodes = set()
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            inodes.add(os.readlink(f"/proc/{pid}/fd/{fd}"))
        except FileNotFoundError:
            pass
    return sum(link.startswith("socket:") for link in inodes)


def test_fifty_namespaces_with_the_same_endpoints_are_recorded_apart(tag, config, record, db):
    n = 10 if SANITIZER else 50
    made = make(tag, n)
    held_open = [connection(name) for name in made]
    for sockets in held_open[::2]:
        sockets[1].close()  # TIME_WAIT stays in every second one
        sockets[2].close()
    recorder = record(HERE, "--config", config(), "--interval", "1s")
    recorder.wait_snapshots(2)
    expected = {name: truth(name) for name in made}
    assert {state for state, *_ in expected[made[0]]} == {"LISTEN", "TIME_WAIT"}
    assert {state for state, *_ in expected[made[1]]} == {"LISTEN", "ESTABLISHED"}
    for name in made:
        assert open_now(db, name) == expected[name], name
    # and as ip names them, with the kernel's numbers
    assert {row[0]: row[1] for row in query(db, "SELECT name, inode FROM netns WHERE name != ''")} == {
        name: inode(name) for name in made}
    # each is closed in its namespace alone
    close(held_open[1])
    recorder.wait_snapshots(2)
    assert [state for state, *_ in open_now(db, made[1])] == ["TIME_WAIT"]
    assert open_now(db, made[3]) == expected[made[3]]
    recorder.stop()
    for sockets in held_open:
        close(sockets)
    # asked by name, one has its own alone
    document = json.loads(connhist("--db", db, "--netns", made[3], "list", "--format", "json").stdout)
    assert {row["netns"] for row in document["rows"]} == {made[3]} and len(document["rows"]) == 3
    document = json.loads(connhist("--db", db, "--netns", made[3], "report", "--port", "7000", "--state", "LISTEN",
                                   "--format", "json").stdout)
    assert {row["max"] for row in document["rows"]} - {None} == {1}, "a step may lie between two snapshots"


def test_events_of_each_namespace_are_its_own(tag, config, record, db):
    made = make(tag, 3)
    recorder = record(HERE, "--config", config(), "--interval", "1s")
    recorder.wait_snapshots(1)
    for i, name in enumerate(made):
        with inside(name):
            listener = socket.create_server(("127.0.0.1", 7000))
            for _ in range(5 * (i + 1)):
                client = socket.create_connection(listener.getsockname())
                accepted, _ = listener.accept()
                accepted.send(b"x" * (100 + i))
                client.recv(1000)
                client.close()
                accepted.close()
            listener.close()
    recorder.wait_snapshots(2)
    recorder.stop()
    for i, name in enumerate(made):
        served = query(db, "SELECT tx_bytes FROM sockets WHERE netns = ? AND local_port = 7000 AND remote_port != 0", name)
        assert served == [(100 + i,)] * (5 * (i + 1))


def test_a_namespace_is_let_go_between_ticks_and_its_devices_go(tag, config, record, db):
    name, = make(tag, 1)
    device = f"{tag}v"[:15]
    ip("link", "add", device, "type", "veth", "peer", "name", "eth0", "netns", name)
    sockets = connection(name)
    recorder = record(HERE, "--config", config(), "--interval", LONG)
    wait_until(lambda: recorder.snapshots(), "the first snapshot")
    pid = recorder.process.pid
    assert {state for state, *_ in open_now(db, name)} == {"LISTEN", "ESTABLISHED"}
    close(sockets)
    before = settled(pid)
    ip("netns", "del", name)
    wait_until(lambda: device not in os.listdir("/sys/class/net"), "the end of the device")
    wait_until(lambda: descriptors(pid) == before - 2, "the descriptors given back")
    assert recorder.snapshots("1") == 1, "no tick came meanwhile"
    recorder.stop()
    # the last snapshot of an ending recorder tells of what went
    assert open_now(db, name) == [] and len(rows(db, name)) == 3
    assert query(db, "SELECT count(*) FROM losses") == [(0,)]


def test_one_that_only_processes_show_is_named_by_its_number_and_let_go_with_the_last(tag, config, record, db):
    first, number = process_apart()
    second = None
    try:
        device = f"{tag}p"[:15]
        ip("link", "add", device, "type", "veth", "peer", "name", "eth0", "netns", first.pid)
        recorder = record(HERE, "--config", config(include=[f"inode:{number}"]), "--interval", LONG)
        wait_until(lambda: recorder.snapshots(), "the first snapshot")
        assert query(db, "SELECT name, inode FROM netns WHERE name != ''") == [(f"net:[{number}]", number)]
        pid = recorder.process.pid
        before = settled(pid)
        second = subprocess.Popen(["nsenter", f"--net=/proc/{first.pid}/ns/net", "cat"], stdin=subprocess.PIPE)
        wait_until(lambda: os.stat(f"/proc/{second.pid}/ns/net").st_ino == number, "the second process")
        first.stdin.close()
        first.wait()
        # the second process still shows it: held as before, through several looks
        for _ in range(2):
            time.sleep(1)
            assert settled(pid) == before and device in os.listdir("/sys/class/net")
        second.stdin.close()
        second.wait()
        wait_until(lambda: device not in os.listdir("/sys/class/net"), "the end of the device")
        wait_until(lambda: descriptors(pid) == before - 2, "the descriptors given back")
        recorder.stop()
    finally:
        for process in (first, second):
            if process and process.poll() is None:
                process.kill()
                process.wait()


def test_namespaces_come_and_go_while_recording(tag, config, record, db):
    recorder = record(HERE, "--config", config(), "--interval", "200ms")
    recorder.wait_snapshots(1)
    pid = recorder.process.pid
    before = settled(pid)
    for turn in range(8):
        made = make(f"{tag}t", 3)  # the same names, and mostly the same inode numbers, each time
        sockets = [connection(name) for name in made]
        recorder.wait_snapshots(1)
        for name in made:
            assert len(open_now(db, name)) == 3, (turn, name)
        for one in sockets:
            close(one)
        for name in made:
            ip("netns", "del", name)
    wait_until(lambda: descriptors(pid) == before, "all descriptors given back")
    recorder.wait_snapshots(1)
    recorder.stop()
    assert query(db, "SELECT count(*) FROM sockets WHERE netns != '' AND closed_ms IS NULL") == [(0,)]
    # each time it was another namespace, whatever it was called
    assert query(db, "SELECT count(*), count(DISTINCT name), count(DISTINCT cookie) FROM netns WHERE name != ''") == [
        (24, 3, 24)]
    assert query(db, "SELECT count(*) FROM sockets WHERE netns != '' AND state = 'LISTEN'") == [(24,)]
    assert query(db, "SELECT count(*) FROM losses WHERE kind NOT IN (1, 2)") == [(0,)], recorder.text()
    assert "can't" not in recorder.text()


def test_two_hundred_namespaces_cost_neither_threads_nor_processes_and_little_else(tag, config, record, db):
    n = 40 if SANITIZER else 200
    recorder = record(HERE, "--config", config(), "--interval", "200ms")
    recorder.wait_snapshots(1)
    pid = recorder.process.pid
    before = settled(pid), threads(pid), held(pid)
    made = make(tag, n)
    wait_until(lambda: count(db, "SELECT netns FROM recordings") == n + 1, "all namespaces in the record")
    assert threads(pid) == before[1] and children(pid) == []
    # two sockets each, for events and for changes of routes; a third one, for the dump of one namespace, comes and goes
    wait_until(lambda: descriptors(pid) == before[0] + 2 * n, "two descriptors for each")
    assert before[2] + 2 * n <= held(pid) <= before[2] + 2 * n + 1
    # the buffers of all together keep the bound
    (own, each), = query(db, "SELECT event_buffer, event_buffer_others FROM recordings")
    assert own == 4 << 20 and 0 < each * n <= 4 << 20
    text = connhist("--db", db, "status").stdout
    assert f"{n + 1} recorded" in text and "each other namespace" in text
    batch(*(f"netns del {name}" for name in made))
    wait_until(lambda: descriptors(pid) == before[0], "all descriptors given back")
    wait_until(lambda: query(db, "SELECT netns, event_buffer, event_buffer_others FROM recordings") == [(1, 8 << 20, 0)],
               "the buffer of the own namespace whole again")
    assert threads(pid) == before[1]
    recorder.stop()


def test_few_descriptors_keep_other_namespaces_out_and_no_snapshot(tag, config, db):
    make(tag, 80)
    limited = ("prlimit", "--nofile=64:64", CONNHISTD)
    recorder = Recorder(HERE, db, ["--config", config(), "--interval", "200ms", "--count", "3"], program=limited)
    recorder.wait()
    assert query(db, "SELECT DISTINCT status FROM snapshots") == [(0,)], recorder.text()
    (recorded,), = query(db, "SELECT netns FROM recordings")
    assert 1 < recorded < 64 - 32
    assert recorder.text().count("not all network namespaces are recorded: too few open files are allowed") == 1


def test_names_include_and_exclude(tag, config, record, db):
    for name in ("web1", "web2", "db1"):
        ip("netns", "add", tag + name)
    record(HERE, "--config", config(include=[f"{tag}web?", f"inode:{inode(tag + 'db1')}"], exclude=["*2", "*web0*"]),
           "--once").wait()
    assert query(db, "SELECT name FROM netns ORDER BY name") == [("",), (tag + "db1",), (tag + "web1",)]
    none = db.with_name("none.db")
    record(HERE, "--config", config(include=[]), "--once", path=none).wait()
    assert query(none, "SELECT name FROM netns") == [("",)]


@pytest.mark.parametrize("lines, place, words", [
    (("namespaces:", "  include: web"), "2:12", "takes a list"),
    (("namespaces:", "  include: ['']"), "2:13", "has no value"),
    (("namespaces:", "  exclude: ['a/b']"), "2:13", "is not a name of a network namespace"),
    (("namespaces:", "  exclude: ['a[b']"), "2:13", "is not a name of a network namespace"),
    (("namespaces:", "  included: []"), "2:3", "did you mean 'include'"),
    (("namespaces: []",), "1:13", "takes no list"),
])
def test_a_wrong_list_is_refused_with_its_place(tmp_path, db, lines, place, words):
    path = tmp_path / "wrong.yaml"
    path.write_text("".join(line + "\n" for line in lines))
    done = subprocess.run([CONNHISTD, "--config", path, "--db", db, "--once"], text=True, capture_output=True, check=False,
                          timeout=120)
    assert done.returncode == 2 and f"{path}:{place}: " in done.stderr and words in done.stderr


def test_a_new_list_is_taken_at_a_reload_and_what_was_there_is_not_taken_for_new(tag, config, record, db):
    name, = make(tag, 1)
    sockets = connection(name)
    path = config(include=[])
    recorder = record(HERE, "--config", path, "--interval", "1s")
    recorder.wait_snapshots(2)
    assert rows(db, name) == []
    config()
    recorder.process.send_signal(1)
    wait_until(lambda: len(open_now(db, name)) == 3, "the namespace in the record")
    assert query(db, "SELECT count(opened_ms) FROM sockets WHERE netns = ?", name) == [(0,)]
    assert recorder.process.poll() is None
    close(sockets)
    recorder.stop()


def test_what_comes_into_being_with_its_namespace_is_known_to_have_opened(tag, config, record, db):
    recorder = record(HERE, "--config", config(), "--interval", "1s")
    recorder.wait_snapshots(2)
    sockets = []
    for i in range(10):  # a tick that comes late proves nothing about what it shows
        name, = make(f"{tag}n{i}", 1)
        sockets += connection(name)
        recorder.wait_snapshots(1)
        if query(db, "SELECT count(*), count(opened_ms) FROM sockets WHERE netns = ?", name) == [(3, 3)]:
            break
    else:
        pytest.fail("it was never known")
    recorder.stop()
    close(sockets)


def test_a_restart_in_the_same_boot_goes_on_with_the_same_lives(tag, config, record, db):
    name, = make(tag, 1)
    sockets = connection(name)
    path = config()
    recorder = record(HERE, "--config", path, "--interval", "200ms")
    recorder.wait_snapshots(1)
    recorder.kill()
    record(HERE, "--config", path, "--count", "2", "--interval", "200ms").wait()
    assert len(rows(db, name)) == 3 and len(open_now(db, name)) == 3
    assert query(db, "SELECT count(*) FROM netns WHERE name = ?", name) == [(1,)]
    close(sockets)


def test_hostile_names_reach_no_terminal(tag, config, record, db):
    name = f"{tag}\x1b[31m\nevil"
    if ip("netns", "add", name, check=False).returncode:
        pytest.skip("ip(8) refuses such a name")
    ip("-n", name, "link", "set", "lo", "up")
    sockets = connection(name)
    record(HERE, "--config", config(), "--once").wait()
    close(sockets)
    assert query(db, "SELECT name FROM netns WHERE name != ''") == [(name,)]
    shown = connhist("--db", db, "list").stdout
    assert "\x1b" not in shown and "\nevil" not in shown
    document = json.loads(connhist("--db", db, "--netns", name, "list", "--format", "json").stdout)
    assert {row["netns"] for row in document["rows"]} == {name}


def headings(text):
    return next(line.split() for line in text.splitlines() if "PROTO" in line)


def test_tables_show_the_namespace_where_there_is_more_than_one(tag, config, record, db):
    made = make(tag, 2)
    sockets = connection(made[0]) + connection(made[1])
    record(HERE, "--config", config(), "--once").wait()
    for words in (["list"], ["netstat", "-an", "--at", "now"]):
        text = connhist("--db", db, *words).stdout
        assert headings(text)[0] == "NETNS"
        for name in made:
            assert sum(line.split()[:2] == [name, "tcp"] for line in text.splitlines()) == 3
        for chosen in (made[0], f"inode:{inode(made[0])}", "own"):
            text = connhist("--db", db, "--netns", chosen, *words).stdout
            assert "NETNS" not in text
            if chosen != "own":
                assert sum(line.startswith("tcp ") for line in text.splitlines()) == 3
    close(sockets)
    alone = db.with_name("alone.db")
    record(HERE, "--config", config(include=[]), "--once", path=alone).wait()
    assert "NETNS" not in connhist("--db", alone, "list").stdout


def test_the_live_table_of_another_namespace_is_read_in_it(tag):
    made = make(tag, 2)
    sockets = connection(made[0])
    for chosen in (made[0], f"inode:{inode(made[0])}"):
        document = json.loads(connhist("--netns", chosen, "netstat", "-an", "--format", "json").stdout)
        assert sorted((row["state"], row["local_port"], row["remote_port"]) for row in document["rows"]) == truth(made[0])
        assert {row["netns"] for row in document["rows"]} == {made[0]}
    assert json.loads(connhist("--netns", made[1], "netstat", "-an", "--format", "json").stdout)["rows"] == []
    here = json.loads(connhist("--netns", "own", "netstat", "-an", "--format", "json").stdout)["rows"]
    assert {row["netns"] for row in here} <= {""}
    done = connhist("--netns", tag + "none", "netstat", status=3)
    assert done.stdout == "" and f"no network namespace {tag}none" in done.stderr
    poor = subprocess.run(["setpriv", "--bounding-set", "-sys_admin", CONNHIST, "--netns", made[0], "netstat"], text=True,
                          capture_output=True, timeout=120, check=False)
    assert poor.returncode == 3 and poor.stdout == "" and "needs CAP_SYS_ADMIN" in poor.stderr
    close(sockets)


@pytest.fixture
def poor_place(can_netns):
    """A folder of nobody's with the programs in it."""
    top = Path(mkdtemp(prefix="connhist-netns-"))
    for program in (CONNHIST, CONNHISTD):
        shutil.copy(program, top / program.name)
    for path in (top, *top.iterdir()):
        path.chmod(0o755)
        os.chown(path, NOBODY, NOBODY)
    yield top
    shutil.rmtree(top)


@pytest.mark.parametrize("caps, lacks", [
    ("-all", "CAP_SYS_ADMIN"),
    ("-all,+sys_ptrace,+dac_read_search", "CAP_SYS_ADMIN"),
    ("-all,+sys_admin,+dac_read_search", "CAP_SYS_PTRACE"),
    ("-all,+sys_admin,+dac_read_search,+sys_ptrace", None),
])
def test_what_the_privileges_allow_is_recorded_and_the_rest_is_told(tag, poor_place, caps, lacks):
    name, = make(tag, 1)
    hidden, number = process_apart()
    sockets = connection(name)
    path = poor_place / "poor.db"
    try:
        config = poor_place / "poor.yaml"
        config.write_text(f"namespaces:\n  include: ['{name}', 'inode:{number}']\n")
        config.chmod(0o644)
        done = subprocess.run(["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups",
                               "--inh-caps", caps, "--ambient-caps", caps, "--bounding-set", caps, poor_place / "connhistd",
                               "--config", config, "--db", path, "--once"], text=True, capture_output=True, timeout=120,
                              check=False)
        assert done.returncode == 0, done.stderr
    finally:
        close(sockets)
        hidden.kill()
        hidden.wait()
    expected = {""}
    if "sys_admin" in caps:
        expected.add(name)
    if lacks is None:
        expected.add(f"net:[{number}]")
    assert {row[0] for row in query(path, "SELECT name FROM netns")} == expected
    status = json.loads(connhist("--db", path, "status", "--format", "json").stdout)["rows"][0]
    assert status["namespaces"] == len(expected) and status["namespaces_lack"] == lacks
    text = connhist("--db", path, "status").stdout
    if lacks:
        assert f"{lacks} is missing" in done.stderr and done.stderr.count("is missing") == 1
        assert f"{lacks} is missing" in text
    else:
        assert "SYS_" not in done.stderr and "is missing" not in text


CLIENT_CLOSES = """
import socket, sys, time
listener = socket.create_server(("127.0.0.1", 7090))
client = socket.create_connection(("127.0.0.1", 7090))
server, _ = listener.accept()
print("open")
sys.stdin.readline()
client.close()
time.sleep(0.05)
server.close()
"""


def test_how_connections_ended_whose_namespace_went_is_not_guessed(tag, config, record, db):
    """Their TIME_WAITs went with it: that none was seen proves no reset."""
    recorder = record(HERE, "--config", config(), "--interval", "1s")
    for name in make(tag, 3):
        with Namespace(name).python(CLIENT_CLOSES) as process:
            assert process.stdout.readline() == "open\n"
            wait_until(lambda: count(db, "SELECT count(*) FROM sockets WHERE netns = ? AND remote_port = 7090", name),
                       "the connection in the record")
            process.communicate("\n", timeout=60)
        ip("netns", "del", name)
        recorder.wait_snapshots(3)
        rows = json.loads(connhist("--db", db, "list", "--netns", name, "--port", "7090", "--since", "-1h", "--format",
                                   "json").stdout)["rows"]
        told = {"client" if row["remote_port"] == 7090 else "server": row["closed_by"] for row in rows if row["remote_port"]}
        assert told["client"] in (None, "unknown", "local") and told["server"] in (None, "unknown", "remote"), told
