# SPDX-License-Identifier: MIT
"""Sockets that ended while nothing was recorded: when is told as a bound, of a made-up host of which the test knows the truth."""
import csv
import io
import sqlite3
import time

import pytest
from conftest import connhist, query, strict_json
from test_owners import START_MS, WALL_MS, Host, Record, server

INTERVAL_MS = 10_000
SLEPT_MS = 300_000
LAST, NEXT = WALL_MS + START_MS + 4 * INTERVAL_MS, WALL_MS + START_MS + 5 * INTERVAL_MS + SLEPT_MS
SPAN = ("--since", f"@{(WALL_MS + START_MS) // 1000}", "--until", f"@{(WALL_MS + START_MS) // 1000 + 3600}")
EPHEMERAL = 40000


def at(ms):
    return f"@{ms // 1000}.{ms % 1000:03d}"


def iso(ms):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(ms // 1000))


@pytest.fixture(name="path", scope="module")
def make_path(tmp_path_factory):
    """One that ends while recorded, one in the gap, one that stays; a listener that ends in the gap."""
    host = Host()
    server(host)
    host.tick()  # 1
    for n in range(3):
        host.socket(2 + n, "ESTABLISHED", 80, EPHEMERAL + n, opener=1)
        host.do(f"holds 100 {7 + n}")
    host.tick(2)  # 2, 3
    host.close(2)
    host.tick()  # 4
    host.do("stop")
    host.boot_ms += SLEPT_MS
    host.clock()
    host.do("start boot-1")
    host.close(1)
    host.close(3)
    host.tick(3)
    return Record(tmp_path_factory.mktemp("ends") / "ends.db", host).path


def listed(path, *args):
    rows = strict_json(connhist("--db", path, "list", "--format", "json", *SPAN, *args).stdout)["rows"]
    return {row["remote_port"]: row for row in rows}


def test_an_end_in_a_gap_has_bounds_and_no_exact_duration(path):
    rows = listed(path)
    names = "closed_ms", "closed_after_ms", "duration_ms"
    assert tuple(rows[EPHEMERAL][name] for name in names) == (LAST, None, 2 * INTERVAL_MS)
    assert tuple(rows[EPHEMERAL + 1][name] for name in names) == (NEXT, LAST, None)
    assert tuple(rows[EPHEMERAL + 2][name] for name in names) == (None, None, None)
    assert tuple(rows[0][name] for name in names) == (NEXT, LAST, None), "the listener"


def test_people_see_after_when_it_ended(path):
    lines = connhist("--db", path, "list", "--utc", *SPAN).stdout.splitlines()
    [line] = [line for line in lines if f":{EPHEMERAL + 1} " in line]
    assert f"after {iso(LAST)}" in line and iso(NEXT) not in line and "5m" not in line
    [line] = [line for line in lines if f":{EPHEMERAL} " in line]
    assert f" {iso(LAST)} " in line and "after" not in line and " 20s " in line
    # as `who` says it
    [held] = strict_json(connhist("--db", path, "who", "--port", "80", "--format", "json", *SPAN).stdout)["rows"][:1]
    assert (held["use"], held["until_ms"], held["last_seen_ms"], held["until_before_ms"]) == ("listener", None, LAST, NEXT)


def test_a_difference_tells_it_alike(path):
    span = "--from", at(LAST), "--to", at(NEXT)
    rows = strict_json(connhist("--db", path, "diff", "--format", "json", *span).stdout)["rows"]
    assert {(row["remote_port"], row["closed_ms"], row["closed_after_ms"]) for row in rows if row["change"] == "closed"} == {
        (0, NEXT, LAST), (EPHEMERAL + 1, NEXT, LAST)}
    table = connhist("--db", path, "diff", "--utc", *span).stdout.splitlines()
    assert sum(line.startswith("closed") and line.rstrip().endswith(f"after {iso(LAST)}") for line in table) == 2
    span = "--from", at(LAST - INTERVAL_MS), "--to", at(LAST)
    [row] = strict_json(connhist("--db", path, "diff", "--format", "json", *span).stdout)["rows"]
    assert (row["closed_ms"], row["closed_after_ms"]) == (LAST, None)


def test_the_table_of_an_instant_an_export_and_the_views_agree(path):
    names = "closed_ms", "closed_after_ms"
    wanted = {port: tuple(row[name] for name in names) for port, row in listed(path).items()}
    then = strict_json(connhist("--db", path, "netstat", "-an", "--at", at(LAST - INTERVAL_MS), "--format", "json").stdout)
    assert {row["remote_port"]: tuple(row[name] for name in names) for row in then["rows"]} == wanted
    exported = csv.DictReader(io.StringIO(connhist("--db", path, "export", "--format", "csv", *SPAN).stdout))
    assert {int(row["remote_port"]): tuple(int(row[name]) if row[name] else None for name in names)
            for row in exported} == wanted
    assert {port: tuple(rest) for port, *rest in
            query(path, "SELECT remote_port, closed_ms, closed_after_ms FROM sockets")} == wanted
    assert query(path, "SELECT closed_ms, closed_after_ms FROM listeners") == [wanted[0]]
    assert dict(query(path, "SELECT remote_port, duration_ms FROM sockets")) == {
        port: row["duration_ms"] for port, row in listed(path).items()}


def test_what_the_kernel_told_is_exact_in_a_gap_too_but_not_what_came_late(path, tmp_path):
    mine = tmp_path / "told.db"
    database = sqlite3.connect(mine)
    with sqlite3.connect(path) as source:
        source.backup(database)
    source.close()
    facts = "closed_by = 2, sent_bytes = 1, received_bytes = 2, segs_out = 3, segs_in = 4, retrans = 0, rtt_us = 5"
    where = f"WHERE remote_port = {EPHEMERAL + 1}"
    row_where = f"WHERE service = (SELECT id FROM services WHERE port = {EPHEMERAL + 1})"
    for sampled, wanted in (("NULL", (None, True)), (str(LAST), (LAST, False))):
        assert database.execute(f"UPDATE closed SET {facts}, sampled_ms = {sampled} {row_where}").rowcount == 1
        database.commit()
        row = listed(mine)[EPHEMERAL + 1]
        assert (row["closed_after_ms"], row["duration_ms"] is not None) == wanted
        assert query(mine, f"SELECT closed_after_ms, duration_ms IS NOT NULL FROM sockets {where}") == [wanted]
    database.execute(f"UPDATE closed SET life = 4711 {row_where}")
    database.execute("INSERT INTO late (life, closed_by, sent_bytes, received_bytes, segs_out, segs_in, retrans, rtt_us)"
                     " VALUES (4711, 2, 1, 2, 3, 4, 0, 5)")
    database.commit()
    database.close()
    row = listed(mine)[EPHEMERAL + 1]
    assert (row["rx_bytes"], row["closed_after_ms"], row["duration_ms"]) == (2, LAST, None)
    assert query(mine, f"SELECT closed_after_ms, duration_ms FROM sockets {where}") == [(LAST, None)]


def test_durations_count_with_what_was_seen_of_them(path):
    rows = strict_json(connhist("--db", path, "report", "--measure", "duration", "--format", "json", "--step", "1h",
                                *SPAN).stdout)["rows"]
    # 20 s each, one of them at least; not the 5 minutes of the gap
    assert sum(row["n"] or 0 for row in rows) == 2
    assert max(row["p99_ms"] or 0 for row in rows) == 2 ** (20_000).bit_length() - 1


def test_an_instant_is_told_with_its_milliseconds(path):
    asked = LAST + 1234
    for command in (["netstat", "-an", "--at"], ["who", "--port", "80", "--at"], ["diff", "--from", at(LAST), "--to"]):
        text = connhist("--db", path, *command, at(asked), "--utc").stdout
        assert f"1s before {iso(asked)[:-1]}.{asked % 1000:03d}Z" in text, text
        text = connhist("--db", path, *command, at(LAST + 2000), "--utc").stdout
        assert f"2s before {iso(LAST + 2000)}" in text, text


def test_the_gap_that_an_instant_lies_in_is_told_whole(path):
    whole = [{"from_ms": LAST, "until_ms": NEXT}]
    for asked in (LAST + 60_000, NEXT - 1):
        for command in (["who", "--port", "80", "--at"], ["diff", "--from", at(LAST - INTERVAL_MS), "--to"],
                        ["diff", "--from", at(asked), "--to"]):
            answer = strict_json(connhist("--db", path, *command, at(asked), "--format", "json").stdout)
            assert [{key: gap[key] for key in whole[0]} for gap in answer["coverage"]["gaps"]] == whole
    answer = strict_json(connhist("--db", path, "who", "--port", "80", "--at", at(NEXT), "--format", "json").stdout)
    assert answer["coverage"]["gaps"] == []


def test_of_one_that_is_only_bound_the_kernel_tells_nothing(tmp_path):
    host = Host()
    host.do(f"sampling {INTERVAL_MS}")
    server(host)
    host.socket(2, "CLOSE", 8080)
    for key in host.sockets:
        if key[0] == 1:
            host.sockets[key] += "\noffload 1"
    host.tick(3)
    host.socket(2, "LISTEN", 8080)
    host.sockets[2, False] += "\noffload 1"
    host.tick(2)
    path = Record(tmp_path / "bound.db", host).path
    for tick, bound in ((3, ("CLOSE", None)), (4, ("LISTEN", "InHost"))):
        then = at(WALL_MS + START_MS + tick * INTERVAL_MS)
        rows = strict_json(connhist("--db", path, "netstat", "-an", "--at", then, "--format", "json").stdout)["rows"]
        assert {row["local_port"]: (row["state"], row["offload"]) for row in rows} == {80: ("LISTEN", "InHost"), 8080: bound}
