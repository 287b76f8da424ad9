# SPDX-License-Identifier: MIT
"""A disk that is full, a file that is locked, gone, damaged or not ours: the recorder says so and goes on, or refuses
to begin with one clear line."""
import os
import re
import shutil
import sqlite3
import subprocess
import time

import pytest

from conftest import CONNHISTD, OWN_ONLY, connhist, count, query, wait_until
from record_files import Traffic, hold_exact, hold_lasting, hold_whole, ss_table, table

NOBODY = 65534
FAST = ("--interval", "100ms")
DISK_LOSSES = ("SELECT k.name, l.count, l.text FROM losses AS l JOIN loss_kinds AS k USING (kind)"
               " WHERE k.name IN ('queue full', 'write failed', 'recorder died') ORDER BY l.id")


@pytest.fixture
def traffic(netns):
    made = Traffic(netns)
    yield made
    made.end()


@pytest.fixture
def small_disk(tmp_path, can_netns):
    """A file system with room for 12 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m,mode=755", "connhist-test", folder], check=False,
                          text=True, capture_output=True)
    if done.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def connect_rw(db):
    """Somebody who writes to the file, though only the recorder should."""
    return sqlite3.connect(db, isolation_level=None, timeout=10)


def fill(folder):
    """Takes all room that is left; removing what it gives frees it."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(65536))
        except OSError:
            pass
        try:
            while True:
                file.write(bytes(512))
        except OSError:
            pass
    return ballast


def lines(recorder, words):
    return [line for line in recorder.text().splitlines() if words in line]


def wait_line(recorder, words):
    wait_until(lambda: lines(recorder, words), f"the recorder to say '{words}'")
    assert recorder.process.poll() is None, recorder.text()


def hold_right(recorder, netns, traffic):
    """It still records, what it has is the truth, and it ends in good order."""
    traffic.rest()
    recorder.wait_snapshots(2)
    wait_until(lambda: table(recorder.db) == ss_table(netns), "the table to be that of ss")
    recorder.stop()
    hold_whole(recorder.db)
    hold_exact(recorder.db)
    hold_lasting(recorder.db, traffic.port)


def hold_all_ticks(path):
    """Each tick from the first to the last snapshot was taken, or is counted as missed: none was lost on its way."""
    (first, last, done), = query(path, "SELECT min(start_ms), max(start_ms), count(*) FROM snapshots")
    missed = count(path, "SELECT coalesce(sum(count), 0) FROM losses JOIN loss_kinds USING (kind)"
                         " WHERE name = 'ticks missed'")
    assert abs((last - first) / 100 + 1 - done - missed) <= 1


def test_a_full_disk_costs_nothing_when_memory_suffices(netns, record, traffic, small_disk):
    traffic.churn(30, 0.05)
    recorder = record(netns, *FAST, path=small_disk / "connhist.db")
    recorder.wait_snapshots(3)
    ballast = fill(small_disk)
    wait_line(recorder, "database or disk is full")
    held = recorder.snapshots()
    time.sleep(2.5)
    assert recorder.process.poll() is None
    assert recorder.snapshots() == held
    assert len(lines(recorder, "snapshots wait in memory")) == 1, recorder.text()
    ballast.unlink()
    wait_line(recorder, "can be written again")
    hold_right(recorder, netns, traffic)
    assert query(recorder.db, DISK_LOSSES) == []
    hold_all_ticks(recorder.db)
    assert len(lines(recorder, "<3>")) == 1, recorder.text()


def test_what_a_full_disk_costs_is_recorded(netns, record, traffic, small_disk, tmp_path):
    config = tmp_path / "connhist.yaml"
    config.write_text(f"limits:\n  queue: 1MiB\n{OWN_ONLY}\n")
    traffic.churn(1500, 0)
    recorder = record(netns, *FAST, "--config", config, path=small_disk / "connhist.db")
    recorder.wait_snapshots(1)
    ballast = fill(small_disk)
    wait_line(recorder, "snapshots are being lost from now on")
    time.sleep(1.5)
    traffic.churn(100, 0.05)
    ballast.unlink()
    wait_line(recorder, "snapshots are stored again")
    hold_right(recorder, netns, traffic)
    losses = query(recorder.db, DISK_LOSSES)
    # by which of the two a snapshot is lost depends on what the writer was at when the queue was full
    assert losses and {kind for kind, _, _ in losses} <= {"write failed", "queue full"}
    lost = sum(number for _, number, _ in losses)
    told = sum(int(line.split(";")[1].split()[0]) for line in lines(recorder, "snapshots are stored again"))
    assert lost == told > 0
    assert len(lines(recorder, "snapshots wait in memory")) == 1, recorder.text()


def test_a_locked_file_costs_nothing(netns, db, record, traffic):
    traffic.churn(30, 0.05)
    recorder = record(netns, *FAST)
    recorder.wait_snapshots(3)
    other = sqlite3.connect(db, isolation_level=None, timeout=10)
    other.execute("BEGIN IMMEDIATE")
    wait_line(recorder, "database is locked")
    time.sleep(3)
    assert len(lines(recorder, "snapshots wait in memory")) == 1, recorder.text()
    other.execute("ROLLBACK")
    other.close()
    wait_line(recorder, "can be written again")
    hold_right(recorder, netns, traffic)
    assert query(db, DISK_LOSSES) == []
    hold_all_ticks(db)


def test_a_reader_that_takes_its_time_stops_nothing(netns, db, record, traffic):
    traffic.churn(30, 0.05)
    recorder = record(netns, *FAST)
    recorder.wait_snapshots(2)
    reader = sqlite3.connect(f"file:{db}?mode=ro", uri=True, isolation_level=None)
    reader.execute("BEGIN")
    seen = reader.execute("SELECT count(*) FROM snapshots").fetchone()
    recorder.wait_snapshots(20)
    assert reader.execute("SELECT count(*) FROM snapshots").fetchone() == seen
    reader.close()
    hold_right(recorder, netns, traffic)
    assert query(db, DISK_LOSSES) == [] and not lines(recorder, "<3>")


def remove(db):
    db.unlink()


def remove_all(db):
    for path in db.parent.glob(db.name + "*"):
        path.unlink()


def rename(db):
    db.rename(db.with_name("kept.db"))


def replace_by_nothing(db):
    empty = db.with_name("empty")
    empty.touch()
    empty.rename(db)


def remove_folder(db):
    shutil.rmtree(db.parent)


@pytest.mark.parametrize("way", [remove, remove_all, rename, replace_by_nothing, remove_folder])
def test_a_file_that_is_gone_is_begun_again(netns, tmp_path, record, traffic, way):
    traffic.churn(30, 0.05)
    folder = tmp_path / "record"
    folder.mkdir()
    db = folder / "connhist.db"
    recorder = record(netns, *FAST, path=db)
    recorder.log.rename(tmp_path / "log")
    recorder.log = tmp_path / "log"
    recorder.wait_snapshots(3)
    first = query(db, "SELECT min(start_ms) FROM snapshots")
    way(db)
    wait_line(recorder, "begun again")
    wait_until(lambda: count(db, "SELECT count(*) FROM snapshots"), "the new file")
    assert query(db, "SELECT min(start_ms) FROM snapshots") > first
    hold_right(recorder, netns, traffic)
    losses = query(db, DISK_LOSSES)
    assert [(kind, text) for kind, _, text in losses] == [("write failed", "the file was removed or replaced")]
    assert len(lines(recorder, "begun again")) == 1 and not lines(recorder, "<3>"), recorder.text()
    assert query(db, "SELECT count(*) FROM losses WHERE from_ms > until_ms") == [(0,)]
    recorder = record(netns, "--once", path=db)  # and the file goes on as any other
    recorder.wait()
    hold_lasting(db, traffic.port)


def test_a_backup_put_back_goes_on(netns, db, record, traffic):
    traffic.churn(30, 0.05)
    recorder = record(netns, *FAST)
    recorder.wait_snapshots(3)
    backup = db.with_name("backup.db")
    source, copy = sqlite3.connect(f"file:{db}?mode=ro", uri=True), sqlite3.connect(backup)
    source.backup(copy)
    copy.close()
    source.close()
    recorder.wait_snapshots(5)
    backup.rename(db)
    wait_line(recorder, "begun again")
    hold_right(recorder, netns, traffic)
    assert [kind for kind, _, _ in query(db, DISK_LOSSES)] == ["recorder died", "write failed"]


def test_a_removed_log_costs_nothing(netns, db, record, traffic):
    traffic.churn(30, 0.05)
    recorder = record(netns, *FAST)
    recorder.wait_snapshots(3)
    db.with_name("connhist.db-wal").unlink()
    recorder.wait_snapshots(3)
    hold_right(recorder, netns, traffic)
    assert query(db, DISK_LOSSES) == []
    hold_all_ticks(db)


def cut(db):
    os.truncate(db, db.stat().st_size // 2)


def overwrite_head(db):
    with db.open("r+b") as file:
        file.write(os.urandom(65536))


def overwrite_middle(db):
    """What the recorder has in its cache is read again when it opens the file again."""
    size = db.stat().st_size
    with db.open("r+b") as file:
        file.seek(8192)
        file.write(os.urandom(size - 8192))
    db.with_name(db.name + "-wal").unlink()


def damaged_copies(db):
    return [path for path in db.parent.glob(db.name + ".damaged-*") if re.fullmatch(r".*-\d{8}T\d{6}", path.name)]


@pytest.mark.parametrize("way", [cut, overwrite_head, overwrite_middle])
def test_a_damaged_file_is_kept_aside_and_a_new_one_begun(netns, db, record, traffic, way):
    traffic.churn(300, 0.01)
    record(netns, *FAST, "--count", "10").wait()  # in the end all is brought from the log into the file
    recorder = record(netns, *FAST)
    recorder.wait_snapshots(2)
    way(db)
    wait_line(recorder, "a new file is begun")
    assert len(damaged_copies(db)) == 1
    kept = damaged_copies(db)[0]
    assert kept.stat().st_size > 50_000, "it is there to be saved from"
    if way is not overwrite_middle:
        assert kept.with_name(kept.name + "-wal").stat().st_size > 0
    wait_until(lambda: count(db, "SELECT count(*) FROM snapshots"), "the new file")
    hold_right(recorder, netns, traffic)
    losses = query(db, DISK_LOSSES)
    assert [(kind, text) for kind, _, text in losses] == [("write failed", "the file was damaged and moved aside")]
    assert losses[0][1] > 0
    said = lines(recorder, "<3>")
    assert len(said) == 2 and "damaged" in said[0] and str(kept) in said[1], recorder.text()
    assert len(damaged_copies(db)) == 1


def test_a_damaged_head_is_mended_from_the_log(netns, db, record, traffic):
    traffic.churn(30, 0.02)
    recorder = record(netns, *FAST)
    recorder.wait_snapshots(3)
    with db.open("r+b") as file:
        file.write(os.urandom(100))
    wait_line(recorder, "it no longer begins as a database")
    wait_line(recorder, "can be written again")
    hold_right(recorder, netns, traffic)
    assert not damaged_copies(db) and query(db, DISK_LOSSES) == []
    hold_all_ticks(db)


def test_a_log_that_was_cut_off_costs_what_was_in_it_alone(netns, db, record, traffic):
    traffic.churn(30, 0.02)
    recorder = record(netns, *FAST)
    recorder.wait_snapshots(3)
    kept = query(db, "SELECT max(start_ms) FROM snapshots")[0][0]  # what comes after it may be in the log alone
    other = connect_rw(db)
    assert other.execute("PRAGMA wal_checkpoint").fetchone()[0] == 0
    other.close()
    recorder.wait_snapshots(3)
    os.truncate(db.with_name("connhist.db-wal"), 5000)
    wait_line(recorder, "its -wal was cut off")
    wait_line(recorder, "can be written again")
    hold_right(recorder, netns, traffic)
    assert not damaged_copies(db)
    assert count(db, "SELECT count(*) FROM snapshots WHERE start_ms = ?", kept)
    assert {kind for kind, _, _ in query(db, DISK_LOSSES)} <= {"write failed"}


def test_a_vacuum_by_somebody_is_no_damage(netns, db, record, traffic):
    traffic.churn(300, 0.01)
    recorder = record(netns, *FAST)
    recorder.wait_snapshots(3)
    other = connect_rw(db)
    other.execute("CREATE TABLE large AS SELECT zeroblob(4000000)")
    recorder.wait_snapshots(3)
    other.execute("PRAGMA wal_checkpoint")
    other.execute("DROP TABLE large")
    recorder.wait_snapshots(1)
    before = db.stat().st_size
    other.execute("VACUUM")
    wait_until(lambda: other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0, "a checkpoint")
    assert db.stat().st_size < before
    other.close()
    recorder.wait_snapshots(3)
    hold_right(recorder, netns, traffic)
    assert query(db, DISK_LOSSES) == [] and not damaged_copies(db)
    hold_all_ticks(db)


# -- what is refused when it begins


def not_ours(db):
    database = sqlite3.connect(db)
    database.execute("CREATE TABLE letters (text)")
    database.close()


def other_id(db):
    database = sqlite3.connect(db)
    database.execute("PRAGMA application_id = 1234")
    database.close()


def no_database(db):
    db.write_text("these are the minutes of our meeting\n" * 100)


def newer(db):
    whole(db)
    database = sqlite3.connect(db)
    database.execute("PRAGMA user_version = 99")
    database.close()


def unfinished(db):
    whole(db)
    database = sqlite3.connect(db)
    database.executescript("DROP VIEW counter_minutes; ALTER TABLE counters DROP COLUMN over_gap")
    database.close()


def cut_off(db):
    whole(db)
    os.truncate(db, db.stat().st_size // 2)


def cut_short(db):
    whole(db)
    os.truncate(db, 50)


def folder(db):
    db.mkdir()


def whole(db):
    subprocess.run([CONNHISTD, "--db", db, "--once"], check=True, capture_output=True, timeout=120)


REFUSED = [
    (not_ours, "is a database of another program"),
    (other_id, "is a database of another program"),
    (no_database, "is not an SQLite database"),
    (newer, "was written by a newer connhist"),
    (unfinished, "lacks counters.over_gap"),
    (cut_off, "is damaged"),
    (cut_short, "is damaged"),
    (folder, "is a folder, not a file"),
]


def contents(folder):
    """All files but those that SQLite makes for whoever may write, to read."""
    files = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    files.pop("connhist.db-shm", None)
    if files.get("connhist.db-wal") == b"":
        files.pop("connhist.db-wal")
    return files


def refused(done, *words):
    assert done.returncode == 3, done.stderr
    assert done.stdout == "" and done.stderr.count("\n") == 1, done.stderr
    for word in words:
        assert str(word) in done.stderr


def run_recorder(db, **options):
    return subprocess.run([CONNHISTD, "--db", db, "--once"], text=True, capture_output=True, timeout=120, check=False,
                          **options)


@pytest.mark.parametrize("make, words", REFUSED)
def test_a_file_that_can_not_be_recorded_into_is_refused_and_left_alone(db, make, words):
    make(db)
    before = contents(db.parent)
    refused(run_recorder(db), db, words)
    assert contents(db.parent) == before


def test_a_folder_that_can_not_be_written_is_refused(tmp_path, db):
    tmp_path.chmod(0o755)
    for path in list(tmp_path.parents)[:-2]:
        if path.stat().st_uid == os.geteuid():
            path.chmod(path.stat().st_mode | 0o055)
    done = subprocess.run(["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups",
                           CONNHISTD, "--db", db, "--once"], text=True, capture_output=True, timeout=120, check=False)
    refused(done, db, "user 65534 must be able to write")
    assert list(tmp_path.iterdir()) == []


def test_a_second_recorder_is_refused_by_name(netns, db, record):
    recorder = record(netns, *FAST)
    recorder.wait_snapshots(1)
    pid = int(db.with_name("connhist.db-recorder").read_text())
    refused(run_recorder(db), db, f"another recorder, process {pid}")
    other_name = db.with_name("other name")
    other_name.symlink_to(db)
    refused(run_recorder(other_name), f"another recorder, process {pid}")
    recorder.wait_snapshots(1)
    recorder.kill()
    whole(db)


@pytest.mark.parametrize("make, words", [*REFUSED, (lambda db: None, "there is no file"),
                                         (lambda db: db.touch(), "is empty")])
@pytest.mark.parametrize("command", [["status"], ["report"], ["netstat", "--at", "now"], ["list"],
                                     ["sql", "SELECT 1"]], ids=lambda words: words[0])
def test_connhist_says_what_it_can_not_read(db, make, words, command):
    make(db)
    before = contents(db.parent)
    refused(connhist("--db", db, *command, status=3), "connhist: ", db, words)
    assert contents(db.parent) == before
