# SPDX-License-Identifier: MIT
"""The made-up year of a server (tests/bench/generate): whole, the same for the same seed, counted as its sockets are; and
the programs find what went wrong in it, each incident at its time."""
import random
import re
import subprocess
from datetime import datetime

import pytest

from conftest import BUILD, CONNHISTD, connhist, query, strict_json

GENERATE = BUILD / "tests" / "bench" / "generate"
MINUTE, HOUR, DAY = 60_000, 3600_000, 86_400_000
INTERVAL = 2 * MINUTE
SHAPE = ("--days", 14, "--interval", INTERVAL // 1000, "--connections", 4000)
SCANNER, HURRIED = "198.51.100.66", "198.51.100.20"


def generate(*args, status=0):
    done = subprocess.run([GENERATE, *map(str, args)], text=True, capture_output=True, check=False, timeout=300)
    assert done.returncode == status, done.stderr or done.stdout
    return done


@pytest.fixture(scope="module")
def year(tmp_path_factory):
    path = tmp_path_factory.mktemp("generate") / "year.db"
    done = generate(*SHAPE, path)
    assert done.stderr == ""  # the bar is for terminals
    begin, end = map(int, done.stdout.split())
    first, last = query(path, "SELECT min(start_ms), max(start_ms) FROM snapshots")[0]
    assert begin * 1000 <= first < begin * 1000 + INTERVAL and last // 1000 == end
    return path


@pytest.fixture(scope="module")
def incidents():
    """(begin, end) of each in ms, as --help tells them."""
    found = {}
    for name, begin, end in re.findall(r"^  (\S+) +(\S+Z)  (\S+Z)  ", generate(*SHAPE, "--help").stdout, re.MULTILINE):
        found[name] = tuple(int(datetime.fromisoformat(t.replace("Z", "+00:00")).timestamp()) * 1000 for t in (begin, end))
    assert set(found) == {"deploy", "scan", "pile-up", "leak", "reboot", "gap", "lost"}
    return found


def ask(path, *args):
    return strict_json(connhist("--db", path, *args, "--format", "json").stdout)


def at(ms):
    return f"@{ms / 1000:.3f}"


def span(begin, end):
    return "--since", at(begin), "--until", at(end)


def tick_behind(path, ms):
    return query(path, "SELECT min(start_ms) FROM snapshots WHERE start_ms >= ?", ms)[0][0]


def tick_before(path, ms):
    return query(path, "SELECT max(start_ms) FROM snapshots WHERE start_ms < ?", ms)[0][0]


def state_at(since_ms, states, at_ms):
    """What `states` of a row tells, as the schema has it."""
    state, i, change = states[0], 1, since_ms
    while i < len(states):
        shift = 0
        while True:
            change += (states[i] & 127) << shift
            shift, i = shift + 7, i + 1
            if states[i - 1] < 128:
                break
        if change > at_ms:
            break
        state, i = states[i], i + 1
    return state


def alive(path, at_ms):
    """(port, state) of each socket there was at that instant, from the rows of sockets."""
    rows = query(path, "SELECT s.port, l.since_ms, l.states FROM lives AS l JOIN services AS s ON s.id = l.service "
                 "WHERE l.since_ms <= ?1 AND (l.ended_ms IS NULL OR l.ended_ms > ?1)", at_ms)
    return [(port, state_at(since, states, at_ms)) for port, since, states in rows]


def counted(path, at_ms):
    """The same from what was counted: {(port, state): n}."""
    rows = query(path, "SELECT s.port, t.state, t.count FROM tallies AS t JOIN services AS s ON s.id = t.service "
                 "WHERE t.at_ms <= ?1 AND t.at_ms >= (SELECT max(start_ms) FROM snapshots WHERE anchor = 1 AND start_ms <= ?1)"
                 " ORDER BY t.at_ms", at_ms)
    last = {(port, state): n for port, state, n in rows}
    return {key: n for key, n in last.items() if n}


def test_the_file_is_whole(year):
    done = subprocess.run([CONNHISTD, "--check", "--db", year], text=True, capture_output=True, check=False, timeout=300)
    assert (done.returncode, done.stdout) == (0, f"{year} is whole\n")


def test_what_is_counted_are_its_sockets(year, incidents):
    ticks = [row[0] for row in query(year, "SELECT start_ms FROM snapshots ORDER BY start_ms")]
    chosen = random.Random(7).sample(ticks, 60) + ticks[:2] + ticks[-2:]
    for begin, end in incidents.values():
        chosen += [tick_behind(year, begin), tick_behind(year, end), tick_before(year, begin), tick_before(year, end)]
    for tick in chosen:
        sockets = alive(year, tick)
        assert counted(year, tick) == {key: sockets.count(key) for key in set(sockets)}, tick
        seen, = query(year, "SELECT sockets FROM snapshots WHERE start_ms = ?", tick)[0]
        assert seen == len(sockets)


def test_all_connections_are_there(year):
    ordinary = query(year, "SELECT count(*) FROM sockets WHERE local_port <> 0 AND remote_port <> 0"
                     " AND remote_address NOT IN (?, ?)", SCANNER, HURRIED)[0][0]
    assert 4000 - 30 < ordinary < 4000 + 500  # those that were over while nobody listened are lost; the leak adds 400
    services = query(year, "SELECT DISTINCT protocol, service_port, role FROM sockets")
    assert {("tcp", 443, "server"), ("tcp", 80, "server"), ("tcp", 22, "server"), ("tcp", 5432, "server"),
            ("udp", 53, "client"), ("tcp", 8080, "client")} <= set(services)
    families = query(year, "SELECT sum(remote_address LIKE '%:%'), sum(remote_address LIKE '%.%') FROM sockets WHERE service_port = 443")
    assert min(families[0]) > 100


def tables(path):
    """All that the file tells, but the process that wrote it."""
    def rows(sql):
        return connhist("--db", path, "sql", "--format", "csv", sql).stdout
    names = [row[0] for row in query(path, "SELECT name FROM sqlite_schema WHERE type = 'table'")]
    assert {"closed", "tallies", "tally_rollups", "recordings"} <= set(names)
    return {name: rows("SELECT id, boot, started_ms, ended_ms, done, closings, cpu_ms FROM recordings" if name == "recordings"
                       else f"SELECT * FROM {name}") for name in names}


def test_the_same_seed_gives_the_same_record(tmp_path):
    paths = [tmp_path / f"{i}.db" for i in range(3)]
    for path, seed in zip(paths, (5, 5, 6)):
        generate("--days", 14, "--interval", 1800, "--connections", 300, "--seed", seed, path)
    first, again, other = map(tables, paths)
    assert first == again
    assert query(paths[0], "SELECT boot FROM recordings ORDER BY id") == [(1,), (2,), (2,)]  # though no snapshot fell into the reboot
    assert first["closed"] != other["closed"] and first["tallies"] != other["tallies"]


def test_without_incidents_and_pruned_by_age(tmp_path):
    path = tmp_path / "calm.db"
    generate("--days", 20, "--interval", 900, "--connections", 300, "--incidents", "none", "--retention", "default", path)
    assert query(path, "SELECT count(*), sum(done) FROM recordings") == [(1, 20 * 96)]
    assert query(path, "SELECT count(*) FROM losses") == [(0,)]
    assert query(path, "SELECT count(*) FROM sockets WHERE remote_address IN (?, ?)", SCANNER, HURRIED) == [(0,)]
    first, last = query(path, "SELECT min(at_ms), max(at_ms) FROM tallies")[0]
    assert 7 * DAY - HOUR < last - first < 8 * DAY  # `ticks: 7d`


def test_the_deploy(year, incidents):
    begin, _ = incidents["deploy"]
    seen = tick_behind(year, begin)
    rows = [row for row in ask(year, "who", "--port", "443", *span(begin - HOUR, begin + HOUR))["rows"] if row["use"] == "listener"]
    assert {(row["process"], row["local_address"], row["from_ms"], row["until_ms"] == begin) for row in rows} == {
        (process, address, since, ends) for address in ("::", "0.0.0.0")
        for process, since, ends in (("nginx", None, True), ("haproxy", seen, False))}
    for instant, process in ((begin - MINUTE, "nginx"), (seen + MINUTE, "haproxy")):
        holders = ask(year, "who", "--port", "443", "--at", at(instant))["rows"]
        assert {row["process"] for row in holders if row["use"] == "listener"} == {process}
    assert {row["process"] for row in ask(year, "who", "--port", "80", "--at", at(seen + MINUTE))["rows"]} == {"nginx"}


def test_the_scan(year, incidents):
    begin, end = incidents["scan"]
    raw = query(year, "SELECT local_port, state, process FROM sockets WHERE remote_address = ?", SCANNER)
    rows = ask(year, "list", "--peer", SCANNER, *span(begin - DAY, end + DAY))["rows"]
    assert len(rows) == len(raw) > 100
    assert sorted((row["local_port"], row["state"], row["process"]) for row in rows) == sorted(raw)
    assert {port for port, _, _ in raw} == {22, 80, 443, 5432}
    assert all(begin <= row["first_seen_ms"] <= end + INTERVAL for row in rows)
    tick = tick_behind(year, begin + 5 * MINUTE)
    table = ask(year, "netstat", "-an", "--at", at(tick))["rows"]
    assert sum(row["state"] == "SYN_RECV" for row in table) == sum(state == 3 for _, state in alive(year, tick)) > 10
    trend = ask(year, "report", "--port", "22", "--state", "SYN_RECV", "--step", "1h", *span(begin - DAY, begin + DAY))["rows"]
    assert [row["at_ms"] for row in trend if row["max"]] == [begin]


def test_the_pile_up(year, incidents):
    begin, end = incidents["pile-up"]
    trend = ask(year, "report", "--port", "443", "--state", "TIME_WAIT", "--step", "1h", *span(begin - DAY, begin + DAY))["rows"]
    highest = max(trend, key=lambda row: row["max"])
    raw = query(year, "SELECT max(t.count) FROM tallies AS t JOIN services AS s ON s.id = t.service"
                " WHERE s.port = 443 AND t.state = 6 AND t.at_ms BETWEEN ? AND ?", begin, end)[0][0]
    assert (highest["at_ms"], highest["max"]) == (begin, raw) and raw > 100
    assert raw > 10 * max(row["max"] for row in trend if row is not highest)
    moved = ask(year, "report", "--counter", "TcpExt.ListenOverflows", "--step", "1h", *span(begin - DAY, begin + DAY))["rows"]
    grew = query(year, "SELECT sum(c.grew) FROM counters AS c JOIN counter_names AS n ON n.id = c.counter"
                 " WHERE n.name = 'TcpExt.ListenOverflows'")[0][0]
    assert sum(row["grew"] for row in moved) == grew > 1000
    found = query(year, "SELECT c.at_ms FROM counters AS c JOIN counter_names AS n ON n.id = c.counter"
                  " WHERE n.name = 'TcpExt.ListenOverflows' AND c.grew > 0")
    assert {at_ms // HOUR * HOUR for at_ms, in found} == {begin}
    # what the first of these readings found was before it
    assert [row["at_ms"] for row in moved if row["grew"]] == sorted({(at_ms - INTERVAL // 2) // HOUR * HOUR for at_ms, in found})
    assert max(moved, key=lambda row: row["grew"])["at_ms"] == begin
    tick = tick_behind(year, begin + 20 * MINUTE)
    table = ask(year, "netstat", "-an", "--at", at(tick))["rows"]
    peers = [row["remote_address"] for row in table if row["state"] == "TIME_WAIT" and row["local_port"] == 443]
    assert peers.count(HURRIED) > 100 and len(peers) == alive(year, tick).count((443, 6))
    assert max(row["recv_queue"] for row in table if row["state"] == "LISTEN" and row["local_port"] == 443) > 400
    calm = ask(year, "netstat", "-an", "--at", at(end + HOUR))["rows"]
    assert {row["recv_queue"] for row in calm if row["state"] == "LISTEN"} == {0}


def test_the_leak(year, incidents):
    begin, end = incidents["leak"]
    last = tick_before(year, end)
    leaked = alive(year, last).count((8080, 8))
    assert leaked > 390
    rows = [row for row in ask(year, "netstat", "-an", "--at", at(last))["rows"] if row["state"] == "CLOSE_WAIT"]
    assert len(rows) == leaked and {row["process"] for row in rows} == {"shop-api"}
    before, = {row["pid"] // 100 for row in rows}
    trend = ask(year, "report", "--port", "8080", "--state", "CLOSE_WAIT", "--step", "1h", *span(begin, end))["rows"]
    most = [row["max"] for row in trend]
    assert most == sorted(most) and most[-1] == leaked
    rows = ask(year, "netstat", "-an", "--at", at(tick_behind(year, end)))["rows"]
    assert not [row for row in rows if row["state"] == "CLOSE_WAIT"]
    after = ask(year, "list", "--process", "shop-api", *span(end + INTERVAL, end + 12 * HOUR))["rows"]
    assert after and before not in {row["pid"] // 100 for row in after if row["first_seen_ms"] > end}


def test_the_reboot_and_the_gap(year, incidents):
    ticks = [row[0] for row in query(year, "SELECT start_ms FROM snapshots WHERE status = 0 ORDER BY start_ms")]
    holes = [[a, b] for a, b in zip(ticks, ticks[1:]) if b - a > INTERVAL * 3 // 2]
    assert len(holes) == 2
    for (begin, end), name in zip(holes, ("reboot", "gap")):
        assert begin < incidents[name][0] < incidents[name][1] <= end
        assert end - begin < incidents[name][1] - incidents[name][0] + 2 * INTERVAL
    (reboot, gap), = [ask(year, "report", "--port", "443", *span(ticks[0], ticks[-1]))["coverage"]["gaps"]]
    assert [[row["from_ms"], row["until_ms"]] for row in (reboot, gap)] == holes
    assert "reboot" in reboot["reason"] and "reboot" not in gap["reason"]
    assert query(year, "SELECT boot FROM recordings ORDER BY id") == [(1,), (2,), (2,)]
    done = connhist("--db", year, "netstat", "-an", "--at", at(incidents["gap"][0] + HOUR), "--format", "json")
    assert "nothing was recorded at that time" in done.stderr
    listeners = query(year, "SELECT count(*) FROM listeners WHERE first_seen_ms = ?", holes[0][1])[0][0]
    assert listeners == 8 and query(year, "SELECT count(*) FROM listeners WHERE first_seen_ms = ?", holes[1][1]) == [(0,)]


def test_lost_events(year, incidents):
    begin, end = incidents["lost"]
    lost = query(year, "SELECT from_ms, until_ms FROM losses WHERE kind = 6 AND text LIKE '%buffer%' ORDER BY from_ms")
    assert lost[0][0] <= begin and lost[-1][1] >= end and lost[-1][1] - lost[0][0] <= end - begin + 2 * INTERVAL
    told = ask(year, "report", "--port", "443", *span(begin - HOUR, end + HOUR))["coverage"]
    assert [(row["from_ms"], row["until_ms"]) for row in told["events_lost_spans"]] == lost
    before = ask(year, "report", "--port", "443", *span(begin - 2 * HOUR, begin - HOUR))["coverage"]
    assert (told["events_lost"], before["events_lost"]) == (len(lost), 0)


@pytest.mark.parametrize("args, word", [
    (["--days"], "--days"), (["--days", "x", "f"], "'x'"), (["--days", "0", "f"], "'0'"), (["--begin", "2025-13-01", "f"], "2025-13-01"),
    (["--incidents", "some", "f"], "some"), (["--colour"], "--colour"), (["--", "-f"], "-f"), ([], "FILE"),
    (["f", "1", "2", "3", "4"], "'4'"), (["f", "-1"], "--help"), (["/etc/passwd"], "/etc/passwd")])
def test_wrong_usage_is_one_line(args, word):
    done = generate(*args, status=2)
    assert done.stdout == "" and done.stderr.startswith("generate: ") and done.stderr.count("\n") == 1 and word in done.stderr
