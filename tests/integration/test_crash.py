# SPDX-License-Identifier: MIT
"""Killed at any moment, the recorder loses nothing that was committed, and the next run goes on."""
import os
import random
import sqlite3
import time

import pytest

from conftest import query, wait_until
from record_files import Traffic, hold_exact, hold_lasting, hold_whole, ss_table, table

KILLS = 50
LASTING = {  # what is never changed once it is written
    "snapshots": "SELECT * FROM snapshots",
    # the end of a TIME_WAIT is written ahead and may be amended; all else of a life stays
    "closed": "SELECT service, local, remote, local_port, remote_port,"
              " (key >> 16 & (1 << 42) - 1) - late_ms - duration_ms FROM closed",
    "tallies": "SELECT * FROM tallies",
    "queues": "SELECT * FROM queues",
    "losses": "SELECT * FROM losses",
    "epochs": "SELECT * FROM epochs",
    "addresses": "SELECT id, bytes FROM addresses",
    "services": "SELECT * FROM services",
    "recordings": "SELECT id, boot, started_ms, interval_ms, pid FROM recordings",
}


@pytest.fixture
def traffic(netns):
    made = Traffic(netns)
    yield made
    made.end()


def look(path):
    """All that one reader sees at one instant."""
    if not os.path.exists(path):
        return {}
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)
    try:
        database.execute("BEGIN")
        return {name: set(database.execute(sql)) for name, sql in LASTING.items()}
    except sqlite3.OperationalError as error:  # killed before the file was made
        assert "no such table" in str(error) or "unable to open" in str(error), error
        return {}
    finally:
        database.close()


def test_killed_fifty_times_under_load_it_loses_nothing(netns, db, record, traffic):
    seed = random.randrange(1 << 32)
    dice = random.Random(seed)
    print("seed", seed)  # pytest shows it if the test fails
    traffic.churn(60)
    saw_recordings = 0
    for _ in range(KILLS):
        recorder = record(netns, "--interval", "100ms")
        time.sleep(dice.uniform(0, 0.8))
        before = look(db)
        time.sleep(dice.uniform(0, 0.02))
        recorder.kill()
        if not db.exists():
            continue
        hold_whole(db)
        after = look(db)
        for name, rows in before.items():
            assert rows <= after[name], f"{name}: {len(rows - after[name])} rows are gone"
        saw_recordings = max(saw_recordings, len(after.get("recordings", ())))
    assert saw_recordings > KILLS / 2, "most runs lived long enough to be worth killing"

    traffic.rest()
    recorder = record(netns, "--interval", "100ms")
    recorder.wait_snapshots(2)
    wait_until(lambda: table(db) == ss_table(netns), "the table to be that of ss")
    recorder.stop()
    hold_whole(db)
    hold_exact(db)
    hold_lasting(db, traffic.port)
    (runs, ended), = query(db, "SELECT count(*), count(ended_ms) FROM recordings")
    died = query(db, "SELECT count(*), count(DISTINCT text) FROM losses JOIN loss_kinds USING (kind)"
                     " WHERE name = 'recorder died'")
    assert ended == 1 and died == [(runs - 1, runs - 1)], "each death is noted, once"
    assert query(db, "SELECT count(*) FROM boots") == [(1,)]
    assert query(db, "PRAGMA foreign_key_check") == []
