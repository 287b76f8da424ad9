# SPDX-License-Identifier: MIT
"""What the query program says when the record lacks something, and that it keeps nobody waiting."""
import sqlite3
import subprocess
import time

import pytest

from conftest import CONNHIST, PATIENCE, connhist, strict_json
from test_cli_usage import add_open, make_file

MANY = 3000


@pytest.fixture
def changed(tmp_path):
    """changed(SQL) makes a small file, changes it, and gives its path."""
    def make(sql):
        path = tmp_path / "connhist.db"
        make_file(path, int(time.time() * 1000))
        database = sqlite3.connect(path)
        database.executescript(sql)
        database.close()
        return path
    return make


def test_a_past_table_tells_what_a_flood_left_out(changed):
    path = changed("UPDATE snapshots SET unkept = 90")
    done = connhist("--db", path, "netstat", "--at", "-30s")
    assert "complete BUT FOR 90 SOCKETS," in done.stdout.splitlines()[0]
    assert "90 half-open connections" in done.stderr
    document = strict_json(connhist("--db", path, "netstat", "--at", "-30s", "--format", "json").stdout)
    assert document["unkept"] == 90
    coverage = strict_json(connhist("--db", path, "list", "--format", "json").stdout)["coverage"]
    assert coverage["unkept"] == 90 * coverage["done"] > 0


def test_a_whole_past_table_says_nothing_of_lacks(changed):
    path = changed("")
    done = connhist("--db", path, "netstat", "--at", "-30s")
    assert "complete, " in done.stdout and done.stderr == ""
    document = strict_json(connhist("--db", path, "netstat", "--at", "-30s", "--format", "json").stdout)
    assert document["unkept"] == 0
    assert {row["role_source"] for row in document["rows"]} == {"state"}


ONE_BY_ONE = [("list",), ("report", "--by", "peer"), ("report", "--peer", "10.0.0.0/8")]


@pytest.mark.parametrize("words", ONE_BY_ONE, ids=" ".join)
def test_answers_made_of_sockets_tell_that_none_were_kept(changed, words):
    path = changed("UPDATE recordings SET detail = 'off'; DELETE FROM open WHERE life > 1")
    done = connhist("--db", path, *words)
    assert "`detail: off`" in done.stderr and "in that time" in done.stderr
    assert "matches" not in done.stderr
    coverage = strict_json(connhist("--db", path, *words, "--format", "json").stdout)["coverage"]
    assert coverage["detail"] == ["off"]


@pytest.mark.parametrize("words", ONE_BY_ONE, ids=" ".join)
def test_answers_made_of_sockets_tell_that_some_were_not_kept(changed, words):
    path = changed("INSERT INTO recordings (id, boot, started_ms, interval_ms, detail, version, pid, uid)"
                   " SELECT id + detail_id, boot, started_ms, interval_ms, name, version, pid, uid FROM recordings,"
                   " (SELECT 1 AS detail_id, 'off' AS name UNION SELECT 2, 'anonymous');"
                   "UPDATE snapshots SET recording = 1 + start_ms / 10000 % 3")
    done = connhist("--db", path, *words)
    assert "in a part of that time only listening sockets" in done.stderr
    assert "remote addresses are cut in a part of that time: `detail: anonymous`" in done.stderr
    coverage = strict_json(connhist("--db", path, *words, "--format", "json").stdout)["coverage"]
    assert coverage["detail"] == ["on", "anonymous", "off"]


def test_counts_are_whole_without_detail(changed):
    path = changed("UPDATE recordings SET detail = 'off'")
    assert "detail" not in connhist("--db", path, "report").stderr


@pytest.mark.parametrize("words, named", [
    (("report", "--port", "99999"), "99999"),
    (("report", "--step", "never"), "--step"),
    (("list", "--since", "someday"), "--since"),
    (("list", "--limit", "-1"), "--limit"),
    (("netstat", "--at", "-1h", "--state", "zzz"), "zzz"),
    (("sql", "--timeout", "soon", "SELECT 1"), "--timeout"),
], ids=lambda value: value if isinstance(value, str) else " ".join(value))
def test_wrong_usage_is_told_before_a_missing_file(tmp_path, words, named):
    none = tmp_path / "none.db"
    done = connhist("--db", none, *words, status=2)
    assert named in done.stderr and done.stderr.count("\n") == 1
    assert str(none) in connhist("--db", none, words[0], *(["SELECT 1"] if words[0] == "sql" else ["-n", "--at", "-1h"]
                                 if words[0] == "netstat" else []), status=3).stderr


@pytest.mark.parametrize("words", [("list",), ("netstat", "--at", "-1s")], ids=" ".join)
def test_a_reader_that_takes_its_time_does_not_pin_the_log(tmp_path, words):
    path = tmp_path / "connhist.db"
    now = int(time.time() * 1000)
    make_file(path, now)
    database = sqlite3.connect(path, timeout=0)
    for life in range(5, 5 + MANY):
        add_open(database, life, 1, 1, now - 60_000, remote=0x0B000000 + life, remote_port=40000)
    database.commit()
    with subprocess.Popen([CONNHIST, "--db", path, *words, "--format", "json"], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as process:
        assert process.stdout.read(1) == b"{"  # and then nothing for a while: the pipe is full
        deadline = time.monotonic() + PATIENCE
        busy = 1
        while busy and time.monotonic() < deadline:
            busy = database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
        assert not busy, "the log can't be tidied while nobody reads the answer"
        database.execute("DELETE FROM open")  # the answer is of the instant when it was asked
        database.commit()
        rows = strict_json((b"{" + process.stdout.read()).decode())["rows"]
        assert process.wait() == 0
    assert len(rows) == MANY + (4 if words[0] == "list" else 3)
    assert len({row["remote_address"] for row in rows}) == len(rows)
    database.close()
