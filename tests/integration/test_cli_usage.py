# SPDX-License-Identifier: MIT
"""The query program's manners: help, wrong usage, exit statuses, formats, where output goes.

The file asked here is made with Python's sqlite3 from schema/, so that these tests need no recorder."""
import csv
import io
import os
import signal
import socket
import sqlite3
import subprocess
import time

import pytest

from conftest import CONNHIST, SOURCE, connhist, strict_json, wait_until

COMMANDS = ["report", "netstat", "list", "status", "sql"]
MACHINE = ["json", "jsonl", "csv"]
INTERVAL = 10_000
SNAPSHOTS = 60
ENV = {**{name: value for name, value in os.environ.items() if name != "NO_COLOR"},
       "LC_ALL": "C.UTF-8", "TZ": "UTC"}


def address(database, text):
    family = socket.AF_INET6 if ":" in text else socket.AF_INET
    packed = socket.inet_pton(family, text)
    database.execute("INSERT OR IGNORE INTO addresses (bytes) VALUES (?)", (packed,))
    return database.execute("SELECT id FROM addresses WHERE bytes = ?", (packed,)).fetchone()[0]


def add_open(database, life, service, state, since, **columns):
    row = {"life": life, "cookie": life, "inode": 0, "service": service, "local": 1, "remote": 0,
           "local_port": None, "remote_port": None, "scope": None, "owner": None, "since_ms": since,
           "traits": state | 1 << 6, "states": bytes([state]), **columns}
    database.execute(f"INSERT INTO open ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})",
                     list(row.values()))


def make_file(path, now, editions=None):
    """Ten minutes of a listener on port 8000, two connections to it, and a third that comes half-way."""
    begin = now - SNAPSHOTS * INTERVAL
    database = sqlite3.connect(path)
    database.execute("PRAGMA journal_mode = WAL")
    migrations = sorted((SOURCE / "schema").glob("*.sql"))[:editions]
    for migration in migrations:
        database.executescript(migration.read_text())
    database.execute("PRAGMA application_id = 0x636e6873")
    database.execute(f"PRAGMA user_version = {len(migrations)}")
    database.execute("INSERT INTO boots VALUES (1, 'b007', ?)", (begin - 1000,))
    database.execute("INSERT INTO recordings (id, boot, started_ms, ended_ms, interval_ms, detail, version,"
                     " pid, uid) VALUES (1, 1, ?, ?, ?, 'on', '0.1.0', 1, 0)", (begin, now, INTERVAL))
    database.execute("INSERT INTO epochs VALUES (?, 0)", (begin,))
    database.execute("INSERT INTO netns (id, inode, name) VALUES (1, 4026531840, '')")
    database.execute("INSERT INTO services VALUES (1, 1, 6, 1, 8000)")
    database.execute("INSERT INTO service_names VALUES (8000, 6, 'qq')")
    database.executemany("INSERT INTO snapshots (start_ms, recording, status, anchor, sockets, took_us, doubles, unkept)"
                         " VALUES (?, 1, 0, ?, 3, 900, 0, 0)",
                         [(begin + i * INTERVAL, int(i == 0)) for i in range(SNAPSHOTS)])
    half = begin + SNAPSHOTS // 2 * INTERVAL
    database.executemany("INSERT INTO tallies VALUES (1, ?, ?, ?)",
                         [(10, begin, 1), (1, begin, 2), (1, half, 3)])
    address(database, "127.0.0.1")
    add_open(database, 1, 1, 10, begin, remote_port=0)
    for life, since in (2, begin), (3, begin), (4, half):
        add_open(database, life, 1, 1, since, remote=0x0A000000 + life, remote_port=40000 + life - 65536)
    if len(migrations) > 1:
        database.execute("UPDATE recordings SET event_buffer = 8000000")
        minute = half // 60_000 * 60_000
        # Lived 4-7 ms nine times, 512-1023 ms once; round trips of 32-63 us.
        database.execute("INSERT INTO rate_rollups VALUES (1, 1, ?, 12, 1, 2, 3, 4, 0, 1000, 2000, x'03090a01', x'060a')",
                         (minute,))
        database.execute("INSERT INTO rate_rollups VALUES (1, 1, ?, 3, 0, 0, 0, 0, 0, 0, 0, NULL, NULL)", (minute + 60_000,))
    database.execute("UPDATE program SET next_life = 5, last_ms = ?", (now,))
    database.commit()
    database.close()


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A small file that nobody writes any more."""
    path = tmp_path_factory.mktemp("small") / "connhist.db"
    make_file(path, int(time.time() * 1000))
    return path


def refused(*args, status=2, **options):
    """Runs connhist and gives its complaint: one line on stderr, nothing on stdout."""
    done = connhist(*args, status=status, **options)
    assert done.stdout == ""
    assert done.stderr.startswith("connhist: ") and done.stderr.count("\n") == 1
    return done.stderr


# Help and version

def test_help_names_every_command_and_goes_to_stdout():
    done = connhist("--help")
    assert done.stderr == ""
    for command in COMMANDS:
        assert f"\n  {command} " in done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_a_commands_help_is_the_same_before_and_behind_it_and_needs_no_file(command, tmp_path):
    behind = connhist(command, "--db", tmp_path / "none.db", "--help").stdout
    assert connhist("--help", command).stdout == behind == connhist(command, "-h").stdout
    assert "--format FMT" in behind and "--db FILE" in behind
    assert max(map(len, behind.splitlines())) <= 80


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_that_help_shows_is_understood(command):
    for line in connhist(command, "--help").stdout.splitlines():
        words = line.split()
        if not words or not words[0].startswith("-"):
            continue
        option = next(word for word in words if word.startswith("--"))
        # Help wins over whatever else stands there, so only an option that is not known ends otherwise.
        takes_value = words[words.index(option) + 1:][:1] and words[words.index(option) + 1].isupper()
        connhist(command, option, *(["1"] if takes_value else []), "--help")


def test_the_version_is_that_of_the_build():
    version = next(line for line in (SOURCE / "meson.build").read_text().splitlines() if "version:" in line)
    assert connhist("--version").stdout == f"connhist {version.split(chr(39))[1]}\n"
    assert connhist("report", "--version").stdout == connhist("--version").stdout


# Wrong usage

def test_no_command_is_wrong_usage():
    assert "connhist --help" in refused()


def test_an_unknown_command_is_answered_with_the_nearest_one():
    assert "did you mean report?" in refused("repport")
    assert "zzzzzzzzzz" in refused("zzzzzzzzzz")


def test_an_unknown_option_is_answered_with_the_nearest_one():
    assert "did you mean --proto?" in refused("list", "--protto", "tcp")
    assert "-x" in refused("netstat", "-anx")
    assert "--limit" in refused("--limit", "3", "list")


def test_a_value_that_lacks_or_is_too_much_is_told():
    assert "--port LIST" in refused("report", "--port")
    assert "takes no value" in refused("netstat", "--all=yes")
    assert "unexpected word http" in refused("report", "http")


@pytest.mark.parametrize("args, told", [
    (["report", "--format", "jsn"], "json"),
    (["list", "--format", "chart"], "table, json, jsonl, csv"),
    (["report", "--color", "red"], "auto, always, never"),
    (["report", "--state", "TIME_WIAT"], "TIME_WIAT"),
    (["report", "--port", "99999"], "99999"),
    (["report", "--port", "80,nosuchservice"], "nosuchservice"),
    (["report", "--proto", "sctp"], "tcp, udp"),
    (["report", "--proto", "tcpv6"], "IPv4 and IPv6 together"),
    (["report", "--role", "both"], "server, client"),
    (["report", "--by", "port,colour"], "colour"),
    (["report", "--since", "someday"], "someday"),
    (["report", "--since", "now"], "past"),
    (["report", "--since", "-1h", "--until", "-2h"], "before --until"),
    (["report", "--step", "15"], "15"),
    (["report", "--measure", "speed"], "opened, closed, bytes, duration, rtt"),
    (["report", "--measure", "opened", "--state", "LISTEN"], "--state"),
    (["report", "--measure", "opened", "--peer", "10.0.0.1"], "--peer"),
    (["report", "--measure", "opened", "--by", "port,state"], "--by state"),
    (["report", "--measure", "opened", "--by", "peer"], "--by peer"),
    (["report", "--measure", "opened", "--step", "30s"], "too short"),
    (["report", "--top", "-1"], "--top -1"),
    (["list", "--peer", "10.0.0.0/33"], "10.0.0.0/33"),
    (["list", "--peer", "10.0.0.1", "--peer", "10.0.0.2"], "given twice"),
    (["list", "--limit", "many"], "many"),
    (["netstat", "--role", "server"], "--at"),
    (["netstat", "--at", "+1h"], "past"),
    (["sql", "--timeout", "soon", "SELECT 1"], "soon"),
    (["sql", "SELECT", "1"], "quotes"),
    (["sql", "--netns", "x", "SELECT 1"], "--netns"),
    (["--netns", "x", "status"], "status has no --netns"),
])
def test_a_bad_value_is_named_with_what_would_be_right(args, told, small):
    assert told in refused("--db", small, *args)


# Files

def test_a_file_that_is_not_there_cannot_be_asked(tmp_path):
    assert "none.db" in refused("--db", tmp_path / "none.db", "status", status=3)


def test_a_file_of_another_kind_cannot_be_asked(tmp_path):
    (tmp_path / "text.db").write_text("this is no database\n" * 100)
    assert "text.db" in refused("--db", tmp_path / "text.db", "list", status=3)


def test_a_file_from_a_newer_version_cannot_be_asked(tmp_path):
    path = tmp_path / "newer.db"
    make_file(path, 1_700_000_000_000)
    database = sqlite3.connect(path)
    database.execute("PRAGMA user_version = 999")
    database.close()
    assert "999" in refused("--db", path, "report", status=3)


@pytest.mark.parametrize("change, lacks", [
    ("DROP VIEW counter_minutes; DROP TABLE counters", "counters.netns"), ("DROP VIEW listeners", "the view listeners"),
    ("DROP VIEW counter_minutes; ALTER TABLE counters DROP COLUMN over_gap", "counters.over_gap")])
def test_a_file_of_an_unfinished_edition_cannot_be_asked(tmp_path, change, lacks):
    path = tmp_path / "early.db"
    make_file(path, 1_700_000_000_000)
    database = sqlite3.connect(path)
    database.executescript(change)
    database.close()
    for args in (["report"], ["list"], ["netstat", "-s", "--at", "now"], ["diff", "--from", "-1h"], ["export", "--format", "openmetrics"],
                 ["sql", "SELECT 1"]):
        assert lacks in refused("--db", path, *args, status=3)


def test_the_configuration_names_file_and_ports(small, tmp_path):
    config = tmp_path / "connhist.yaml"
    config.write_text(f"database: {small}\nservices:\n  8000/tcp: myservice\n")
    done = connhist("--config", config, "report", "--port", "myservice", "--format", "json")
    assert {row["port"] for row in strict_json(done.stdout)["rows"]} == {8000}


def test_a_broken_configuration_that_was_named_is_an_error(small, tmp_path):
    config = tmp_path / "connhist.yaml"
    config.write_text("intervall: 10s\n")
    assert f"{config}:1:1" in refused("--config", config, "--db", small, "status", status=3)
    assert "none.yaml" in refused("--config", tmp_path / "none.yaml", "status", status=3)


# Answers

@pytest.mark.parametrize("command", ["report", "list", "status"])
def test_json_has_schema_span_coverage_and_rows(command, small):
    document = strict_json(connhist("--db", small, command, "--format", "json").stdout)
    assert document["schema"] == f"connhist/{command}/1"
    assert document["since_ms"] < document["until_ms"]
    assert {"planned", "done", "interrupted", "missed", "events_lost", "gaps"} <= document["coverage"].keys()
    assert document["rows"]


@pytest.mark.parametrize("command", ["report", "list", "status"])
def test_machine_formats_hold_the_same_rows(command, small):
    def run(name):
        return connhist("--db", small, command, *span, "--format", name).stdout
    # A fixed span: without it each run would end at its own now.
    end = int(time.time()) - 30
    span = [] if command == "status" else ["--since", f"@{end - 400}", "--until", f"@{end}"]
    rows = strict_json(run("json"))["rows"]
    assert [strict_json(line) for line in run("jsonl").splitlines()] == rows
    table = list(csv.reader(io.StringIO(run("csv"))))
    assert table[0] == list(rows[0])
    assert len(table) == len(rows) + 1
    for line, row in zip(table[1:], rows):
        for text, value in zip(line, row.values()):
            assert text == ("" if value is None else text if isinstance(value, float) else str(value))


def test_report_counts_what_is_in_the_file(small):
    document = strict_json(connhist("--db", small, "report", "--port", "8000", "--format", "json").stdout)
    established = [row for row in document["rows"] if row["state"] == "ESTABLISHED"]
    assert {row["role"] for row in established} == {"server"} and {row["protocol"] for row in established} == {"tcp"}
    known = [row for row in established if row["max"] is not None]
    assert known[0]["max"] == 2 and known[-1]["last"] == 3
    assert set(established[0]) == {"at_ms", "protocol", "port", "role", "state", "min", "avg", "max", "last"}


def test_report_tells_peers_apart_when_asked(small):
    document = strict_json(connhist("--db", small, "report", "--by", "peer", "--format", "json").stdout)
    assert {"10.0.0.2", "10.0.0.3", "10.0.0.4"} <= {row["peer"] for row in document["rows"]}


def test_what_report_sums_over_is_null_for_programs_and_not_there_for_people(small):
    rows = strict_json(connhist("--db", small, "report", "--by", "state", "--format", "json").stdout)["rows"]
    assert {(row["protocol"], row["port"], row["role"]) for row in rows} == {(None, None, None)}
    assert connhist("--db", small, "report", "--by", "state").stdout.split()[:3] == ["TIME", "STATE", "MIN"]
    # A state that was asked for is known, summed over or not.
    rows = strict_json(connhist("--db", small, "report", "--by", "port", "--state", "established",
                                "--format", "json").stdout)["rows"]
    assert {(row["port"], row["state"]) for row in rows} == {(8000, "ESTABLISHED")}


MEASURES = {
    "opened": {"opened": 12, "per_second": 0.2},
    "closed": {"closed": 10, "closed_local": 1, "closed_remote": 2, "closed_reset": 3, "closed_timeout": 4,
               "closed_unknown": 0, "per_second": 10 / 60},
    "bytes": {"tx_bytes": 1000, "rx_bytes": 2000},
    "duration": {"n": 10, "p50_ms": 7, "p90_ms": 7, "p99_ms": 1023},
    "rtt": {"n": 10, "p50_us": 63, "p90_us": 63, "p99_us": 63},
}


@pytest.mark.parametrize("measure", MEASURES)
def test_report_measures_what_came_and_went(measure, small):
    def run(name):
        return connhist("--db", small, "report", "--measure", measure, "--step", "1m", "--format", name,
                        "--since", f"@{end - 1200}", "--until", f"@{end}").stdout
    end = int(time.time()) // 60 * 60
    document = strict_json(run("json"))
    assert (document["schema"], document["measure"], document["step_ms"]) == ("connhist/rates/1", measure, 60_000)
    assert document["coverage"]["done"] > 0 and document["coverage"]["gaps"]
    rows = document["rows"]
    assert len(rows) == 20 and [row["at_ms"] for row in rows] == [(end - 1200 + i * 60) * 1000 for i in range(20)]
    fields = ["at_ms", "protocol", "port", "role", *MEASURES[measure], "at_least"]
    assert {tuple(row) for row in rows} == {tuple(fields)}
    told = [row for row in rows if row.get("n", row[fields[4]])]
    assert told[0] == {"at_ms": told[0]["at_ms"], "protocol": "tcp", "port": 8000, "role": "server",
                       "at_least": 0, **{name: pytest.approx(value) for name, value in MEASURES[measure].items()}}
    assert [row["opened"] for row in told[1:]] == [3] if measure == "opened" else not told[1:]
    # Ten minutes of the twenty were recorded; nothing is no zero.
    assert {row[name] for row in rows[:5] for name in MEASURES[measure]} == {None}
    assert [strict_json(line) for line in run("jsonl").splitlines()] == rows
    table = list(csv.reader(io.StringIO(run("csv"))))
    assert table[0] == fields and len(table) == 21
    assert "8000 (qq)" in run("table") and "coverage:" in run("table")


def test_what_a_measure_sums_over_is_null_for_programs_and_not_there_for_people(small):
    def run(name):
        return connhist("--db", small, "report", "--measure", "bytes", "--by", "role", "--format", name).stdout
    rows = strict_json(run("json"))["rows"]
    assert {(row["protocol"], row["port"], row["role"]) for row in rows} == {(None, None, "server")}
    assert run("table").split()[:3] == ["TIME", "ROLE", "SENT"]


@pytest.mark.parametrize("remote", [b"\1\2\3", b"", bytes(16), 1 << 31, "10.0.0.1"])
def test_a_remote_address_that_no_socket_can_have_is_damage(tmp_path, remote):
    make_file(tmp_path / "odd.db", int(time.time() * 1000))
    with sqlite3.connect(tmp_path / "odd.db") as database:
        database.execute("UPDATE open SET remote = ? WHERE life = 2", (remote,))
    assert "damaged" in refused("--db", tmp_path / "odd.db", "list", "--port", "8000", status=3)


def test_a_measure_of_nothing_says_so(small):
    done = connhist("--db", small, "report", "--measure", "opened", "--port", "1", "--format", "json")
    assert strict_json(done.stdout)["rows"] == []
    assert "no service matches" in done.stderr


def test_a_file_of_the_first_edition_has_no_rates_and_is_told_so(tmp_path):
    make_file(tmp_path / "old.db", int(time.time() * 1000), editions=1)
    assert "older edition" in refused("--db", tmp_path / "old.db", "report", "--measure", "opened", status=3)


def test_sql_knows_histograms(small):
    done = connhist("--db", small, "sql", "--format", "csv",
                    "SELECT port, percentile(histogram_sum(durations), 0.99) AS p99 FROM rates GROUP BY port")
    assert done.stdout == "port,p99\n8000,1023\n"


def test_report_draws_a_chart_only_when_asked_or_on_a_terminal(small):
    into_pipe = connhist("--db", small, "report", env=ENV).stdout
    assert into_pipe.split()[:3] == ["TIME", "PROTO", "PORT"] and "coverage:" in into_pipe
    chart = connhist("--db", small, "report", "--format", "chart", env=ENV).stdout
    assert "ESTABLISHED" in chart and "coverage:" in chart and "TIME " not in chart


def test_own_names_of_ports_are_shown_and_understood(small):
    assert "(qq)" in connhist("--db", small, "report", "--port", "qq").stdout
    assert "127.0.0.1:qq" in connhist("--db", small, "netstat", "-a", "--at", "-1m").stdout
    assert "127.0.0.1:8000" in connhist("--db", small, "netstat", "-an", "--at", "-1m").stdout


def test_netstat_at_says_which_snapshot_it_shows(small):
    done = connhist("--db", small, "netstat", "-an", "--at", "-1m")
    assert done.stdout.startswith("Snapshot of ")
    document = strict_json(connhist("--db", small, "netstat", "--format", "json", "-an", "--at", "-1m").stdout)
    assert 0 <= document["distance_ms"] < 2 * INTERVAL
    assert document["at_ms"] - document["snapshot_ms"] == document["distance_ms"]
    assert not document["in_gap"]
    assert len(document["rows"]) == 4
    listener = document["rows"][0]
    assert (listener["state"], listener["local_address"], listener["local_port"], listener["remote_port"]) == (
        "LISTEN", "127.0.0.1", 8000, 0)
    assert {row["role"] for row in document["rows"]} == {"server"}


def test_netstat_without_all_leaves_listeners_out_but_not_when_asked_by_state(small):
    def states(*args):
        done = connhist("--db", small, "netstat", "--at", "-1m", "--format", "json", *args)
        return {row["state"] for row in strict_json(done.stdout)["rows"]}
    assert states() == {"ESTABLISHED"}
    assert states("-a") == {"ESTABLISHED", "LISTEN"}
    assert states("--state", "listening") == {"LISTEN"}


def test_netstat_at_a_time_before_the_record_cannot_be_answered(small):
    assert "begins at" in refused("--db", small, "netstat", "--at", "2001-02-03", status=3)


def test_netstat_now_needs_no_file(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        done = connhist("--db", tmp_path / "none.db", "netstat", "-an", "--port", str(port), "--format", "json")
        rows = strict_json(done.stdout)["rows"]
    assert [(row["state"], row["local_address"], row["local_port"]) for row in rows] == [
        ("LISTEN", "127.0.0.1", port)]


def test_nothing_matching_is_an_answer_and_said_so(small):
    for args in ["report", "--port", "1"], ["list", "--port", "1"], ["netstat", "--at", "-1m", "--port", "1"]:
        done = connhist("--db", small, *args)
        assert " matches" in done.stderr, args


def test_nothing_recorded_does_not_look_like_nothing_there(small):
    for command in "report", "list":
        done = connhist("--db", small, command, "--since", "2001-01-01", "--until", "2001-01-02")
        assert "nothing was recorded" in done.stderr


def test_csv_complains_where_the_record_is_not_whole(small):
    done = connhist("--db", small, "report", "--since", "-2h", "--format", "csv")
    assert "not whole" in done.stderr and "gap" in done.stderr


def test_list_says_when_it_was_cut(small):
    done = connhist("--db", small, "list", "--limit", "2", "--format", "jsonl")
    assert len(done.stdout.splitlines()) == 2 and "--limit" in done.stderr
    assert "--limit" not in connhist("--db", small, "list", "--limit", "4", "--format", "jsonl").stderr


def test_status_tells_people_in_words(small):
    text = connhist("--db", small, "status").stdout
    for word in "recorder:", "not running", "interval:", "last snapshot:", "coverage:", str(small):
        assert word in text


# SQL

def test_sql_runs_several_statements_from_standard_input(small):
    done = connhist("--db", small, "sql", input="SELECT 1 AS a; -- two\nSELECT 'x' AS b;\n")
    assert done.stdout.split() == ["a", "1", "b", "x"]


def test_sql_gives_every_type(small):
    done = connhist("--db", small, "sql", "--format", "json",
                    "SELECT 1 AS i, 1.5 AS f, 'é' AS t, x'00ff' AS b, NULL AS n")
    assert strict_json(done.stdout)["rows"] == [{"i": 1, "f": 1.5, "t": "é", "b": "x'00ff'", "n": None}]


@pytest.mark.parametrize("statement", ["DELETE FROM tallies", "CREATE TABLE t (a)", "PRAGMA user_version = 7",
                                       "VACUUM", "ATTACH '/tmp/connhist-test-other.db' AS o"])
def test_sql_refuses_to_write(small, statement):
    before = small.read_bytes()
    refused("--db", small, "sql", statement)
    assert small.read_bytes() == before


def test_bad_sql_is_wrong_usage_with_sqlites_words(small):
    assert "nosuchtable" in refused("--db", small, "sql", "SELECT * FROM nosuchtable")
    assert "syntax error" in refused("--db", small, "sql", "SELEKT 1")


ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


def test_sql_gives_up_after_its_timeout(small):
    refused("--db", small, "sql", "--timeout", "200ms", ENDLESS, status=3)


def test_sql_can_be_interrupted(small):
    process = subprocess.Popen([CONNHIST, "--db", small, "sql", ENDLESS], stderr=subprocess.PIPE, text=True)
    # SigCgt tells when the handler is in place.
    def catches():
        line = next(line for line in open(f"/proc/{process.pid}/status") if line.startswith("SigCgt"))
        return int(line.split()[1], 16) & 1 << (signal.SIGINT - 1)
    wait_until(catches, "the handler of SIGINT")
    process.send_signal(signal.SIGINT)
    _, complaint = process.communicate(timeout=30)
    assert process.returncode == 3 and "interrupted" in complaint


# Output

def test_a_reader_that_goes_away_is_no_news(small):
    rows = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 300000) SELECT i FROM n"
    for disposition in signal.SIG_DFL, signal.SIG_IGN:
        process = subprocess.Popen([CONNHIST, "--db", small, "sql", "--format", "csv", rows],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, restore_signals=False,
                                   preexec_fn=lambda disposition=disposition: signal.signal(signal.SIGPIPE, disposition))
        assert process.stdout.readline() == "i\n"
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(30) in (0, -signal.SIGPIPE)
        process.stderr.close()


@pytest.mark.parametrize("args", [["--help"], ["status"], ["report"], ["report", "--format", "chart"],
                                  ["list", "--format", "json"], ["sql", "SELECT 1"], ["netstat", "-a"]])
def test_output_that_cannot_be_written_is_no_answer(args, small):
    with open("/dev/full", "w") as full:
        done = subprocess.run([CONNHIST, "--db", small, *args], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 3 and "No space left" in done.stderr
    assert done.stderr.count("\n") == 1


def test_no_color_and_pipes_keep_escapes_out(small):
    assert "\x1b" not in connhist("--db", small, "report", "--format", "chart").stdout
    colored = connhist("--db", small, "report", "--format", "chart", "--color", "always", env=ENV).stdout
    assert "\x1b" in colored
    # On a terminal, as script(1) makes one, NO_COLOR has its say.
    def on_terminal(**more):
        done = subprocess.run(["script", "-qec", f"{CONNHIST} --db {small} report", "/dev/null"], text=True,
                              env={**ENV, "TERM": "xterm", **more}, capture_output=True, check=True,
                              stdin=subprocess.DEVNULL)
        return done.stdout
    assert "\x1b" in on_terminal()
    assert "\x1b" not in on_terminal(NO_COLOR="1")


def test_control_characters_of_an_argument_do_not_reach_the_terminal():
    assert "\x1b" not in refused("\x1b[31mreport")
