# SPDX-License-Identifier: MIT
"""Namespaces that are recorded at times, or not completely: what is not known of one is no news of another, and never
looks like sockets that closed. With a made-up kernel where dumps fail, with real namespaces elsewhere."""
import json
import os
import signal
import sqlite3
import subprocess
from collections import Counter

from conftest import BUILD, HERE, connhist, query, wait_until
from test_netns import close, config, connection, ip, make, names, open_now, tag  # noqa: F401 fixtures

REPLAY = BUILD / "tests" / "replay" / "replay"
START_MS = 1_700_000_000_000
STEP_MS = 10_000


class Stage:
    """Ticks of a made-up kernel with three namespaces; a listener and some connections in each."""

    def __init__(self, path):
        self.path, self.at_ms, self.commands = path, START_MS, ["namespaces 3", "start boot-1"]
        self.here = {0: {1, 2}, 1: {1, 2}, 2: {1, 2}}
        self.failing = set()

    def tick(self, *failing):
        self.at_ms += STEP_MS
        self.commands.append(f"clock {(self.at_ms - START_MS) * 1_000_000} {self.at_ms * 1_000_000}")
        for place, numbers in self.here.items():
            self.commands.append(f"into {place}")
            self.commands += [f"sample tcp 4 192.0.2.1 80 198.51.100.7 {40000 + n} ESTABLISHED {1000 * place + n + 7} "
                              f"{1000 * place + n} 0 0 0 0 0 0 2" for n in sorted(numbers)]
            self.commands += ["fail"] * (place in failing)
        self.commands.append("tick")
        return self.at_ms

    def run(self):
        done = subprocess.run([REPLAY, self.path, "on", "100"], input="\n".join([*self.commands, "stop", ""]), text=True,
                              capture_output=True, check=False, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stderr


def ask(db, *words):
    return json.loads(connhist("--db", db, *words, "--format", "json").stdout)


def span(from_ms, until_ms):
    """With what is of that last instant: it would not belong to a span that ends there."""
    return ("--since", f"@{from_ms / 1000}", "--until", f"@{(until_ms + 1) / 1000}")


def gaps(document):
    return [(gap["from_ms"], gap["until_ms"], gap["reason"]) for gap in document["coverage"]["gaps"]]


def test_a_namespace_that_fails_keeps_no_other_from_being_complete(tmp_path):
    stage = Stage(tmp_path / "fails.db")
    first = stage.tick()
    stage.here[0].remove(1)
    stage.here[1].remove(1)
    for _ in range(4):
        last = stage.tick(1)
    whole = stage.tick()
    said = stage.run()
    assert said.count("a snapshot was interrupted: n1: ") == 1
    assert query(stage.path, "SELECT n.name, count(*) FROM incomplete JOIN netns AS n ON n.id = netns GROUP BY 1") == [("n1", 4)]
    closed = "SELECT netns, count(*) FROM sockets WHERE closed_ms IS NOT NULL GROUP BY 1 ORDER BY 1"
    assert query(stage.path, closed) == [("", 1), ("n1", 1)]
    # each has a coverage of its own
    document = ask(stage.path, "--netns", "own", "list", *span(first, last))
    assert document["coverage"]["done"] == 5 and gaps(document) == []
    document = ask(stage.path, "--netns", "n1", "list", *span(first, last))
    assert document["coverage"]["done"] == 1 and document["coverage"]["interrupted"] == 4
    document = ask(stage.path, "--netns", "n1", "list", *span(first, whole))
    assert gaps(document) == [(first, whole, "dump failed")]
    # and counts that are exact
    for netns, counts in (("own", {2: 1, 1: 4}), ("n2", {2: 5})):
        rows = ask(stage.path, "--netns", netns, "report", "--port", "80", "--step", "10s", *span(first, last + STEP_MS - 1))["rows"]
        assert Counter(row["last"] for row in rows if row["last"] is not None) == counts
    at = ask(stage.path, "--netns", "own", "netstat", "--at", f"@{last / 1000}")
    assert at["snapshot_ms"] == last and not at["in_gap"] and len(at["rows"]) == 1
    at = ask(stage.path, "--netns", "n1", "netstat", "--at", f"@{last / 1000}")
    assert at["snapshot_ms"] == first and at["in_gap"] and len(at["rows"]) == 2


def test_a_restart_goes_on_where_each_namespace_was_complete_last(tmp_path):
    stage = Stage(tmp_path / "restart.db")
    stage.tick()
    for _ in range(3):
        stage.tick(1)
    stage.commands += ["stop", "start boot-1"]
    stage.here[0].add(3)
    stage.here[1].add(3)
    stage.tick()
    stage.run()
    known = query(stage.path, "SELECT netns, opened_ms IS NOT NULL FROM sockets WHERE remote_port = 40003 ORDER BY 1")
    assert known == [("", 1), ("n1", 0)]
    assert query(stage.path, "SELECT count(*) FROM closed") == [(0,)]


def test_what_is_excluded_is_a_gap_and_no_closed_socket(tmp_path):
    for why, reason in ((2, "excluded by the configuration"), (3, "could not be entered"), (4, "did not show")):
        for restart in (False, True):
            stage = Stage(tmp_path / f"excluded-{why}-{restart}.db")
            first = stage.tick()
            seen = stage.tick()
            stage.commands += ["stop", "start boot-1"] * restart
            stage.commands.insert(len(stage.commands) - restart, f"without 1 {why}")
            for _ in range(3):
                stage.tick()
            stage.commands.append("with 1")
            again = stage.tick()
            last = stage.tick()
            stage.run()
            assert query(stage.path, "SELECT total(closed) FROM rates") == [(0,)]
            ended = query(stage.path, "SELECT netns, closed_ms, closed_by FROM sockets WHERE closed_ms IS NOT NULL")
            assert ended == [("n1", seen + 1, "unknown")] * 2
            assert query(stage.path, "SELECT count(opened_ms) FROM sockets WHERE netns = 'n1'") == [(0,)]
            document = ask(stage.path, "--netns", "n1", "list", *span(first, last))
            assert gaps(document) == [(seen, again, f"network namespace {reason}")]
            assert document["coverage"]["done"] == 4
            assert gaps(ask(stage.path, "--netns", "n2", "list", *span(first, last))) == []
            at = ask(stage.path, "--netns", "n1", "netstat", "--at", f"@{(again - STEP_MS) / 1000}")
            assert at["in_gap"] and at["snapshot_ms"] == seen
            rows = ask(stage.path, "--netns", "n1", "report", "--port", "80", "--step", "10s", *span(first, last + STEP_MS - 1))["rows"]
            assert {row["last"] for row in rows if row["last"] is not None} == {2}


def test_one_that_is_gone_has_no_gap(tmp_path):
    stage = Stage(tmp_path / "gone.db")
    first = stage.tick()
    stage.commands.append("without 1 1")
    gone = stage.tick()
    last = stage.tick()
    stage.run()
    assert query(stage.path, "SELECT DISTINCT closed_ms FROM sockets WHERE netns = 'n1'") == [(gone,)]
    assert gaps(ask(stage.path, "--netns", "n1", "list", *span(first, last))) == []


def test_before_it_was_recorded_is_a_gap(tmp_path):
    stage = Stage(tmp_path / "later.db")
    stage.commands.append("without 1 2")
    first = stage.tick()
    stage.tick()
    stage.commands.append("with 1")
    taken = stage.tick()
    last = stage.tick()
    stage.run()
    document = ask(stage.path, "--netns", "n1", "list", *span(first, last))
    assert gaps(document) == [(first, taken, "network namespace not recorded yet")]


def test_the_own_namespace_of_another_run_is_another(tag, config, record, db):
    made = make(tag, 2)
    sockets = connection(made[0]) + connection(made[1])
    for name in made:
        subprocess.run(["ip", "netns", "exec", name, BUILD / "src" / "connhistd" / "connhistd", "--config", config(include=[]),
                        "--db", db, "--once"], check=True, capture_output=True, timeout=120)
    close(sockets)
    inodes = [os.stat(f"/run/netns/{name}").st_ino for name in made]
    assert query(db, "SELECT inode FROM netns WHERE name = '' ORDER BY id") == [(inode,) for inode in inodes]
    # the same endpoints, and no life goes on in the other
    assert query(db, "SELECT n.inode, count(*) FROM lives AS l JOIN services AS s ON s.id = l.service JOIN netns AS n"
                     " ON n.id = s.netns GROUP BY n.id ORDER BY n.id") == [(inode, 3) for inode in inodes]
    rows = ask(db, "list")["rows"]
    assert {row["netns"] for row in rows} == {f"own (inode:{inode})" for inode in inodes}
    assert {row["netns"] for row in ask(db, "--netns", f"inode:{inodes[0]}", "list")["rows"]} == {""}


def test_a_name_that_is_given_again_is_told_apart(tag, config, record, db):
    name, = make(tag, 1)
    sockets = connection(name)
    recorder = record(HERE, "--config", config(), "--interval", "200ms")
    recorder.wait_snapshots(1)
    wait_until(lambda: len(open_now(db, name)) == 3, "the first namespace")
    keeper = subprocess.Popen(["ip", "netns", "exec", name, "cat"], stdin=subprocess.PIPE)  # its number is not given again
    first = os.stat(f"/run/netns/{name}").st_ino
    wait_until(lambda: os.stat(f"/proc/{keeper.pid}/ns/net").st_ino == first, "the process in it")
    try:
        ip("netns", "del", name)
        make(tag, 1)
        second = os.stat(f"/run/netns/{name}").st_ino
        sockets += connection(name)
        wait_until(lambda: query(db, "SELECT count(*) FROM netns WHERE inode = ?", second) == [(1,)], "the second namespace")
        recorder.wait_snapshots(2)
        recorder.stop()
    finally:
        keeper.stdin.close()
        keeper.wait()
        close(sockets)
    shown = Counter(row["netns"] for row in ask(db, "list")["rows"] if row["netns"].startswith(name))
    assert shown == {f"{name} (inode:{first})": 3, f"{name} (inode:{second})": 3}
    # chosen by number there is one of that name
    assert {row["netns"] for row in ask(db, "--netns", f"inode:{second}", "list")["rows"]} == {name}
    # the first one goes by its number now, which the configuration does not include
    assert query(db, "SELECT ended FROM netns_spans JOIN netns AS n ON n.id = netns WHERE n.inode = ?", first) == [(2,)]


def test_long_names_that_begin_alike_are_two(tag, config, record, db):
    made = [tag + "x" * 70 + end for end in "ab"]
    for name in made:
        ip("netns", "add", name)
    record(HERE, "--config", config(include=[f"{tag}*a", f"{tag}*b"]), "--once").wait()
    found = [name for name, in query(db, "SELECT name FROM netns WHERE name != ''")]
    assert len(set(found)) == 2 and all(name.startswith(tag) and len(name) == 63 for name in found)


def test_a_reload_that_excludes_a_namespace_closes_no_socket(tag, config, record, db):
    made = make(tag, 2)
    sockets = connection(made[0]) + connection(made[1])
    recorder = record(HERE, "--config", config(), "--interval", "200ms")
    recorder.wait_snapshots(1)
    wait_until(lambda: all(len(open_now(db, name)) == 3 for name in made), "both namespaces")
    recorder.wait_snapshots(1)
    config(exclude=[made[1]])
    recorder.process.send_signal(signal.SIGHUP)
    wait_until(lambda: not open_now(db, made[1]), "the end of one")
    recorder.wait_snapshots(2)
    assert len(open_now(db, made[0])) == 3
    assert query(db, "SELECT ended FROM netns_spans JOIN netns AS n ON n.id = netns WHERE n.name = ?", made[1]) == [(2,)]
    assert query(db, "SELECT total(closed) FROM rates WHERE netns = ?", made[1]) == [(0,)]
    assert "network namespace excluded by the configuration" in [
        gap["reason"] for gap in ask(db, "--netns", made[1], "list")["coverage"]["gaps"]]
    config()
    recorder.process.send_signal(signal.SIGHUP)
    wait_until(lambda: len(open_now(db, made[1])) == 3, "the other again")
    recorder.stop()
    close(sockets)
    assert query(db, "SELECT count(opened_ms) FROM sockets WHERE netns = ?", made[1]) == [(0,)]
    assert query(db, "SELECT count(*) FROM netns WHERE name != ''") == [(2,)]
