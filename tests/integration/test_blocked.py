# SPDX-License-Identifier: MIT
"""Storage that is locked, full or frozen while connections close: the events are read all the same and wait in memory;
what does not fit there is told as a loss. Each is held for as long as it takes the store to give up once (its busy
timeout is 500 ms) and to try again twice (once a second): that is what longer ones come to."""
import contextlib
import os
import signal
import sqlite3
import subprocess
import time

import pytest

from conftest import OWN_ONLY, SANITIZER, count, query
from record_files import hold_exact, hold_whole
from test_events import both, closed_by, end_traffic, hold_no_lies, start_traffic, wait_past
from test_storage import fill, lines, small_disk, wait_line

__all__ = ["both", "small_disk"]  # fixtures

NUMBER = 600 if SANITIZER else 3000  # connections
PER_SECOND = 200 if SANITIZER else 1500
RETRIES = 2.5  # s
KIB = 1024
LOSSES = "SELECT name, from_ms, until_ms, count FROM losses JOIN loss_kinds USING (kind) WHERE kind IN (3, 4, 6)"


@contextlib.contextmanager
def locked(db):
    """Somebody has the file for himself."""
    other = sqlite3.connect(db, isolation_level=None, timeout=10)
    other.execute("BEGIN EXCLUSIVE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()


@pytest.fixture
def loop_disk(tmp_path, can_netns):
    """A file system on a disk of its own, that can be frozen."""
    image, folder = tmp_path / "disk.img", tmp_path / "frozen"
    image.write_bytes(b"")
    os.truncate(image, 32 << 20)
    folder.mkdir()
    for command in ["mkfs.ext4", "-q", image], ["mount", "-o", "loop", image, folder]:
        try:
            done = subprocess.run(command, check=False, text=True, capture_output=True)
        except FileNotFoundError as error:
            pytest.skip(f"no {error.filename} here: apt-get install e2fsprogs")
        if done.returncode:
            pytest.skip(f"no file system of its own can be had here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["fsfreeze", "--unfreeze", folder], check=False, capture_output=True)
    subprocess.run(["umount", "-l", folder], check=True)


@contextlib.contextmanager
def frozen(folder):
    done = subprocess.run(["fsfreeze", "--freeze", folder], check=False, text=True, capture_output=True)
    if done.returncode:
        pytest.skip(f"no file system can be frozen here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["fsfreeze", "--unfreeze", folder], check=True)


def hold_all(ask, path, netns, truth):
    assert hold_no_lies(ask, path, netns, truth) == set(truth)
    assert query(path, LOSSES) == []


def test_a_file_that_is_locked_for_long_loses_no_event(both, db, record, ask):
    server, _ = both
    recorder = record(server, "--interval", "500ms")
    recorder.wait_snapshots()
    with locked(db):
        truth, _ = end_traffic(start_traffic(both, NUMBER, PER_SECOND))
        wait_line(recorder, "database is locked")
        time.sleep(RETRIES)
        assert len(lines(recorder, "snapshots wait in memory")) == 1, recorder.text()
    wait_past(recorder)
    hold_all(ask, db, server, truth)


def test_a_full_disk_loses_no_event(both, small_disk, record, ask):
    server, _ = both
    db = small_disk / "connhist.db"
    recorder = record(server, "--interval", "500ms", path=db)
    recorder.wait_snapshots()
    ballast = fill(small_disk)
    truth, _ = end_traffic(start_traffic(both, NUMBER, PER_SECOND))
    wait_line(recorder, "database or disk is full")
    time.sleep(RETRIES)
    ballast.unlink()
    wait_line(recorder, "can be written again")
    wait_past(recorder)
    hold_all(ask, db, server, truth)


def test_a_frozen_file_system_loses_no_event(both, tmp_path, loop_disk, record, ask):
    server, _ = both
    db = loop_disk / "connhist.db"
    (loop_disk / "connhist.log").symlink_to(tmp_path / "log")  # what it says must not wait for that disk
    recorder = record(server, "--interval", "500ms", path=db)
    recorder.wait_snapshots()
    with frozen(loop_disk):
        truth, _ = end_traffic(start_traffic(both, NUMBER, PER_SECOND))
        time.sleep(RETRIES)
        assert recorder.process.poll() is None
    wait_past(recorder)
    hold_all(ask, db, server, truth)
    recorder.process.send_signal(signal.SIGTERM)
    recorder.wait()


def test_what_does_not_fit_into_memory_is_told_as_lost(both, tmp_path, db, record, ask):
    server, _ = both
    config = tmp_path / "connhist.yaml"
    config.write_text(f"limits:\n  queue: 1MiB\n{OWN_ONLY}\n")
    recorder = record(server, "--config", config, "--interval", "500ms")
    recorder.wait_snapshots()
    before, _ = end_traffic(start_traffic(both, 300, 300))
    wait_past(recorder)
    begin_ms = query(db, "SELECT max(start_ms) FROM snapshots")[0][0]
    with locked(db):
        during, _ = end_traffic(start_traffic(both, 7000, PER_SECOND, 40000))
        wait_line(recorder, "snapshots are being lost from now on")
        wait_line(recorder, "database is locked")
    wait_line(recorder, "snapshots are stored again")
    wait_past(recorder)
    after, _ = end_traffic(start_traffic(both, 300, 300, 50000))
    wait_past(recorder)
    found = hold_no_lies(ask, db, server, {**before, **during, **after})
    assert set(before) | set(after) | closed_by(during, "server") <= found, "what was before and after, and TIME_WAIT"
    assert found < {*before, *during, *after}, "not all had room"
    losses = query(db, LOSSES)
    assert losses and {name for name, *_ in losses} <= {"write failed", "queue full"}
    told = sum(int(line.split(";")[1].split()[0]) for line in lines(recorder, "snapshots are stored again"))
    assert sum(number for *_, number in losses) == told
    for _, from_ms, until_ms, number in losses:
        assert begin_ms < from_ms <= until_ms
        written = count(db, "SELECT count(*) FROM snapshots WHERE start_ms BETWEEN ? AND ?", from_ms, until_ms)
        assert written == 0 and number > 0, "in the span that is told as lost nothing is"
        next_one = query(db, "SELECT anchor FROM snapshots WHERE start_ms > ? ORDER BY start_ms LIMIT 1", until_ms)
        assert next_one == [(1,)], "the next one tells all"
    peak = query(db, "SELECT queue_peak_bytes FROM recordings")[0][0]
    assert 512 * KIB < peak <= 1024 * KIB
    answer = ask("list", netns=server)
    assert answer["coverage"]["missed"] >= told
    hold_whole(db)
    hold_exact(db)
