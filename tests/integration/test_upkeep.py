# SPDX-License-Identifier: MIT
"""connhistd --check finds what is wrong with a file and nothing else; --repair loses what stands on damaged pages and
nothing else."""
import json
import os
import random
import re
import shutil
import sqlite3
import subprocess

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conftest import CONNHISTD, SANITIZER, connhist
from pages import tables
from test_exactness import replay
from test_rollups import places_steps, play_long

EXAMPLES = 8 if SANITIZER else 20
RUNS = int(os.environ.get("CONNHIST_REPAIRS", 15 if SANITIZER else 40))
BUSY = [("open:LISTEN", 1), ("open:ESTABLISHED", 7), ("connect_and_close", 5), ("open:udp-bound", 3), ("ticks", 149),
        ("advance", 1), ("wait", 380), ("open:ESTABLISHED", 3), ("connect_and_close", 2), ("ticks", 149)]


def connhistd(*args, status=0):
    done = subprocess.run([CONNHISTD, *map(str, args)], text=True, capture_output=True, check=False, timeout=300)
    assert done.returncode in ([0, 1] if status is None else [status]), f"connhistd {args} ended with {done.returncode}: {done.stdout}{done.stderr}"
    return done


def hold_checked(path):
    assert connhistd("--check", "--db", path).stdout == f"{path} is whole\n"


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """A file with rows in all tables that matter, on many pages."""
    path = tmp_path_factory.mktemp("upkeep") / "model.db"
    replay(path, play_long(BUSY * 8).commands)
    fill(path)
    return path


def fill(path):
    """Sockets by the thousand, with owners and addresses of their own, as a busy server has them."""
    dice = random.Random(5)
    database = sqlite3.connect(path)
    last, = database.execute("SELECT max(start_ms) FROM snapshots").fetchone()
    service, = database.execute("SELECT min(id) FROM services").fetchone()
    database.execute("INSERT OR IGNORE INTO boots VALUES (77, 'another', 0)")
    for i in range(1, 600):
        database.execute("INSERT INTO processes VALUES (?, 77, ?, ?)", (1000 + i, 5000 + i, last - 1000 * i))
        database.execute("INSERT INTO programs VALUES (?, ?, ?)", (1000 + i, f"program-{i}", f"/usr/bin/program-{i}"))
        database.execute("INSERT INTO owners VALUES (?, ?, ?, ?, NULL)", (1000 + i, i % 50, 1000 + i, 1000 + i))
        database.execute("INSERT INTO addresses (id, bytes) VALUES (?, ?)", (1000 + i, dice.randbytes(16)))
    for i in range(6000):
        duration = dice.choice([0, 3, 900, 70_000, 5_000_000])
        closing = last - dice.randrange(10_000_000)
        key = duration.bit_length() << 58 | closing << 16 | i
        database.execute(
            "INSERT INTO closed (key, service, local, remote, remote_port, owner, duration_ms, late_ms, traits, states,"
            " sent_bytes) VALUES (?, ?, ?, ?, ?, ?, ?, 0, 1, x'01', ?)",
            (key, service, 1000 + dice.randrange(1, 600), dice.choice([dice.randbytes(16), -1062731519]),
             dice.randrange(-32768, 32768), dice.choice([None, 1000 + dice.randrange(1, 600)]), duration, i))
    database.commit()
    database.close()


def test_a_recorded_file_is_whole(model):
    hold_checked(model)


@settings(max_examples=EXAMPLES, deadline=None, derandomize=True,
          suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(places_steps, st.sampled_from([1, 3]))
def test_whatever_was_recorded_is_whole(tmp_path, some, places):
    path = tmp_path / "made-up.db"
    replay(path, play_long(some, places).commands)
    hold_checked(path)


@pytest.mark.parametrize("sql, words", [
    ("UPDATE closed SET duration_ms = duration_ms + 1 << 20 WHERE key = (SELECT max(key) FROM closed)",
     "closed: 1 row whose key does not match their duration"),
    ("UPDATE closed SET states = x'0180' WHERE key = (SELECT min(key) FROM closed)",
     "closed: 1 row with a damaged history of states"),
    ("UPDATE closed SET owner = 99999 WHERE key = (SELECT min(key) FROM closed)", "closed: 1 row of an unknown owner"),
    ("DELETE FROM addresses WHERE id = (SELECT min(local) FROM open)", "with an unknown local address"),
    ("DELETE FROM netns", "of an unknown namespace"),
    ("DELETE FROM recordings", "of an unknown run"),
    ("UPDATE tally_rollups SET max = min - 1 WHERE tier = 2", "tally_rollups:"),
    ("UPDATE rate_rollups SET durations = x'0700' WHERE tier = 1", "with a damaged histogram"),
    ("UPDATE tallies SET count = count + 1 WHERE at_ms = (SELECT max(at_ms) FROM tallies)",
     "tallies: the counts of"),
    ("UPDATE program SET next_life = 1", "program: 1 row that would give numbers again"),
    ("UPDATE tiers SET until_ms = 0", "added up further"),
    ("UPDATE tally_rollups SET sum = sum + 1, max = max + 1 WHERE tier = 3 AND at_ms = (SELECT min(at_ms) FROM"
     " tally_rollups WHERE tier = 3 AND state = 10) AND state = 10", "tally_rollups: 1 row unlike the sum of shorter periods: tier 3, service"),
    ("UPDATE cover_rollups SET done = done + 1 WHERE tier = 3 AND at_ms = (SELECT min(at_ms) FROM cover_rollups WHERE"
     " tier = 3)", "cover_rollups: 1 row unlike the sum of shorter periods: tier 3, at_ms 1"),
    ("UPDATE OR IGNORE tally_rollups SET at_ms = at_ms + 1 WHERE tier = 1 AND state = 10", "with the begin of no period"),
    ("UPDATE cover_rollups SET last_ms = last_ms + 86400000 WHERE tier = 1", "with snapshots of another period"),
    ("UPDATE recordings SET ended_ms = started_ms - 1", "recordings: 1 row with an end before the begin: id 1"),
    ("UPDATE netns_spans SET until_ms = from_ms - 1", "netns_spans: 1 row with an end before the begin: netns "),
    ("UPDATE tallies SET at_ms = at_ms + 1 WHERE at_ms = (SELECT max(at_ms) FROM tallies)", "at an instant without snapshot"),
    ("INSERT INTO counters VALUES (1, 1, 1, 1, 1, 1, 0)", "counters: 1 row of an unknown counter: netns 1, at_ms 1, counter 1"),
    ("INSERT INTO route_ways VALUES (9, 1, NULL, 1, 1, 0)", "route_ways: 1 row without their route: route 9, way 1"),
    ("DELETE FROM snapshots WHERE anchor = 1 AND start_ms > (SELECT min(start_ms) FROM snapshots)", None),
])
def test_what_makes_no_sense_is_found(model, tmp_path, sql, words):
    path, mended = tmp_path / "copy.db", tmp_path / "mended.db"
    shutil.copy(model, path)
    database = sqlite3.connect(path)
    assert database.execute(sql).rowcount > 0
    database.commit()
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    if words:
        assert words in connhistd("--check", "--db", path, status=1).stdout
        connhistd("--repair", "--db", path, "--to", mended, status=1)
    else:  # whether that shows depends on what else tells that counts end
        connhistd("--repair", "--db", path, "--to", mended, status=None)
    hold_checked(mended)


def test_a_damaged_page_is_found_whatever_it_holds(model, tmp_path):
    dice = random.Random(11)
    found, size, _ = tables(model)
    path = tmp_path / "copy.db"
    data = model.read_bytes()
    for page in dice.sample(sorted(found), 20):
        path.write_bytes(data[:(page - 1) * size] + dice.randbytes(size) + data[page * size:])
        assert "is damaged" in connhistd("--check", "--db", path, status=1).stdout, f"page {page}, {found[page][0]}"


def damage(dice, data, size, page):
    """Another content of a page: noughts, noise, or noise in a part of it."""
    start, end = (page - 1) * size, page * size
    kind = dice.randrange(3)
    if kind == 2:
        start += dice.randrange(size // 2)
        end = start + dice.randrange(64, size // 2)
    content = bytes(end - start) if kind == 0 else dice.randbytes(end - start)
    return data[:start] + content + data[end:]


# What a repair may change where other pages are lost: {table: (those, columns)}; no columns: rows may go.
MAY_CHANGE = {
    "closed": ({"owners", "addresses"}, (2, 7)),
    "open": ({"owners", "addresses"}, (4, 9)),
    "owners": ({"processes", "programs", "cgroups"}, (2, 3, 4)),
    "snapshots": ({"snapshots", "tallies", "tiers"}, (2,)),
    "pauses": ({"snapshots", "tallies", "tiers", "recordings"}, ()),
    "open_facts": ({"open"}, ()),
    "holders": ({"owners"}, ()),
    "owner_changes": ({"owners"}, ()),
    "tiers": ({"cover_rollups", "tiers"}, ()),
    "program": ({"program"}, ()),
}


def masked(table, rows, lost):
    others, columns = MAY_CHANGE.get(table, (set(), ()))
    if others & lost and not columns:
        return set()
    hide = columns if others & lost else ()
    return {(rowid, tuple(None if i in hide else value for i, value in enumerate(values)))
            for rowid, values in rows if values is not None}


def unsaved_rows(told):
    """How many rows the repair says that it saw and could not tell whose they are."""
    return sum(int(count) for count in re.findall(r"(\d+) rows? of an unknown table not saved", told))


def hold_saved(model, path, pages, lost, unsaved=0):
    """Every row of a page that is not among those is in the file, but for those that were told."""
    saved = {}
    for table, rows in tables(path)[0].values():
        saved.setdefault(table, set()).update(masked(table, rows, lost))
    for page, (table, rows) in tables(model)[0].items():
        if page not in pages and not table.startswith("sqlite_") and table != "hours":  # made again of the others
            lacking = masked(table, rows, lost) - saved.get(table, set())
            unsaved -= len(lacking)
            assert unsaved >= 0 or not lacking, f"{table}, page {page}: {sorted(lacking)[:3]}, of {len(lacking)}"


# Rows of these are made where what others refer to is lost, or to tell that something is.
MADE = {"netns", "services", "boots", "recordings", "addresses", "pauses", "losses", "program", "tiers"}


def hold_invented(model, path, lost):
    """No table has a row that it did not have before: none came from another one."""
    for table, in rows(model, "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'"):
        if table in MADE | lost:
            continue
        key = [name for _, name, _, _, _, pk in rows(model, f"PRAGMA table_info({table})") if pk]
        sql = f"SELECT {', '.join(key)} FROM {table}"
        assert set(rows(path, sql)) <= set(rows(model, sql)), table


POINTERS = 2  # the page that tells the parent of each page


def inner_pages(path):
    """The pages that only tell where others are."""
    database = sqlite3.connect(path)
    try:
        return {page for page, in database.execute("SELECT pageno FROM dbstat WHERE pagetype = 'internal'")}
    finally:
        database.close()


@pytest.mark.parametrize("which", ["first", "pointers", "inner"])
def test_the_pages_that_tell_where_all_others_are_may_be_gone(model, tmp_path, which):
    """All of them at once, also the one that the whole schema hangs on: no row is lost."""
    pages = {"first": {1}, "pointers": {POINTERS}, "inner": inner_pages(model)}[which]
    found, size, _ = tables(model)
    damaged, mended = tmp_path / "damaged.db", tmp_path / "mended.db"
    data = model.read_bytes()
    assert which != "inner" or len(pages) > 5
    for page in pages:
        data = data[:(page - 1) * size] + random.Random(page).randbytes(size) + data[page * size:]
    damaged.write_bytes(data)
    connhistd("--repair", "--db", damaged, "--to", mended, status=None)
    hold_checked(mended)
    hold_saved(model, mended, pages, {found[page][0] for page in pages if page in found})


def test_a_loss_spans_all_that_is_known_where_no_snapshot_is_left(model, tmp_path):
    """What was added up reaches further back than what is left of it."""
    found, size, _ = tables(model)
    damaged, mended = tmp_path / "damaged.db", tmp_path / "mended.db"
    data = bytearray(model.read_bytes())
    for page in [page for page, (table, _) in found.items() if table == "snapshots"]:
        data[(page - 1) * size:page * size] = bytes(size)
    damaged.write_bytes(data)
    connhistd("--repair", "--db", damaged, "--to", mended, status=1)
    hold_checked(mended)
    assert rows(mended, "SELECT count(*) FROM snapshots") == [(0,)]
    (begin, end), = rows(mended, "SELECT from_ms, until_ms FROM losses WHERE kind = 8")
    assert begin <= rows(mended, "SELECT min(first_ms) FROM cover_rollups")[0][0]
    assert begin <= rows(mended, "SELECT min((key >> 16 & (1 << 42) - 1) - late_ms - duration_ms) FROM closed")[0][0]
    assert end == rows(model, "SELECT last_ms FROM program")[0][0]


@pytest.mark.parametrize("seed", range(RUNS))
def test_what_is_not_on_a_damaged_page_is_saved(model, tmp_path, seed):
    dice = random.Random(seed)
    found, size, n = tables(model)
    damaged, mended = tmp_path / "damaged.db", tmp_path / "mended.db"
    pages = set(dice.sample(range(1, n + 1), dice.choice([1, 1, 2, 5, 20])))
    data = model.read_bytes()
    for page in pages:
        data = damage(dice, data, size, page)
    damaged.write_bytes(data)
    told = connhistd("--repair", "--db", damaged, "--to", mended, status=None).stdout
    assert damaged.read_bytes() == data, "the damaged file is never changed"
    assert not list(tmp_path.glob("damaged.db-*"))
    hold_checked(mended)
    hold_saved(model, mended, pages, {found[page][0] for page in pages if page in found}, unsaved_rows(told))
    hold_invented(model, mended, {found[page][0] for page in pages if page in found})


def test_a_whole_file_is_saved_wholly(model, tmp_path):
    path = tmp_path / "mended.db"
    assert connhistd("--repair", "--db", model, "--to", path).stdout == f"{path} has all that was recorded\n"
    hold_checked(path)
    hold_saved(model, path, set(), set())
    told = connhist("--db", path, "list", "--format", "csv", "--since", "@0").stdout
    assert told == connhist("--db", model, "list", "--format", "csv", "--since", "@0").stdout


def test_what_is_in_the_wal_alone_is_saved(model, tmp_path):
    path, other, mended = tmp_path / "copy.db", tmp_path / "other.db", tmp_path / "mended.db"
    shutil.copy(model, path)
    database = sqlite3.connect(path)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("UPDATE closed SET sent_bytes = 424242 WHERE key = (SELECT max(key) FROM closed)")
    database.commit()
    shutil.copy(path, other)
    shutil.copy(f"{path}-wal", f"{other}-wal")
    database.close()
    connhistd("--repair", "--db", other, "--to", mended)
    assert not (tmp_path / "other.db-shm").exists()
    database = sqlite3.connect(mended)
    assert database.execute("SELECT count(*) FROM closed WHERE sent_bytes = 424242").fetchone() == (1,)
    database.close()


def test_what_is_there_is_not_overwritten(model, tmp_path):
    path = tmp_path / "there.db"
    path.write_text("mine")
    assert "is there already" in connhistd("--repair", "--db", model, "--to", path, status=3).stderr
    assert "is there already" in connhist("--db", model, "export", "--to-sqlite", path, status=3).stderr
    assert path.read_text() == "mine" and [entry.name for entry in tmp_path.iterdir()] == ["there.db"]


def test_a_file_of_another_kind_is_refused(tmp_path):
    path = tmp_path / "other.db"
    database = sqlite3.connect(path)
    database.executescript("CREATE TABLE mine (a); INSERT INTO mine VALUES (1); CREATE TABLE yours (a);")
    database.close()
    assert "another program" in connhistd("--check", "--db", path, status=3).stderr
    assert "another program" in connhistd("--repair", "--db", path, "--to", tmp_path / "new.db", status=3).stderr
    path.write_bytes(b"")
    connhistd("--repair", "--db", path, "--to", tmp_path / "new.db", status=3)
    assert not (tmp_path / "new.db").exists()


@pytest.mark.parametrize("make, check, repair", [
    (lambda path, model: path.write_bytes(model[:300_100]), "the file was cut off: the last ", "the file was cut off"),
    (lambda path, model: path.write_bytes(b""), "is empty", "too short"),
    (lambda path, model: path.write_bytes(b"some other words\n" * 5000), "is not an SQLite database", "nothing of a record"),
    (lambda path, model: path.mkdir(), "is a folder", "is a folder"),
    (lambda path, model: os.mkfifo(path), "is not a regular file", "is not a regular file"),
    (lambda path, model: None, "there is no file", "No such file"),
    (lambda path, model: path.write_bytes(model[:60] + b"\0\0\0\x63" + model[64:]), "newer connhist", "newer connhist"),
])
def test_what_is_no_whole_file_is_told_in_one_line(model, tmp_path, make, check, repair):
    path, new = tmp_path / "some.db", tmp_path / "new.db"
    make(path, model.read_bytes())
    cut = repair.startswith("the file was cut")
    for args, words in ((["--check"], check), (["--repair", "--to", new], repair)):
        done = connhistd(*args, "--db", path, status=1 if cut else 3)
        lines = (done.stdout if cut else done.stderr).splitlines()
        assert any(words in line for line in lines) and (cut or len(lines) == 1), lines
    assert new.exists() == cut


def test_a_log_that_is_not_the_files_own_changes_nothing(model, tmp_path):
    path, new = tmp_path / "copy.db", tmp_path / "new.db"
    shutil.copy(model, path)
    (tmp_path / "copy.db-wal").write_bytes(random.Random(3).randbytes(50_000))
    connhistd("--repair", "--db", path, "--to", new)
    hold_checked(path)
    hold_saved(model, new, set(), set())


@pytest.mark.parametrize("args, words", [
    (["--check", "--repair"], "contradict"), (["--repair"], "--to NEW"), (["--check", "--to", "x"], "--repair alone"),
    (["--check", "--once"], "records nothing"), (["--repair", "--to", ""], "needs a file name")])
def test_wrong_usage_is_told(tmp_path, args, words):
    assert words in connhistd("--db", tmp_path / "none.db", *args, status=2).stderr


def rows(path, sql, *values):
    database = sqlite3.connect(path)
    try:
        return database.execute(sql, values).fetchall()
    finally:
        database.close()


ALIVE = ("SELECT * FROM closed WHERE (key >> 16 & (1 << 42) - 1) - late_ms > ?1"
         " AND (key >> 16 & (1 << 42) - 1) - late_ms - duration_ms < ?2")


def as_of(path, at, until):
    """The table, without ends behind the span: the copy can't know of them."""
    rows = json.loads(connhist("--db", path, "netstat", "-an", "--at", f"@{at}", "--format", "json").stdout)["rows"]
    assert rows
    for row in rows:
        if row["closed_ms"] and row["closed_ms"] >= until - 10_000:
            row["closed_ms"] = row["closed_after_ms"] = None
    return rows


def test_a_span_has_what_belongs_to_it_and_the_names_it_needs(model, tmp_path):
    path = tmp_path / "span.db"
    anchors = [at for at, in rows(model, "SELECT start_ms FROM snapshots WHERE anchor = 1 AND status = 0 ORDER BY 1")]
    first, last = rows(model, "SELECT min(start_ms), max(start_ms) FROM snapshots")[0]
    offset = rows(model, "SELECT offset_ms FROM epochs")
    assert offset in ([], [(0,)]), "the model's clock is not set"
    since, until = (2 * first + last) // 3, (first + 2 * last) // 3
    since_s, until_s = since // 1000, until // 1000
    connhist("--db", model, "export", "--to-sqlite", path, "--since", f"@{since_s}", "--until", f"@{until_s}")
    since, until = since_s * 1000, until_s * 1000
    begin = max([at for at in anchors if at <= since], default=since)
    hold_checked(path)
    for table, column in ("snapshots", "start_ms"), ("tallies", "at_ms"):
        wanted = rows(model, f"SELECT * FROM {table} WHERE {column} >= ? AND {column} < ? ORDER BY 1, 2, 3", begin, until)
        assert wanted and rows(path, f"SELECT * FROM {table} ORDER BY 1, 2, 3") == wanted
    for tier, length in (1, 60_000), (2, 3_600_000), (3, 86_400_000):
        assert rows(path, "SELECT * FROM tally_rollups WHERE tier = ? ORDER BY 2, 3, 4", tier) == rows(
            model, "SELECT * FROM tally_rollups WHERE tier = ? AND at_ms >= ? AND at_ms <= ? ORDER BY 2, 3, 4",
            tier, begin, until - length)
    alive = rows(model, ALIVE, begin, until)
    ended = [row for row in alive if (row[0] >> 16 & (1 << 42) - 1) - row[9] < until]
    assert len(ended) < len(alive) and sorted(rows(path, "SELECT * FROM closed"), key=str) == sorted(ended, key=str)
    # what closed behind it is open, in the state of then
    at_end = as_of(model, until_s, until)
    opened = json.loads(connhist("--db", path, "list", "--open", "--since", f"@{since_s}", "--until", f"@{until_s}", "--format", "json").stdout)
    assert sorted((row["local_address"], row["local_port"], row["remote_address"], row["remote_port"], row["state"])
                  for row in opened["rows"]) == sorted(
        (row["local_address"], row["local_port"], row["remote_address"], row["remote_port"], row["state"]) for row in at_end)
    assert rows(path, "SELECT count(*) FROM services WHERE id NOT IN (SELECT service FROM closed UNION SELECT service"
                      " FROM open UNION SELECT service FROM tallies UNION SELECT service FROM tally_rollups UNION"
                      " SELECT service FROM rate_rollups)") == [(0,)]
    # as of an instant within, both tell the same
    for at in (since_s + 60, (since_s + until_s) // 2, until_s - 60):
        assert as_of(path, at, until) == as_of(model, at, until)


def test_a_span_without_anything_is_no_error(model, tmp_path):
    path = tmp_path / "span.db"
    connhist("--db", model, "export", "--to-sqlite", path, "--until", "@1000")
    hold_checked(path)
    assert rows(path, "SELECT count(*) FROM snapshots") == [(0,)]


@pytest.mark.parametrize("args, words", [
    ([], "--to-sqlite FILE"), (["--to-sqlite", "x", "--since", "now", "--until", "-2h"], "before --until"),
    (["--to-sqlite", "x", "--format", "csv"], "means nothing"), (["--to-sqlite", ""], "name of a file")])
def test_a_wrong_export_is_refused(model, args, words):
    assert words in connhist("--db", model, "export", *args, status=2).stderr


def test_the_size_is_told_by_part_as_sqlite_counts_it(model):
    """SQLite's dbstat reads every page; status must not."""
    told = json.loads(connhist("--db", model, "status", "--format", "json").stdout)["rows"][0]
    pages = dict(rows(model, "SELECT m.tbl_name, sum(d.pgsize) FROM dbstat AS d JOIN sqlite_schema AS m"
                             " ON m.name = d.name GROUP BY 1"))
    assert told["ticks_bytes"] == pages["tallies"]
    assert told["detail_bytes"] == sum(pages[name] for name in (
        "open", "closed", "late", "open_facts", "holders", "queues", "owner_changes", "offloads", "snapshots", "hours"))
    assert told["names_bytes"] == sum(pages[name] for name in (
        "services", "netns", "service_names", "owners", "processes", "programs", "cgroups", "addresses", "counter_names"))
    assert told["minutes_bytes"] + told["hours_bytes"] + told["days_bytes"] == sum(
        pages[name] for name in ("tally_rollups", "rate_rollups", "cover_rollups", "netns_tallies", "netns_covers", "counter_rollups", "counter_cover", "counters",
                                 "readings", "reading_lacks", "interfaces", "routes", "route_ways"))
    assert told["minutes_bytes"] > told["hours_bytes"]
    assert sum(told[part + "_bytes"] for part in (
        "detail", "ticks", "minutes", "hours", "days", "names", "rest", "free")) == told["file_bytes"]
    assert told["minutes_since_ms"] == rows(model, "SELECT min(at_ms) FROM cover_rollups WHERE tier = 1")[0][0]
    assert told["max_bytes"] is None and told["full_days"] is None and told["day_bytes"] > 0


def test_the_budget_is_told_and_when_it_will_be_reached(netns, db, record, tmp_path):
    config = tmp_path / "small.yaml"
    config.write_text("namespaces: {include: []}\nretention: {max_size: 64MiB}\n")
    record(netns, "--config", config, "--count", "2", "--interval", "100ms").wait()
    told = json.loads(connhist("--db", db, "status", "--format", "json").stdout)["rows"][0]
    assert told["max_bytes"] == 64 << 20 and told["day_bytes"] is None, "two snapshots are no growth"
    assert "64.0 MiB" in connhist("--db", db, "status").stdout
    database = sqlite3.connect(db)  # a day later
    database.execute("INSERT INTO snapshots SELECT start_ms + 86400000, recording, 0, 0, sockets, 1, 0, 0, 0 FROM snapshots"
                     " ORDER BY start_ms DESC LIMIT 1")
    database.commit()
    database.close()
    told = json.loads(connhist("--db", db, "status", "--format", "json").stdout)["rows"][0]
    left = told["max_bytes"] - told["file_bytes"] - told["wal_bytes"]
    assert told["full_days"] == left // told["day_bytes"] > 0
    assert f"at this rate full in {told['full_days']} days" in connhist("--db", db, "status").stdout


def test_a_recorder_that_writes_is_not_disturbed(netns, db, record, tmp_path):
    recorder = record(netns, "--interval", "100ms")
    recorder.wait_snapshots()
    assert "being written by a recorder" in connhistd("--check", "--db", db, status=3).stderr
    new = tmp_path / "new.db"
    assert "being written by a recorder" in connhistd("--repair", "--db", db, "--to", new, status=3).stderr
    copy = tmp_path / "copy.db"
    connhist("--db", db, "export", "--to-sqlite", copy)
    hold_checked(copy)
    recorder.wait_snapshots()
    recorder.stop()
    hold_checked(db)
