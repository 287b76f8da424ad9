# SPDX-License-Identifier: MIT
"""Somebody reads the record in one transaction for long while sockets come and go: the recorder goes on, the -wal keeps its
bound, and what was read stays the same. The minute of it is in test_retention.py, with a made-up clock."""
import os
import sqlite3
import subprocess
import sys
import time

import pytest

from conftest import query, wait_until

MIB = 1 << 20
HOLD_S = 14
LOSS_TICKS, LOSS_QUEUE, LOSS_WRITE = 1, 3, 4
LOAD = """
import socket, time
server = socket.create_server(("127.0.0.1", 7777), backlog=256)
print("ready", flush=True)
while True:
    for _ in range(30):
        client = socket.create_connection(("127.0.0.1", 7777))
        accepted, _ = server.accept()
        client.close()
        accepted.close()
    time.sleep(0.1)
"""
ALL = ("SELECT count(*), max(start_ms), sum(sockets) FROM snapshots",
       "SELECT count(*), total(key), sum(duration_ms) FROM closed",
       "SELECT count(*), sum(life), sum(since_ms) FROM open",
       "SELECT count(*), sum(at_ms), sum(count) FROM tallies",
       "SELECT count(*), sum(opened) FROM rate_rollups")


@pytest.fixture
def load(netns):
    with subprocess.Popen(netns.command(sys.executable, "-c", LOAD), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        yield
        process.kill()


@pytest.mark.parametrize("interval", ["1s", "100ms"])
def test_a_long_reader_delays_no_tick_and_reads_one_instant(netns, load, record, db, tmp_path, interval):
    config = tmp_path / "small.yaml"
    config.write_text("namespaces: {include: []}\nretention: {max_size: 16MiB}\n")  # 4 MiB of it are for the -wal
    recorder = record(netns, "--config", config, "--interval", interval)
    recorder.wait_snapshots(3)
    wal = f"{db}-wal"
    reader = sqlite3.connect(f"file:{db}?mode=ro", uri=True, isolation_level=None)
    reader.execute("BEGIN")
    before = [reader.execute(sql).fetchall() for sql in ALL]
    from_ms = before[0][0][1]
    sizes = []
    end = time.monotonic() + HOLD_S
    while time.monotonic() < end:
        sizes.append(os.stat(wal).st_size)
        time.sleep(0.05)
    assert [reader.execute(sql).fetchall() for sql in ALL] == before
    reader.execute("COMMIT")
    reader.close()
    assert max(sizes) <= 4 * MIB
    assert sizes[-1] > sizes[0], "the reader was in no one's way"
    # all that was counted meanwhile comes into the file; nothing was lost for want of a place
    recorder.wait_snapshots(5)
    # at once, since what waited in memory may still be on its way
    until_ms, taken, missed = query(
        db, "SELECT max(start_ms), count(*), (SELECT coalesce(sum(count), 0) FROM losses WHERE kind = ?1 AND until_ms > ?2)"
            " FROM snapshots WHERE start_ms > ?2", LOSS_TICKS, from_ms)[0]
    interval_ms = 1000 if interval == "1s" else 100
    assert abs(taken + missed - (until_ms - from_ms) / interval_ms) <= 3
    # a machine that stands still for a while is not the reader's doing
    assert missed * interval_ms <= 3000
    assert query(db, "SELECT * FROM losses WHERE kind IN (?, ?)", LOSS_QUEUE, LOSS_WRITE) == []
    # with the reader gone the -wal is begun anew: it grows no more, and what is in it comes into the database
    wait_until(lambda: query(db, "SELECT count(*) FROM snapshots WHERE unkept > 0 AND start_ms > ("
                                 "SELECT max(start_ms) FROM snapshots) - ?", 3 * interval_ms) == [(0,)], "detail again")
    size = os.stat(wal).st_size
    recorder.wait_snapshots(10)
    assert os.stat(wal).st_size <= max(size, 4 * MIB)
    recorder.stop()
    assert not os.path.exists(wal) or os.stat(wal).st_size == 0
    assert query(db, "PRAGMA integrity_check") == [("ok",)]
    assert query(db, "SELECT count(*) FROM closed")[0][0] > before[1][0][0]
