# SPDX-License-Identifier: MIT
"""What tests from end to end share: the programs, files, and network namespaces of their own."""
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest

BUILD = Path(os.environ.get("CONNHIST_BUILD", Path(__file__).parents[2] / "build"))
SOURCE = Path(os.environ.get("CONNHIST_SOURCE", Path(__file__).parents[2]))
CONNHIST = BUILD / "src" / "connhist" / "connhist"
CONNHISTD = BUILD / "src" / "connhistd" / "connhistd"
# "asan", "tsan" or "": sanitized programs are some times slower and larger.
SANITIZER = os.environ.get("CONNHIST_SANITIZER", "")
os.environ["PAGER"] = "cat"  # terminals of tests are read by the test
PATIENCE = 60 if SANITIZER else 20  # s; for waiting until something is true, never for measuring


def pytest_collection_modifyitems(items):
    """Without the programs there is nothing to test, and that is no success."""
    missing = [str(path) for path in (CONNHIST, CONNHISTD) if not path.exists()]
    if items and missing and any("test_scripts" not in item.nodeid for item in items):
        pytest.exit("not built: " + ", ".join(missing), returncode=3)


def wait_until(true, what, patience=PATIENCE):
    """Looks until true() gives something, and gives that."""
    deadline = time.monotonic() + patience
    while True:
        found = true()
        if found:
            return found
        if time.monotonic() > deadline:
            pytest.fail(f"waited {patience} s in vain for {what}")
        time.sleep(0.02)


def strict_json(text):
    """Parses JSON as the standard has it: no NaN, no key twice."""
    def unique(pairs):
        keys = [key for key, _ in pairs]
        assert len(keys) == len(set(keys)), f"a key stands twice in {keys}"
        return dict(pairs)

    def refuse(word):
        raise AssertionError(f"{word} is not JSON")
    return json.loads(text, object_pairs_hook=unique, parse_constant=refuse)


class Namespace:
    """A network namespace. As a prefix, `netns.command("ss", "-tan")` runs a program in it."""

    def __init__(self, name):
        self.name = name  # None: the one that the tests run in

    def command(self, *args):
        prefix = ["ip", "netns", "exec", self.name] if self.name else []
        return [*prefix, *map(str, args)]

    def run(self, *args, check=True, **options):
        options = {"text": True, "capture_output": True, "timeout": 300, **options}
        return subprocess.run(self.command(*args), check=check, **options)

    def python(self, code, *args):
        """Starts Python code in the namespace: a program of the test's own, with its pipes."""
        return subprocess.Popen(self.command("/usr/bin/python3", "-u", "-c", code, *args), text=True,
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE)


HERE = Namespace(None)
_serial = iter(range(1_000_000))


@pytest.fixture(scope="session")
def can_netns():
    """Skips, with the reason, where no network namespace can be made."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    if not shutil.which("ip"):
        pytest.skip("no ip(8): apt-get install iproute2")


@pytest.fixture
def make_netns(can_netns):
    """Makes network namespaces with lo up; they are gone after the test."""
    made = []

    def make():
        name = f"connhist-test-{os.getpid()}-{next(_serial)}"
        done = subprocess.run(["ip", "netns", "add", name], text=True, capture_output=True, check=False)
        if done.returncode:
            pytest.skip(f"no network namespace can be made here: {done.stderr.strip()}")
        made.append(name)
        netns = Namespace(name)
        netns.run("ip", "link", "set", "lo", "up")
        return netns

    yield make
    for name in made:
        subprocess.run(["ip", "netns", "del", name], check=False)


@pytest.fixture
def netns(make_netns):
    return make_netns()


@pytest.fixture
def db(tmp_path):
    """The path of a file that does not exist yet."""
    return tmp_path / "connhist.db"


# Line of a configuration: tests are about the recorder's own namespace, unless they say so.
OWN_ONLY = "namespaces: {include: []}"


class Recorder:
    """A running connhistd. What it says is in `log`, a file."""

    def __init__(self, netns, db, args, env=None, program=(CONNHISTD,)):
        self.db = Path(db)
        self.log = self.db.with_suffix(".log")
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                netns.command(*program, "--db", db, *args), stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, env={**os.environ, **(env or {})})

    def text(self):
        return self.log.read_text(errors="replace")

    def stop(self, by=signal.SIGTERM, status=0):
        """Ends it and holds its exit status against `status` (None: any)."""
        if self.process.poll() is None:
            self.process.send_signal(by)
        self.wait(status)

    def wait(self, status=0):
        """Waits until it ends by itself."""
        try:
            got = self.process.wait(PATIENCE * 3)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            pytest.fail("connhistd does not end; it said:\n" + self.text())
        if status is not None:
            assert got == status, f"connhistd ended with {got}; it said:\n{self.text()}"

    def kill(self):
        self.stop(signal.SIGKILL, None)

    def snapshots(self, where="status = 0"):
        """How many snapshots are in the file."""
        return count(self.db, f"SELECT count(*) FROM snapshots WHERE {where}")

    def wait_snapshots(self, more=1):
        """Waits for that many more complete snapshots that began after now."""
        wanted = self.snapshots() + more + 1

        def there():
            assert self.process.poll() is None, "connhistd ended; it said:\n" + self.text()
            return self.snapshots() >= wanted
        wait_until(there, f"{more} more snapshots")


@pytest.fixture
def record(db):
    """Starts connhistd: record(netns, "--interval", "1s"). It is stopped after the test. Without a configuration of the
    test's it records its own namespace alone."""
    started = []

    def start(netns=HERE, *args, path=None, env=None):
        if "--config" not in args:
            own_only = Path(path or db).with_suffix(".own.yaml")
            own_only.write_text(OWN_ONLY + "\n")
            args = ("--config", own_only, *args)
        recorder = Recorder(netns, path or db, args, env)
        started.append(recorder)
        return recorder

    yield start
    for recorder in started:
        if recorder.process.poll() is None:
            recorder.process.terminate()
            try:
                recorder.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                recorder.process.kill()
                recorder.process.wait()


def count(path, sql, *values):
    """One number from a file, read by SQLite from outside; 0 while there is no file or table yet."""
    try:
        return query(path, sql, *values)[0][0]
    except sqlite3.OperationalError:
        return 0


def query(path, sql, *values):
    """Rows from a file, read by SQLite from outside, read-only."""
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)
    try:
        return database.execute(sql, values).fetchall()
    finally:
        database.close()


def connhist(*args, status=0, netns=HERE, **options):
    """Runs connhist and gives what subprocess.run() gives; its exit status must be `status`."""
    done = netns.run(CONNHIST, *args, check=False, **options)
    assert done.returncode == status, (
        f"connhist {' '.join(map(str, args))} ended with {done.returncode}: {done.stderr or done.stdout}")
    return done


@pytest.fixture
def ask(db):
    """ask("report", "--port", 80) runs connhist on the test's file and gives its JSON document."""
    def run(command, *args, path=None, netns=HERE, status=0):
        done = connhist("--db", path or db, command, "--format", "json", *args, status=status, netns=netns)
        document = strict_json(done.stdout)
        assert document["schema"] == f"connhist/{command}/1"
        return document
    return run
