# SPDX-License-Identifier: MIT
"""A span is from `--since` to before `--until`, whoever is asked: a made-up socket of which the first and the last snapshot are
known, spans that end and begin at that very instant, and Python's own comparison of both."""
import csv
import io
import itertools
import json
import sqlite3
import subprocess

import pytest
from test_owners import CONNHIST, START_MS, WALL_MS, Host, Record, server

FIRST, GONE, LAST = 5, 9, 14  # the snapshots that show the connection first, do not show it any more, and are the last


def wall(tick):
    return WALL_MS + START_MS + tick * 10_000


@pytest.fixture(name="made", scope="module")
def make_record(tmp_path_factory):
    host = Host()
    server(host)
    host.do("holds 100 15")
    host.tick(FIRST - 1)
    host.socket(10, "ESTABLISHED", 80, 40000)
    host.tick(GONE - FIRST)
    host.close(10)
    host.tick(LAST - GONE + 1)
    return Record(tmp_path_factory.mktemp("span") / "span.db", host)


def span(since_ms, until_ms):
    return ["--since", f"@{since_ms / 1000:.3f}", "--until", f"@{until_ms / 1000:.3f}"]


def listed(made, args):
    return len(json.loads(made.ask("list", "--peer", "198.51.100.7", "--format", "json", *args))["rows"])


def held(made, args):
    rows = json.loads(made.ask("who", "--port", "80", "--format", "json", *args))["rows"]
    return sum(row["sockets"] for row in rows if row["use"] == "connection")


def exported(made, args):
    return sum(row["remote_port"] == "40000" for row in csv.DictReader(io.StringIO(made.ask("export", "--format", "csv", *args))))


def copied(made, args):
    copy = made.path.with_name("copy.db")
    copy.unlink(missing_ok=True)
    subprocess.run([CONNHIST, "--db", made.path, "export", "--to-sqlite", copy, *args], check=True, capture_output=True, timeout=60)
    database = sqlite3.connect(copy)
    (rows,), = database.execute("SELECT count(*) FROM sockets WHERE remote_port = 40000")
    database.close()
    return rows


INSTANTS = [wall(tick) + more for tick in (FIRST, GONE) for more in (-1, 0, 1)]


@pytest.mark.parametrize("ask", [listed, held, exported])
def test_a_socket_is_in_a_span_from_its_begin_to_before_its_end(made, ask):
    """It opened at FIRST and was gone at GONE: [since, until) and [FIRST, GONE) must meet."""
    answers = set()
    for since, until in itertools.combinations([wall(1), *INSTANTS, wall(LAST)], 2):
        truth = int(since < wall(GONE) and until > wall(FIRST))
        assert ask(made, span(since, until)) == truth, (since, until)
        answers.add((truth, since in INSTANTS, until in INSTANTS))
    assert len({answer[0] for answer in answers}) == 2


def test_a_copy_of_a_span_ends_before_its_end(made):
    """It begins earlier, where all counts were written."""
    for until in INSTANTS[:3]:
        assert copied(made, span(wall(1), until)) == int(until > wall(FIRST))


def test_counts_and_sockets_of_a_span_are_of_the_same_snapshots(made):
    """`report` counts those that `list` shows, and both were as many snapshots."""
    for until in (wall(FIRST), wall(FIRST) + 1):
        args = span(wall(2), until)
        counts = json.loads(made.ask("report", "--port", "80", "--state", "ESTABLISHED", "--step", "1h", "--format", "json", *args))
        lists = json.loads(made.ask("list", "--peer", "198.51.100.7", "--format", "json", *args))
        assert max((row["max"] or 0 for row in counts["rows"]), default=0) == len(lists["rows"]) == int(until > wall(FIRST))
        whose = json.loads(made.ask("who", "--port", "80", "--format", "json", *args))
        assert counts["coverage"]["done"] == lists["coverage"]["done"] == whose["coverage"]["done"] == FIRST - 2 + (until > wall(FIRST))


def test_spans_that_follow_one_another_share_no_opening(made):
    """What was first seen in one of them is not first seen in another, and nothing is lost between them."""
    cuts = [wall(1), *INSTANTS, wall(LAST) + 1]
    rows = [[row["first_seen_ms"] for row in json.loads(made.ask("list", "--format", "json", *span(since, until)))["rows"]
             if since <= row["first_seen_ms"]] for since, until in zip(cuts, cuts[1:])]
    whole = json.loads(made.ask("list", "--format", "json", *span(cuts[0], cuts[-1])))["rows"]
    assert sorted(itertools.chain(*rows)) == [row["first_seen_ms"] for row in whole if row["first_seen_ms"] >= cuts[0]]


def test_an_instant_is_no_span(made):
    """`who --at` and `netstat --at` have what is there at that instant: from FIRST on, and no more at GONE."""
    for tick in (FIRST - 1, FIRST, GONE - 1, GONE):
        at = ["--at", f"@{wall(tick) / 1000:.3f}"]
        there = int(FIRST <= tick < GONE)
        rows = json.loads(made.ask("netstat", "-an", "--peer", "198.51.100.7", "--format", "json", *at))["rows"]
        assert len(rows) == held(made, at) == there
