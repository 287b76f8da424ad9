# SPDX-License-Identifier: MIT
"""What came and went (`report --measure`): drawn as it is told in JSON, and never a zero where nobody counted."""
import os
import pty
import re
import sqlite3
import subprocess
import time

import pytest

from conftest import CONNHIST, CONNHISTD, connhist, query, strict_json, wait_until
from test_cli_usage import INTERVAL, SNAPSHOTS, make_file, refused, small  # noqa: F401

MARKS = "▁▂▃▄▅▆▇█"
# The lines of a chart, and the field of JSON that each draws.
LINES = {
    "opened": {"opened": "opened"},
    "closed": {"closed": "closed", **{f"closed, {how}": f"closed_{how}" for how in ("local", "remote", "reset", "timeout")}},
    "bytes": {"sent": "tx_bytes", "received": "rx_bytes"},
    "duration": {"p50": "p50_ms", "p99": "p99_ms"},
    "rtt": {"p50": "p50_us", "p99": "p99_us"},
}
OLD = "by an older version, which kept no rates"


def change(path, *statements):
    database = sqlite3.connect(path)
    for statement in statements:
        database.execute(statement)
    database.commit()
    database.close()


@pytest.fixture
def mine(tmp_path):
    """A small file that the test may change."""
    path = tmp_path / "connhist.db"
    make_file(path, int(time.time() * 1000))
    return path


def span_of(path):
    """--since and --until of twenty whole minutes, the second half of which has what was recorded."""
    end = query(path, "SELECT max(start_ms) FROM snapshots")[0][0] // 60_000 * 60
    return ["--since", f"@{end - 1200}", "--until", f"@{end}", "--step", "1m"]


def measure(path, what, *args):
    done = connhist("--db", path, "report", "--measure", what, "--format", "json", *args)
    return strict_json(done.stdout)


def chart(path, what, *args):
    """The lines of a chart as {name: marks}, and all of it."""
    text = connhist("--db", path, "report", "--measure", what, "--format", "chart", *args,
                    env={**os.environ, "LC_ALL": "C.UTF-8"}).stdout
    return {name: marks for marks, name in re.findall(rf"^  ([{MARKS}·]+)\n  ([a-z0-9, ]+):", text, re.M)}, text


def mark(value, most, any_):
    """The mark of a value as the page describes it; null is a gap."""
    if not any_:
        return MARKS[0]
    return MARKS[next(level for level in range(1, 8) if value * 7 <= most * level)]


@pytest.mark.parametrize("what", LINES)
def test_a_measure_is_drawn_as_it_is_told_to_programs(small, what):
    drawn, text = chart(small, what, *span_of(small))
    rows = measure(small, what, *span_of(small))["rows"]
    assert drawn.keys() == LINES[what].keys()
    for name, field in LINES[what].items():
        most = max(row[field] or 0 for row in rows)
        counted = [row["n"] if "n" in row else row[field] for row in rows]
        assert drawn[name] == "".join("·" if n is None else mark(row[field], most, n) for row, n in zip(rows, counted))
    assert "·" in text and "coverage: " in text and "nothing recorded yet" in text
    # sums are told as JSON adds up
    if what in ("opened", "closed"):
        for name, field in LINES[what].items():
            total = sum(row[field] or 0 for row in rows)
            assert re.search(rf"^  {name}: max \d+ in the 1m00s from .*, at least {total} in all", text, re.M)


def test_a_measure_is_a_chart_on_a_terminal(small):
    master, slave = pty.openpty()
    with subprocess.Popen([CONNHIST, "--db", small, "report", "--measure", "bytes", *span_of(small)], stdout=slave,
                          env={**os.environ, "LC_ALL": "C.UTF-8", "TERM": "dumb"}) as process:
        os.close(slave)
        text = b""
        try:
            while part := os.read(master, 65536):
                text += part
        except OSError:  # the terminal is gone: nobody writes any more
            pass
        os.close(master)
    assert process.returncode == 0
    text = text.decode()
    assert "  received: max 2.0 KiB in the 1m00s" in text and MARKS[7] in text


@pytest.mark.parametrize("into", [None, 17, 30_000, 59_990])
def test_what_an_older_version_recorded_is_not_recorded_and_no_zero(into, tmp_path):
    """The older version began some ms into a minute: what is left of that is no minute of zeros."""
    path = tmp_path / "connhist.db"
    now = int(time.time() * 1000)
    if into is not None:
        now = now // 60_000 * 60_000 + into - (60_000 if now % 60_000 < into else 0)
    begin = now - SNAPSHOTS * INTERVAL
    make_file(path, now, editions=1)
    subprocess.run([CONNHISTD, "--db", path, "--once"], capture_output=True, timeout=20, check=True)
    # what came since then, as a recorder writes it
    change(path, "INSERT INTO rate_rollups SELECT 1, 1, start_ms / 60000 * 60000, 7, 7, 0, 0, 0, 0, 70, 700, x'0307', x'0607'"
                 " FROM snapshots ORDER BY start_ms DESC LIMIT 1")
    assert query(path, "PRAGMA user_version") > [(1,)]
    for what, lines in LINES.items():
        answer = measure(path, what, "--port", "8000", "--step", "1m")
        rows = answer["rows"]
        field = list(lines.values())[0]
        old = [row for row in rows if row["at_ms"] + 60_000 <= now]
        assert rows[0]["at_ms"] <= begin and len(old) >= 9
        assert {row[name] for row in old for name in row_fields(rows)} == {None}
        assert [row[field] for row in rows if row[field]] in ([7], [70], [63])
        gaps = [gap for gap in answer["coverage"]["gaps"] if gap["reason"] == OLD]
        assert [gap["from_ms"] for gap in gaps] == [begin]
        # until the new recorder came, or to the gap before that
        assert begin + (SNAPSHOTS - 1) * INTERVAL <= gaps[0]["until_ms"] <= answer["until_ms"]
        drawn, text = chart(path, what, "--port", "8000", "--step", "1m")
        assert all(set(marks[:len(old)]) == {"·"} for marks in drawn.values())
        assert OLD in " ".join(text.split())


def row_fields(rows):
    return [name for name in rows[0] if name not in ("at_ms", "protocol", "port", "role")]


def test_lost_events_make_lower_bounds_and_are_told_so(mine):
    half = query(mine, "SELECT at_ms FROM rate_rollups WHERE tier = 1 ORDER BY at_ms")[0][0]
    assert {row["at_least"] for row in measure(mine, "opened", *span_of(mine))["rows"] if row["opened"]} == {0}
    assert "AT LEAST" not in connhist("--db", mine, "report", "--measure", "opened", "--since", f"@{half // 1000}",
                                      "--until", f"@{half // 1000 + 120}").stdout
    change(mine, f"INSERT INTO losses (from_ms, until_ms, kind, count, text) VALUES ({half + 5}, {half + 6}, 6, 0, 'full')")
    for what in LINES:
        rows = measure(mine, what, *span_of(mine))["rows"]
        assert [row["at_ms"] for row in rows if row["at_least"]][-1] == half
        assert {row["at_least"] for row in rows if row["at_ms"] > half} == {0}
    told = connhist("--db", mine, "report", "--measure", "opened", "--since", f"@{half // 1000}",
                    "--until", f"@{half // 1000 + 120}")
    assert [line.split()[-1] for line in told.stdout.splitlines()[1:3]] == ["yes", "-"]
    assert "AT LEAST" in told.stdout and "events lost 1 time" in told.stdout
    assert ", at least 15 in all" in chart(mine, "opened", "--since", f"@{half // 1000}")[1]


def test_without_events_bytes_are_not_known_and_counts_are_lower_bounds(mine):
    change(mine, "UPDATE recordings SET event_buffer = 0",
           "UPDATE rate_rollups SET sent_bytes = 0, received_bytes = 0, rtts = NULL")
    assert measure(mine, "bytes", *span_of(mine))["rows"] == []
    for what in "opened", "closed", "duration":
        rows = measure(mine, what, *span_of(mine))["rows"]
        assert {row["at_least"] for row in rows} == {None, 1}
    gaps = measure(mine, "bytes", *span_of(mine))["coverage"]["gaps"]
    assert gaps[-1]["reason"] == "the kernel was not asked about closed sockets"


def test_detail_off_counts_as_well(mine):
    change(mine, "UPDATE recordings SET detail = 'off'")
    answer = measure(mine, "opened", *span_of(mine))
    assert answer["coverage"]["detail"] == ["off"]
    assert [row["opened"] for row in answer["rows"] if row["opened"]] == [12, 3]


def test_a_step_is_whole_minutes(small):
    for step in "1s", "59s", "999ms":
        assert "at least 1m" in refused("--db", small, "report", "--measure", "opened", "--step", step)
    done = connhist("--db", small, "report", "--measure", "opened", "--step", "90s", "--format", "json")
    assert strict_json(done.stdout)["step_ms"] == 120_000
    assert "--step 90s was taken up to 2m00s" in done.stderr
    for step in "1m", "120s", "1d":
        assert connhist("--db", small, "report", "--measure", "opened", "--step", step, "--format", "json").stderr == ""


@pytest.mark.parametrize("args, words", [(["--measure", "bite"], "opened, closed, bytes, duration, rtt"),
                                         (["--measure", "bytes", "--step", "1s"], "at least 1m"),
                                         (["--measure", "bytes", "--by", "peer"], "port and role")])
def test_what_is_asked_wrongly_is_told_before_what_is_not_there(args, words, small, tmp_path):
    for path in small, tmp_path / "none.db":
        assert words in refused("--db", path, "report", *args)


def test_a_span_within_a_minute_is_that_minute(small):
    half = query(small, "SELECT at_ms FROM rate_rollups WHERE tier = 1 ORDER BY at_ms")[0][0] // 1000
    for since, until in (half, half + 1), (half + 20, half + 30), (half + 59, half + 60):
        rows = measure(small, "opened", "--since", f"@{since}", "--until", f"@{until}")["rows"]
        assert [(row["at_ms"], row["opened"]) for row in rows] == [(half * 1000, 12)]


@pytest.mark.parametrize("offset", [-90_000, -30, 30, 3_600_000])
def test_a_wall_clock_of_its_own_is_told_by_minutes_as_the_view_has_them(mine, offset):
    change(mine, f"UPDATE epochs SET offset_ms = {offset}")
    first, second = query(mine, "SELECT at_ms FROM rates ORDER BY at_ms")
    args = ["--since", f"@{first[0] / 1000 - 300}", "--until", f"@{second[0] / 1000 + 90}", "--step", "1m"]
    if offset > 0 and second[0] > time.time() * 1000 - 90_000:
        assert offset == 3_600_000  # not yet: nothing is told of a time to come
        return
    told = {row["at_ms"]: row["opened"] for row in measure(mine, "opened", *args)["rows"] if row["opened"]}
    assert list(told.values()) == [12, 3]
    for at, (view,) in zip(told, (first, second)):
        assert abs(at - view) <= 30_000


def test_ports_that_may_hide_under_other_are_not_denied(mine):
    change(mine, "INSERT INTO services VALUES (9, 1, 6, 2, -1)", "UPDATE rate_rollups SET service = 9")
    done = connhist("--db", mine, "report", "--measure", "opened", "--port", "5432", "--format", "json")
    assert strict_json(done.stdout)["other_sockets"] == 15 and strict_json(done.stdout)["rows"] == []
    assert "whether a service matches is not known: 15 sockets" in done.stderr
    done = connhist("--db", mine, "report", "--measure", "opened", "--port", "5432", "--role", "server", "--format", "json")
    assert strict_json(done.stdout)["other_sockets"] == 0 and "no service matches" in done.stderr


# Makes 300 connections that carry 100 bytes there and 1,000 back; every third is closed by the server first.
TRAFFIC = """
import socket, sys
listener = socket.create_server(("127.0.0.1", 8301))
print("ready")
sys.stdin.readline()
def read(end, n):
    while n > 0:
        n -= len(end.recv(n))
for n in range(300):
    client = socket.create_connection(("127.0.0.1", 8301))
    server = listener.accept()[0]
    client.sendall(b"x" * 100); read(server, 100)
    server.sendall(b"y" * 1000); read(client, 1000)
    first, second = (client, server) if n % 3 else (server, client)
    first.close()
    assert second.recv(1) == b""
    second.close()
print("done")
sys.stdin.readline()
"""


def test_what_came_and_went_is_what_was_made(netns, db, record):
    process = netns.python(TRAFFIC)
    assert process.stdout.readline() == "ready\n"
    recorder = record(netns, "--interval", "1s")
    wait_until(recorder.snapshots, "the first snapshot")
    process.stdin.write("\n")
    process.stdin.flush()
    assert process.stdout.readline() == "done\n"
    recorder.wait_snapshots()
    process.communicate("\n", timeout=20)
    recorder.stop()
    starts = [row[0] for row in query(db, "SELECT start_ms FROM snapshots WHERE status = 0 ORDER BY start_ms")]
    on_time = all(b - a <= 1500 for a, b in zip(starts, starts[1:]))  # else who came meanwhile is not known to have
    rows = {what: {row["role"]: row for row in measure(db, what, "--port", "8301", "--since", "-1h", "--step", "2h")["rows"]}
            for what in LINES}
    for role, opposite, tx, rx in ("server", 100, 1000, 100), ("client", 200, 100, 1000):
        opened = rows["opened"][role]["opened"] if role in rows["opened"] else 0
        assert opened == 300 if on_time else opened <= 300
        closed = rows["closed"][role]
        assert (closed["closed"], closed["closed_local"], closed["closed_remote"]) == (300, opposite, 300 - opposite)
        assert (rows["bytes"][role]["tx_bytes"], rows["bytes"][role]["rx_bytes"]) == (300 * tx, 300 * rx)
        assert rows["duration"][role]["n"] == rows["rtt"][role]["n"] == 300
        # the file itself says the same
        assert query(db, "SELECT sum(closed), sum(closed_local), sum(tx_bytes), sum(rx_bytes) FROM rates"
                         " WHERE port = 8301 AND role = ?", role) == [(300, opposite, 300 * tx, 300 * rx)]
        # lives tell what the durations were made of, to the width of a bucket
        lived = sorted(row[0] for row in query(db, "SELECT rtt_us FROM sockets WHERE service_port = 8301 AND role = ?"
                                                   " AND rtt_us > 0", role))
        middle = lived[(len(lived) + 1) // 2 - 1]
        assert middle <= rows["rtt"][role]["p50_us"] < 2 * middle + 1
    drawn, text = chart(db, "closed", "--port", "8301", "--role", "server", "--since", "-1h")
    assert set(drawn) == {"closed", "closed, local", "closed, remote"}
    assert ", at least 300 in all" in text and ", at least 100 in all" in text
