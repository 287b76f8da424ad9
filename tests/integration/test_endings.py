# SPDX-License-Identifier: MIT
"""How connections ended, what they carried, and where events of them were lost, as the query program tells it."""
import csv
import io
import sqlite3
import time

import pytest

from conftest import SOURCE, connhist, query, strict_json
from test_cli_usage import INTERVAL, make_file, refused

EVENTS = 2  # the edition of the file that has them
FACTS = ["sent_bytes", "received_bytes", "segs_out", "segs_in", "retrans", "rtt_us"]
FIELDS = ["closed_by", "rx_bytes", "tx_bytes", "rtt_us", "retrans", "rx_segs", "tx_segs", "rx_uncertain"]
LOCAL, REMOTE, RESET, TIMEOUT, UNCERTAIN = 1, 2, 3, 4, 16
ESTABLISHED, FIN_WAIT2, TIME_WAIT = 1, 5, 6
OPENING_SEEN = 64
NOTHING = (None,) * 6


def add_closed(database, port, ended, closed_by=None, facts=NOTHING, **columns):
    """A connection of 5 s from a port that names it."""
    row = {"key": 13 << 58 | ended << 16 | port, "service": 1, "local": 1, "remote": 0x0A000001, "remote_port": port,
           "duration_ms": 5000, "late_ms": 0, "traits": ESTABLISHED | OPENING_SEEN, "states": bytes([ESTABLISHED]),
           "closed_by": closed_by, **dict(zip(FACTS, facts)), **columns}
    database.execute(f"INSERT INTO closed ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", list(row.values()))


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """The small file with ended connections of every kind; its snapshots end one interval before now."""
    path = tmp_path_factory.mktemp("ended") / "connhist.db"
    now = int(time.time() * 1000)
    make_file(path, now)
    last = now - INTERVAL
    database = sqlite3.connect(path)
    add_closed(database, 1, last - 9000, LOCAL, (200, 100, 7, 6, 2, 321))
    add_closed(database, 2, last - 8000, REMOTE | UNCERTAIN, (0, 1, 3, 3, 0, 0))
    add_closed(database, 3, last - 7000, RESET, traits=ESTABLISHED)
    add_closed(database, 4, last - 6000, TIMEOUT, (5, 6, 7, 8, 9, 10))
    add_closed(database, 5, last - 5000, life=77)
    add_closed(database, 6, last - 4000)
    add_closed(database, 7, last - 3000, LOCAL, life=78)
    late = "INSERT INTO late (life, closed_by, " + ", ".join(FACTS) + ") VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
    database.execute(late, (77, REMOTE, 11, 12, 13, 14, 15, 16))
    database.execute(late, (78, UNCERTAIN, 21, 22, 23, 24, 25, 26))
    # TIME_WAIT: begun at the last snapshot, over in a minute
    add_closed(database, 8, last + 60_000, LOCAL, (1, 2, 3, 4, 5, 6), duration_ms=60_000 + 4000,
               traits=TIME_WAIT | OPENING_SEEN, states=bytes([ESTABLISHED, 0xA0, 0x1F, TIME_WAIT]),
               key=16 << 58 | last + 60_000 << 16)
    # another, over long ago, and one that stands among the open ones: each lived 4.5 s
    states = bytes([ESTABLISHED, 0xA0, 0x1F, FIN_WAIT2, 0xF4, 0x03, TIME_WAIT])
    add_closed(database, 10, last - 70_000, duration_ms=60_000 + 4500, traits=TIME_WAIT | OPENING_SEEN, states=states,
               key=16 << 58 | last - 70_000 << 16)
    database.execute("INSERT INTO open (life, cookie, inode, service, local, remote, remote_port, since_ms, traits, states)"
                     " VALUES (900, 900, 0, 1, 1, 167772161, 9, ?, ?, ?)",
                     (last - 10_000, TIME_WAIT | OPENING_SEEN, states))
    database.execute("UPDATE recordings SET closings = 1234, unconnected = 56, unresolved = 7, event_buffer = 8000000")
    database.executemany("INSERT INTO losses (from_ms, until_ms, kind, count, text) VALUES (?, ?, 6, 0, '')",
                         [(last - 300_000, last - 299_000), (last - 100_000, last - 98_000)])
    database.commit()
    database.close()
    return path


def rows_by_port(path, *args):
    done = connhist("--db", path, "list", "--proto", "tcp", "--peer", "10.0.0.1", "--format", "json", *args)
    return {row["remote_port"]: row for row in strict_json(done.stdout)["rows"]}


def test_list_tells_how_each_ended_and_what_it_carried(ended):
    rows = rows_by_port(ended)
    assert {port: [row[name] for name in FIELDS] for port, row in rows.items()} == {
        1: ["local", 100, 200, 321, 2, 6, 7, 0],
        2: ["remote", 1, 0, 0, 0, 3, 3, 1],
        3: ["reset", None, None, None, None, None, None, None],
        4: ["timeout", 6, 5, 10, 9, 8, 7, 0],
        5: ["remote", 12, 11, 16, 15, 14, 13, 0],
        6: ["unknown", None, None, None, None, None, None, None],
        7: ["local", 22, 21, 26, 25, 24, 23, 1],
        8: ["local", 2, 1, 6, 5, 4, 3, 0],
        9: ["local"] + [None] * 7,
        10: ["local"] + [None] * 7,
    }


def test_an_opening_that_nobody_saw_has_bounds_and_no_duration(ended):
    rows = rows_by_port(ended)
    assert rows[3]["opened_ms"] is None and rows[3]["duration_ms"] is None
    assert rows[3]["opened_after_ms"] < rows[3]["first_seen_ms"] == rows[3]["closed_ms"] - 5000
    assert rows[1]["duration_ms"] == 5000 == rows[1]["closed_ms"] - rows[1]["opened_ms"]


def test_csv_has_the_same_fields_and_leaves_what_is_not_known_empty(ended):
    done = connhist("--db", ended, "list", "--peer", "10.0.0.1", "--format", "csv")
    rows = {row["remote_port"]: row for row in csv.DictReader(io.StringIO(done.stdout))}
    assert [rows["1"][name] for name in FIELDS] == ["local", "100", "200", "321", "2", "6", "7", "0"]
    assert [rows["3"][name] for name in FIELDS] == ["reset"] + [""] * 7
    assert "events lost 2 times" in done.stderr


def test_people_see_who_closed_and_how_much_went(ended):
    text = connhist("--db", ended, "list", "--peer", "10.0.0.1").stdout
    for heading in "CLOSED BY", "LIVED", "RX", "TX":
        assert heading in text.splitlines()[0]
    line = next(line for line in text.splitlines() if ":tcpmux " in line or "10.0.0.1:1 " in line)
    assert line.split()[-6:] == ["local", "5s", "100", "B", "200", "B"]


def test_closed_by_chooses_among_those_that_ended(ended):
    assert set(rows_by_port(ended, "--closed-by", "local")) == {1, 7, 8, 9, 10}
    assert set(rows_by_port(ended, "--closed-by", "Reset,timeout")) == {3, 4}
    assert set(rows_by_port(ended, "--closed-by", "unknown", "--closed-by", "remote")) == {2, 5, 6}


def test_a_duration_ends_where_time_wait_begins(ended):
    rows = rows_by_port(ended)
    assert {port: rows[port]["duration_ms"] for port in (1, 8, 9, 10)} == {1: 5000, 8: 4000, 9: 4500, 10: 4500}
    assert all(rows[port]["time_wait_ms"] == rows[port]["opened_ms"] + rows[port]["duration_ms"] for port in (8, 9, 10))
    assert rows[10]["closed_ms"] == rows[10]["time_wait_ms"] + 60_000 and rows[10]["closed_by"] == "local"
    view = query(ended, "SELECT remote_port, duration_ms, closed_by FROM sockets WHERE remote_address = '10.0.0.1'"
                        " AND protocol = 'tcp'")
    assert {port: known for port, *known in view} == {
        port: [row["duration_ms"], row["closed_by"]] for port, row in rows.items()}


def test_a_time_wait_whose_end_lies_ahead_is_open(ended):
    assert rows_by_port(ended)[8]["closed_ms"] is None
    assert set(rows_by_port(ended, "--open")) == {8, 9}
    assert rows_by_port(ended, "--open")[8]["state"] == "TIME_WAIT"


def test_a_planned_end_holds_when_another_run_came(ended, tmp_path):
    path = tmp_path / "connhist.db"
    source, copy = sqlite3.connect(ended), sqlite3.connect(path)
    source.backup(copy)
    source.close()
    last = copy.execute("SELECT max(start_ms) FROM snapshots").fetchone()[0]
    copy.execute("INSERT INTO recordings (id, boot, started_ms, interval_ms, detail, version, pid, uid)"
                 " VALUES (2, 1, ?, ?, 'on', '0.1.0', 1, 0)", (last + 5000, INTERVAL))
    copy.commit()
    copy.close()
    assert set(rows_by_port(path, "--open")) == {9}
    assert rows_by_port(path)[8]["closed_ms"] == last + 60_000 and rows_by_port(path)[8]["closed_by"] == "local"


def test_open_and_closed_by_exclude_each_other(ended):
    assert "exclude" in refused("--db", ended, "list", "--open", "--closed-by", "local")


def test_an_unknown_ending_is_answered_with_those_there_are(ended):
    for text in "peer", "loc", "local,", "":
        assert "local, remote, reset, timeout, unknown" in refused("--db", ended, "list", "--closed-by", text)


def test_lost_events_are_told_with_their_spans_and_make_no_gap(ended):
    answer = strict_json(connhist("--db", ended, "list", "--format", "json").stdout)
    assert answer["coverage"]["events_lost"] == 2 and answer["coverage"]["gaps"] == []
    wall = [dict(zip(("from_ms", "until_ms", "reason"), row)) for row in query(
        ended, "SELECT from_ms, until_ms, text FROM losses WHERE kind = 6 ORDER BY until_ms")]
    assert answer["coverage"]["events_lost_spans"] == wall
    text = connhist("--db", ended, "list").stdout
    assert "events lost 2 times: short connections may lack" in text
    assert text.count(" events of closed connections were lost: ") == 2
    since = answer["until_ms"] // 1000 - 200
    later = strict_json(connhist("--db", ended, "list", "--since", f"@{since}", "--format", "json").stdout)
    assert later["coverage"]["events_lost"] == 1


def test_status_tells_what_events_came(ended):
    text = connhist("--db", ended, "status").stdout
    assert "1234 of closed connections, 56 of sockets never connected, 7 of unknown endpoints" in text
    assert "event buffer:" in text and "CAP_NET_ADMIN" not in text
    row = strict_json(connhist("--db", ended, "status", "--format", "json").stdout)["rows"][0]
    assert [row[name] for name in ("closings", "unconnected", "unresolved", "event_buffer")] == [1234, 56, 7, 8000000]


@pytest.mark.parametrize("size, asked, told", [
    (212_992, 8 << 20, "208.0 KiB of the 8.0 MiB asked for: CAP_NET_ADMIN is missing: bursts may be lost"),
    (16_384, 32_768, "16.0 KiB of the 32.0 KiB asked for: CAP_NET_ADMIN is missing"),
    (16_384, 16_385, "16.0 KiB, as limits: events in the configuration asks for: bursts may be lost\n"),
    (65_536, None, "64.0 KiB: bursts may be lost\n"),
    (8 << 20, 8 << 20, "8.0 MiB\n"),
    (0, 8 << 20, "closed connections are not recorded")])
def test_status_says_what_a_small_buffer_costs(size, asked, told, ended, tmp_path):
    path = tmp_path / "connhist.db"
    source, copy = sqlite3.connect(ended), sqlite3.connect(path)
    source.backup(copy)
    source.close()
    copy.execute("UPDATE recordings SET event_buffer = ?, events_asked = ?", (size, asked))
    copy.commit()
    copy.close()
    assert told in connhist("--db", path, "status").stdout
    row = strict_json(connhist("--db", path, "status", "--format", "json").stdout)["rows"][0]
    assert [row["event_buffer"], row["events_asked"]] == [size, asked]


@pytest.mark.parametrize("size, told", [
    (4 << 20, "4.0 MiB, of each other namespace 256.0 KiB\n"),
    (4 << 19, "2.0 MiB of the 4.0 MiB asked for, of each other namespace 256.0 KiB: CAP_NET_ADMIN is missing")])
def test_half_the_buffer_is_for_other_namespaces(size, told, ended, tmp_path):
    path = tmp_path / "connhist.db"
    source, copy = sqlite3.connect(ended), sqlite3.connect(path)
    source.backup(copy)
    source.close()
    copy.execute("UPDATE recordings SET event_buffer = ?, event_buffer_others = 262144, events_asked = ?", (size, 8 << 20))
    copy.commit()
    copy.close()
    assert told in connhist("--db", path, "status").stdout


def test_a_file_from_before_the_events_is_still_answered_from(tmp_path):
    path = tmp_path / "connhist.db"
    now = int(time.time() * 1000)
    make_file(path, now, editions=EVENTS - 1)
    database = sqlite3.connect(path)
    key = 13 << 58 | now - 2 * INTERVAL << 16
    database.execute("INSERT INTO closed VALUES (?, 1, 1, 1, NULL, 9, NULL, NULL, 5000, 0, 65, x'01', NULL)", (key,))
    database.commit()
    database.close()
    assert len(list((SOURCE / "schema").glob("*.sql"))) >= EVENTS
    done = connhist("--db", path, "list", "--closed-by", "unknown", "--format", "jsonl")
    assert strict_json(done.stdout)["rx_bytes"] is None
    assert "closed connections are not recorded" in connhist("--db", path, "status").stdout
