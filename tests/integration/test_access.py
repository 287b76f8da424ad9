# SPDX-License-Identifier: MIT
"""Who may read the file may always read it, whatever became of the recorder, and reading changes nothing."""
import grp
import json
import os
import shutil
import stat
import subprocess
from pathlib import Path
from tempfile import mkdtemp

import pytest

from conftest import CONNHIST, CONNHISTD, OWN_ONLY

NOBODY = 65534
READ = """
import sqlite3, sys
database = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True)
print(database.execute("SELECT count(*) FROM snapshots").fetchone()[0])
"""


@pytest.fixture
def group(can_netns):
    """A group that exists everywhere and that root is not in."""
    for name in ("games", "adm", "daemon", "users"):
        try:
            return grp.getgrnam(name)
        except KeyError:
            continue
    return pytest.skip("none of the usual groups is here")


@pytest.fixture
def place(group):
    """A folder for the record that others can come to, unlike pytest's own, and the programs where they can run them."""
    top = Path(mkdtemp(prefix="connhist-access-"))
    top.chmod(0o755)
    for program in (CONNHIST, CONNHISTD):
        shutil.copy(program, top / program.name)
        (top / program.name).chmod(0o755)
    (top / "connhist.yaml").write_text(f"group: {group.gr_name}\ninterval: 100ms\n{OWN_ONLY}\n")
    yield top
    shutil.rmtree(top)


@pytest.fixture
def start(place, record, make_netns):
    """Starts a recorder whose folder is made by itself, under a umask that lets nobody read."""
    netns = make_netns()

    def run(*args):
        os.umask(0o077)
        try:
            recorder = record(netns, "--config", place / "connhist.yaml", *args, path=place / "var" / "connhist.db")
        finally:
            os.umask(0o022)
        return recorder
    (place / "var").mkdir()  # for the log; the recorder's own folder is tested apart
    (place / "var").chmod(0o2750)
    yield run


def as_user(gid, *args):
    return subprocess.run(["setpriv", "--reuid", str(NOBODY), "--regid", str(gid), "--clear-groups", *map(str, args)],
                          text=True, capture_output=True, timeout=120, check=False, cwd="/")


def listing(folder):
    """All that a reader could have changed, but for access times."""
    found = {}
    for path in [folder, *sorted(folder.iterdir())]:
        if path.suffix != ".log":
            data = path.read_bytes() if path.is_file() and not path.name.endswith("-shm") else b""
            status = path.stat()
            found[path.name] = (data, status.st_mode, status.st_uid, status.st_gid, status.st_ino, len(data))
    return found


def read_all(place, gid, still=True):
    """The group's member reads with SQLite and with connhist. If the recorder is still, nothing changes."""
    db = place / "var" / "connhist.db"
    before = listing(db.parent)
    plain = as_user(gid, "/usr/bin/python3", "-c", READ, db)
    assert plain.returncode == 0 and int(plain.stdout) > 0, plain.stderr
    asked = as_user(gid, place / "connhist", "--db", db, "status", "--format", "json")
    assert asked.returncode == 0, asked.stderr
    assert json.loads(asked.stdout)["schema"] == "connhist/status/1"
    after = listing(db.parent)
    assert after.keys() == before.keys(), "readers leave nothing behind"
    if still:
        assert after == before


def own_group(place, group):
    for path in (place / "var").glob("connhist.db*"):
        if path.suffix != ".log":
            status = path.stat()
            assert (status.st_gid, stat.S_IMODE(status.st_mode)) == (group.gr_gid, 0o640), path
    os.chown(place / "var", -1, group.gr_gid)  # the folder was there: it is its owner's business


def test_a_member_of_the_group_reads_always_and_changes_nothing(place, group, start):
    recorder = start()
    recorder.wait_snapshots(2)
    own_group(place, group)
    read_all(place, group.gr_gid, still=False)
    recorder.kill()
    read_all(place, group.gr_gid)
    recorder = start()
    recorder.wait_snapshots(1)
    read_all(place, group.gr_gid, still=False)
    recorder.stop()
    own_group(place, group)
    read_all(place, group.gr_gid)


def test_modes_of_an_earlier_run_are_mended(place, group, start):
    recorder = start("--count", "1")
    recorder.wait()
    for path in (place / "var").glob("connhist.db*"):
        os.chown(path, -1, 0)
        path.chmod(0o600)
    recorder = start()
    recorder.wait_snapshots(1)
    own_group(place, group)
    read_all(place, group.gr_gid, still=False)
    recorder.stop()
    read_all(place, group.gr_gid)


def test_nobody_else_reads(place, group, start):
    recorder = start("--count", "1")
    recorder.wait()
    own_group(place, group)
    db = place / "var" / "connhist.db"
    (place / "var").chmod(0o2755)  # even where the folder would let them
    refused = as_user(NOBODY, place / "connhist", "--db", db, "status")
    assert refused.returncode == 3 and refused.stdout == "" and refused.stderr.count("\n") == 1
    assert f"members of group {group.gr_name} may read it" in refused.stderr
    assert as_user(NOBODY, "/usr/bin/python3", "-c", READ, db).returncode != 0
    (place / "var").chmod(0o2750)
    refused = as_user(NOBODY, place / "connhist", "--db", db, "status")
    assert refused.returncode == 3 and refused.stdout == "" and refused.stderr.count("\n") == 1


def test_a_member_of_the_group_can_not_write(place, group, start):
    recorder = start("--count", "1")
    recorder.wait()
    own_group(place, group)
    db = place / "var" / "connhist.db"
    before = listing(db.parent)
    code = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('CREATE TABLE t (a)')"
    assert as_user(group.gr_gid, "/usr/bin/python3", "-c", code, db).returncode != 0
    refused = as_user(group.gr_gid, place / "connhistd", "--db", db, "--once")
    assert refused.returncode == 3 and "must be able to write" in refused.stderr
    assert listing(db.parent) == before


def test_the_folder_that_the_recorder_makes_lets_the_group_in(place, group):
    db = place / "new" / "folder" / "connhist.db"
    os.umask(0o077)
    try:
        subprocess.run([CONNHISTD, "--config", place / "connhist.yaml", "--db", db, "--once"], check=True,
                       capture_output=True, timeout=120)
    finally:
        os.umask(0o022)
    status = db.parent.stat()
    assert (status.st_gid, stat.S_IMODE(status.st_mode)) == (group.gr_gid, 0o2750)
    assert as_user(group.gr_gid, "ls", db.parent).returncode == 0
    plain = as_user(group.gr_gid, "/usr/bin/python3", "-c", READ, db)
    assert plain.returncode == 0, plain.stderr
