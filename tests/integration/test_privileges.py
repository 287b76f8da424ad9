# SPDX-License-Identifier: MIT
"""What the recorder may do beyond an ordinary user: it keeps what connhistd(8) documents, and works without."""
import grp
import os
import re
import shutil
import subprocess
from pathlib import Path
from tempfile import mkdtemp

import pytest

from conftest import CONNHISTD, HERE, OWN_ONLY, Recorder, count, query, wait_until

NOBODY = 65534
NUMBER = {"CAP_CHOWN": 0, "CAP_DAC_OVERRIDE": 1, "CAP_DAC_READ_SEARCH": 2, "CAP_FOWNER": 3, "CAP_FSETID": 4,
          "CAP_NET_ADMIN": 12, "CAP_SYS_PTRACE": 19, "CAP_SYS_ADMIN": 21}
DOCUMENTED = ("CAP_DAC_READ_SEARCH", "CAP_NET_ADMIN", "CAP_SYS_ADMIN", "CAP_SYS_PTRACE")
OVER_FILES = ("CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID")
SOCKETS = """
import socket, sys
listener = socket.create_server(("127.0.0.1", 47231))
clients = [socket.create_connection(("127.0.0.1", 47231)) for _ in range(3)]
servers = [listener.accept()[0] for _ in clients]
print("ready", flush=True)
sys.stdin.read()
"""


def mask(names):
    return sum(1 << NUMBER[name] for name in names)


def status_of(path):
    return dict(line.split(":", 1) for line in path.read_text().splitlines())


def own(name):
    """One of the sets of the tests' own process: what there is to give."""
    return int(status_of(Path("/proc/self/status"))[name], 16)


def threads(db):
    """The status of each thread of the recorder that writes the file."""
    pid = int(Path(f"{db}-recorder").read_text())
    return [status_of(path) for path in Path(f"/proc/{pid}/task").glob("*/status")]


def assert_sets(db, names):
    """Every thread has these capabilities, as far as the tests have them, and can gain no others."""
    given = mask(names)
    for thread in threads(db):
        assert int(thread["CapEff"], 16) == int(thread["CapPrm"], 16) == given & own("CapEff")
        assert int(thread["CapBnd"], 16) == given & own("CapBnd")
        assert int(thread["CapInh"], 16) == int(thread["CapAmb"], 16) == 0
        assert thread["NoNewPrivs"].strip() == "1"


@pytest.fixture
def root():
    if os.geteuid() != 0:
        pytest.skip("only root has privileges to give up")


@pytest.fixture
def libcapng():
    linked = subprocess.run(["ldd", CONNHISTD], text=True, capture_output=True, check=True).stdout
    if "libcap-ng" not in linked:
        pytest.skip("built without libcap-ng")


@pytest.fixture
def place():
    """A folder with the program in it that others can come to, unlike pytest's own, and a folder of nobody's."""
    top = Path(mkdtemp(prefix="connhist-privileges-"))
    top.chmod(0o755)
    shutil.copy(CONNHISTD, top / "connhistd")
    (top / "home").mkdir(mode=0o700)
    os.chown(top / "home", NOBODY, NOBODY)
    yield top
    shutil.rmtree(top)


# Started as root

def test_root_keeps_what_is_documented_and_nothing_else(root, libcapng, record, db):
    recorder = record(HERE, "--interval", "200ms")
    recorder.wait_snapshots()
    assert len(threads(db)) > 1
    assert_sets(db, DOCUMENTED)
    assert "files of others" not in recorder.text()
    recorder.stop()


def test_root_records_into_the_folder_of_another_user(root, libcapng, record, place):
    db = place / "home" / "connhist.db"
    recorder = record(HERE, "--interval", "200ms", path=db)
    recorder.wait_snapshots()
    assert_sets(db, DOCUMENTED + OVER_FILES)
    assert "privileges over files of others are kept" in recorder.text()
    recorder.stop()
    assert query(db, "SELECT count(*) > 0 FROM snapshots") == [(1,)]


def test_root_records_into_the_file_of_another_user(root, libcapng, record, db):
    first = record(HERE, "--once")
    first.wait()
    os.chown(db, NOBODY, -1)
    recorder = record(HERE, "--interval", "200ms")
    recorder.wait_snapshots()
    assert_sets(db, DOCUMENTED + OVER_FILES)
    recorder.stop()


@pytest.mark.parametrize("mode, path", [(0o400, "connhist.db"), (0o500, "")])
def test_root_records_where_the_modes_deny_it(root, libcapng, record, tmp_path, mode, path):
    db = tmp_path / "folder" / "connhist.db"
    db.parent.mkdir()
    first = record(HERE, "--once", path=db)
    first.wait()
    (db.parent / path).chmod(mode)
    recorder = record(HERE, "--interval", "200ms", path=db)
    recorder.wait_snapshots()
    assert_sets(db, DOCUMENTED + OVER_FILES)
    recorder.stop()


def test_a_group_that_root_is_not_in_is_given_the_file(root, libcapng, record, db, tmp_path):
    group = next(group for group in grp.getgrall() if group.gr_gid not in (*os.getgroups(), os.getegid()))
    config = tmp_path / "connhist.yaml"
    config.write_text(f"interval: 200ms\n{OWN_ONLY}\ngroup: {group.gr_gid}\n")
    recorder = record(HERE, "--config", config)
    recorder.wait_snapshots()
    assert_sets(db, DOCUMENTED + OVER_FILES)
    assert db.stat().st_gid == group.gr_gid
    recorder.stop()


def test_a_reload_that_needs_what_was_given_up_is_refused(root, libcapng, record, db, place, tmp_path):
    config = tmp_path / "connhist.yaml"
    config.write_text(f"interval: 200ms\n{OWN_ONLY}\n")
    recorder = record(HERE, "--config", config)
    recorder.wait_snapshots()
    config.write_text(f"interval: 200ms\n{OWN_ONLY}\ngroup: 12345\n")
    recorder.process.send_signal(1)
    wait_until(lambda: "given up at the start: restart it; the configuration in force stays" in recorder.text(),
               "the refusal")
    recorder.wait_snapshots()
    config.write_text(f"interval: 100ms\n{OWN_ONLY}\n")
    recorder.process.send_signal(1)
    wait_until(lambda: "every 100ms" in recorder.text(), "what it takes")
    recorder.wait_snapshots()
    recorder.stop()


# Started as nobody

@pytest.mark.parametrize("given", [(), *((name,) for name in DOCUMENTED), DOCUMENTED],
                         ids=lambda names: "+".join(names) or "none")
def test_each_capability_gives_what_is_documented(root, netns, place, given):
    if mask(given) & ~own("CapEff"):
        pytest.skip("the tests themselves lack some of " + " ".join(given))
    holder = netns.python(SOCKETS)  # of another user than the recorder
    assert holder.stdout.readline() == "ready\n"
    db, ambient = place / "home" / "connhist.db", ",".join(["-all", *("+" + name[4:].lower() for name in given)])
    recorder = Recorder(netns, db, ("--interval", "200ms"), program=(
        "setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups", "--inh-caps", ambient,
        "--ambient-caps", ambient, place / "connhistd"))
    try:
        recorder.wait_snapshots()
        for thread in threads(db):
            assert int(thread["CapEff"], 16) == mask(given) and thread["NoNewPrivs"].strip() == "1"
        # it says what it lacks, and only that
        assert sorted(re.findall(r"<5>without (\w+): ", recorder.text())) == sorted(set(DOCUMENTED) - set(given))
        # sockets of all users are there, whatever it lacks
        told = netns.run("ss", "-Htan").stdout.splitlines()
        assert len(told) == 7
        assert count(db, "SELECT count(*) FROM sockets WHERE closed_ms IS NULL AND 47231 IN (local_port, remote_port)") == 7
        # the buffer is what was wished, half of it where there are other namespaces, or what everybody may have
        buffer, others, asked = query(db, "SELECT event_buffer, event_buffer_others, events_asked FROM recordings")[0]
        assert asked == 8 << 20
        wished = asked // 2 if others else asked
        everybodys = 2 * int(Path("/proc/sys/net/core/rmem_max").read_text())
        assert buffer == (wished if "CAP_NET_ADMIN" in given else min(wished, everybodys))
        recorder.stop()
    finally:
        recorder.process.kill()
        recorder.process.wait()
        holder.communicate("")


def test_more_than_is_needed_is_given_up_by_others_than_root_too(root, libcapng, place):
    names = ("CAP_CHOWN", "CAP_NET_ADMIN")
    ambient = ",".join("+" + name[4:].lower() for name in names)
    db = place / "home" / "connhist.db"
    recorder = Recorder(HERE, db, ("--interval", "200ms"), program=(
        "setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups", "--inh-caps", ambient,
        "--ambient-caps", ambient, place / "connhistd"))
    try:
        recorder.wait_snapshots()
        for thread in threads(db):
            assert int(thread["CapEff"], 16) == int(thread["CapPrm"], 16) == mask(["CAP_NET_ADMIN"])
            assert int(thread["CapInh"], 16) == int(thread["CapAmb"], 16) == 0
        recorder.stop()
    finally:
        recorder.process.kill()
        recorder.process.wait()
