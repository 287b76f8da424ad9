# SPDX-License-Identifier: MIT
"""One answer, whatever it is read from: the same questions to a file with all its tiers, to a copy without any rollups,
and to copies whose older part is there by minute, hour or day alone."""
import ipaddress
import json
import random
import sqlite3

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conftest import HERE, PATIENCE, SANITIZER, connhist, count, query, wait_until
from rollup_truth import LENGTH
from test_exactness import replay
from test_rollups import make_past, places_steps, play_long, steps

MINUTE, HOUR, DAY = LENGTH[1], LENGTH[2], LENGTH[3]
EXAMPLES = 15 if SANITIZER else 60
QUICK = settings(max_examples=EXAMPLES, deadline=None, derandomize=True,
                 suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
STEPS = (47_000, MINUTE, 7 * MINUTE, HOUR, 5 * HOUR, DAY, 2 * DAY + 6 * HOUR)
BY = ("port,role,state", "port,role,state", "port", "state", "role")
MEASURES = ("opened", "closed", "bytes", "duration", "rtt")
UNDONE = ("DELETE FROM tally_rollups; DELETE FROM cover_rollups; DELETE FROM netns_tallies; DELETE FROM netns_covers; DELETE FROM rate_rollups WHERE tier > 1;"
          " UPDATE tiers SET until_ms = 0")


class Files:
    """A file that a recorder has added up, and the same without what was added up."""

    def __init__(self, folder, record, clock):
        self.whole, self.raw = folder / "whole.db", folder / "raw.db"
        make_past(self.whole, random.Random(5), editions=2, hours=80, series=4, clock=clock)
        recorder = record(HERE, "--interval", "500ms", path=self.whole)
        first, last = query(self.whole, "SELECT min(start_ms), max(start_ms) FROM snapshots")[0]
        until = "SELECT min(until_ms) FROM tiers WHERE tier BETWEEN 1 AND 3"
        wait_until(lambda: count(self.whole, until) >= last // DAY * DAY, "the past to be added up", 3 * PATIENCE)
        recorder.stop()
        # what lies behind was recorded by the clock of this host: nobody is asked for that
        last = count(self.whole, "SELECT max(start_ms) FROM snapshots WHERE recording < "
                                 "(SELECT max(id) FROM recordings)")
        self.first, self.last = first // DAY * DAY, last
        self.copy("raw.db", UNDONE)

    def copy(self, name, sql):
        path = self.whole.with_name(name)
        database = sqlite3.connect(self.whole)
        database.execute("VACUUM INTO ?", (str(path),))
        database.close()
        database = sqlite3.connect(path)
        database.executescript(sql)
        database.close()
        return path

    def prune(self, name, ticks, minutes, hours):
        """A copy of which ticks are there since the first anchor behind a time only, and longer periods likewise."""
        ticks = count(self.whole, f"SELECT min(start_ms) FROM snapshots WHERE anchor = 1 AND start_ms >= {ticks}")
        return self.copy(name, f"""
            DELETE FROM tallies WHERE at_ms < {ticks}; DELETE FROM snapshots WHERE start_ms < {ticks};
            UPDATE tiers SET from_ms = {ticks} WHERE tier <= 0;
            INSERT INTO prunings (tier, cause, from_ms, until_ms, count, at_ms)
                VALUES (0, 1, {self.first}, {ticks}, 1, {self.last}), (-1, 2, {self.first}, {ticks}, 1, {self.last});
            DELETE FROM tally_rollups WHERE tier = 1 AND at_ms < {minutes};
            DELETE FROM cover_rollups WHERE tier = 1 AND at_ms < {minutes};
            DELETE FROM rate_rollups WHERE tier = 1 AND at_ms < {minutes};
            UPDATE tiers SET from_ms = {minutes} WHERE tier = 1;
            DELETE FROM tally_rollups WHERE tier = 2 AND at_ms < {hours};
            DELETE FROM cover_rollups WHERE tier = 2 AND at_ms < {hours};
            DELETE FROM rate_rollups WHERE tier = 2 AND at_ms < {hours};
            UPDATE tiers SET from_ms = {hours} WHERE tier = 2""")


def ask(path, since, until, *args):
    done = connhist("--db", path, "report", "--format", "json", "--since", f"@{since / 1000:.3f}",
                    "--until", f"@{until / 1000:.3f}", *args)
    return json.loads(done.stdout), done.stderr


def told(document, pruned=False):
    """What must not depend on where it was read."""
    rest = {name: value for name, value in document.items() if name not in ("tier", "bounds")}
    if pruned:
        rest["coverage"] = {name: rest["coverage"][name] for name in ("done", "interrupted", "missed", "unkept", "detail")}
    return rest


def hold_counts(mine, true, pruned=False):
    """The same; of sums that were read from periods fewest and most are bounds."""
    assert not mine["bounds"] or mine["tier"] != "ticks"
    if not mine["bounds"]:
        assert told(mine, pruned) == told(true, pruned)
        return

    def rest(document):
        others = {name: value for name, value in told(document, pruned).items() if name != "rows"}
        names = [name for name in document["rows"][0] if name not in ("min", "max", "at_ms", "avg", "last")]
        rows = {(row["at_ms"], *(str(row[name]) for name in names)): row for row in document["rows"]}
        assert len(rows) == len(document["rows"])
        return others, rows
    (others, rows), (true_others, true_rows) = rest(mine), rest(true)
    assert others == true_others and rows.keys() == true_rows.keys()
    for key, row in rows.items():
        other = true_rows[key]
        assert (row["avg"] is None) == (other["avg"] is None) and row["last"] == other["last"]
        if row["avg"] is not None:
            assert row["avg"] == pytest.approx(other["avg"])
            assert row["min"] <= other["min"] <= other["max"] <= row["max"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tiers")


made = {}


def make(folder, record, name, clock):
    if name not in made:
        place = folder / name
        place.mkdir()
        made[name] = Files(place, record, clock)
    return made[name]


@pytest.fixture
def steady(folder, record):
    """Of a clock that never was set."""
    return make(folder, record, "steady", (0,))


@pytest.fixture(params=["steady", "set"])
def files(request, folder, record):
    """Of that, and of one that was set by hours."""
    clock = (0,) if request.param == "steady" else (0, HOUR, -HOUR)
    return make(folder, record, request.param, clock)


spans = st.tuples(st.integers(-100, 1100), st.integers(1, 1000), st.sampled_from((1, 1000, MINUTE, HOUR, DAY)))


def cut_span(files, span):
    """Since and until, as multiples of something."""
    begin, length, unit = span
    whole = files.last - files.first
    since = (files.first + whole * begin // 1000) // unit * unit
    return since, min(since + max(whole * length // 1000 // unit * unit, unit), files.last - 1)


def choose_step(since, until, step):
    return step if (until - since) / step < 3000 else HOUR


@QUICK
@given(spans, st.sampled_from(STEPS), st.sampled_from(BY))
def test_counts_are_the_same_from_rollups(files, span, step, by):
    since, until = cut_span(files, span)
    if since >= until:
        return
    args = "--step", f"{choose_step(since, until, step)}ms", "--by", by
    whole, _ = ask(files.whole, since, until, *args)
    raw, _ = ask(files.raw, since, until, *args)
    assert raw["tier"] == "ticks" and not raw["bounds"]
    hold_counts(whole, raw)


@QUICK
@given(spans, st.sampled_from(STEPS), st.sampled_from(MEASURES))
def test_rates_are_the_same_from_rollups(files, span, step, measure):
    since, until = cut_span(files, span)
    if since >= until:
        return
    args = "--step", f"{choose_step(since, until, max(step, MINUTE))}ms", "--measure", measure
    whole, _ = ask(files.whole, since, until, *args)
    raw, _ = ask(files.raw, since, until, *args)
    assert raw["tier"] == "minutes"
    assert told(whole) == told(raw)


def test_longer_periods_are_read_where_they_do(files):
    """Else the tests above would show nothing."""
    begin = files.first + DAY
    for args, tier in ((("--step", "24h"), "days"), (("--step", "1h"), "hours"), (("--step", "1m"), "minutes"),
                       (("--step", "30s"), "ticks"), (("--step", "59m", "--by", "state"), "ticks"),
                       (("--step", "1h", "--by", "state"), "minutes"), (("--step", "24h", "--by", "state"), "minutes")):
        until = begin + (12 * HOUR if tier == "minutes" else DAY)
        assert ask(files.whole, begin, until, *args)[0]["tier"] in (
            tier, "hours" if tier == "days" and files is not made.get("steady") else tier)
    assert ask(files.whole, begin, begin + DAY, "--measure", "opened", "--step", "24h")[0]["tier"] in ("days", "hours")


def test_people_see_what_an_answer_was_read_from(steady):
    """In the heading of tables and beneath charts."""
    begin = steady.first + DAY
    for step, measure, word in (("24h", [], "DAY"), ("1h", [], "HOUR"), ("1m", [], "MINUTE"), ("30s", [], ""),
                                ("1h", ["--measure", "opened"], "HOUR"), ("1m", ["--measure", "opened"], "")):
        args = ("report", "--since", f"@{begin // 1000}", "--until", f"@{(begin + DAY) // 1000}", "--step", step,
                "--top", "1", "--utc", *measure)
        table = connhist("--db", steady.whole, *args, "--format", "table").stdout
        assert table.startswith(f"TIME (BY {word})" if word else "TIME  ")
        chart = connhist("--db", steady.whole, *args, "--format", "chart").stdout
        assert (f", from counts by {word.lower()};" in chart) if word else ("from counts" not in chart)


@pytest.fixture
def pruned(steady):
    """One of which the first day is there by the day alone, the second by the hour, a part of the third by the minute."""
    path = steady.whole.with_name("pruned.db")
    if not path.exists():
        steady.prune("pruned.db", steady.first + 2 * DAY + 5 * HOUR, steady.first + 2 * DAY, steady.first + DAY)
    return path


@QUICK
@given(st.integers(0, 3), st.integers(1, 4), st.sampled_from((DAY, 2 * DAY)), st.sampled_from(["counts", *MEASURES]))
def test_no_seam_where_only_days_are_kept(steady, pruned, first, days, step, what):
    since, until = steady.first + first * DAY, min(steady.first + (first + days) * DAY, steady.last - 1)
    hold_same(steady, pruned, since, until, step, what)


@QUICK
@given(st.integers(0, 55), st.integers(1, 55), st.sampled_from((HOUR, 5 * HOUR, DAY)), st.sampled_from(["counts", *MEASURES]))
def test_no_seam_where_only_hours_are_kept(steady, pruned, first, hours, step, what):
    since = steady.first + DAY + first * HOUR
    hold_same(steady, pruned, since, min(since + hours * HOUR, steady.last - 1), step, what)


@QUICK
@given(st.integers(0, 1500), st.integers(1, 1500), st.sampled_from((MINUTE, 3 * MINUTE, HOUR)),
       st.sampled_from(["counts", *MEASURES]))
def test_no_seam_where_only_minutes_are_kept(steady, pruned, first, minutes, step, what):
    since = steady.first + 2 * DAY + first * MINUTE
    hold_same(steady, pruned, since, min(since + minutes * MINUTE, steady.last - 1), step, what)


ends = st.tuples(st.integers(0, 1000), st.sampled_from(("", "", "before", "behind", "between")), st.integers(1, 29_999))


def choose_end(files, end):
    """An instant exactly at a snapshot, a millisecond from one, or somewhere."""
    place, how, shift = end
    at = count(files.raw, "SELECT start_ms FROM snapshots WHERE start_ms >= "
                          f"{files.first + (files.last - files.first) * place // 1000} ORDER BY start_ms LIMIT 1")
    return min(at + {"": 0, "before": -1, "behind": 1, "between": shift}[how], files.last - 1)


def shown_by_wall(path, since, until):
    """Complete snapshots of [since, until)."""
    return count(path, "SELECT count(*) FROM snapshots WHERE status = 0"
                       f" AND start_ms >= {since} AND start_ms < {until}")


@QUICK
@given(ends, ends, st.sampled_from(STEPS), st.sampled_from(["counts", *MEASURES]))
def test_an_answer_ends_before_until_wherever_it_is_read(steady, begin, end, step, what):
    since, until = sorted((choose_end(steady, begin), choose_end(steady, end)))
    if since == until:
        return
    step = choose_step(since, until, step if what == "counts" else max(step, MINUTE))
    args = ["--step", f"{step}ms", *([] if what == "counts" else ["--measure", what])]
    whole, _ = ask(steady.whole, since, until, *args)
    raw, _ = ask(steady.raw, since, until, *args)
    assert told(whole) == told(raw)
    assert raw["until_ms"] == until if what == "counts" else until <= raw["until_ms"] < until + MINUTE
    assert raw["coverage"]["done"] == shown_by_wall(steady.raw, raw["since_ms"], raw["until_ms"])


@QUICK
@given(ends, ends, st.sampled_from(STEPS), st.sampled_from(["counts", *MEASURES]))
def test_an_answer_from_what_is_kept_is_that_of_the_span_it_tells(steady, pruned, begin, end, step, what):
    """A period is told whole or not at all, in the last bucket, too."""
    since, until = sorted((choose_end(steady, begin), choose_end(steady, end)))
    if since == until:
        return
    args = [] if what == "counts" else ["--measure", what]
    step = choose_step(since, until, step if what == "counts" else max(step, MINUTE))
    there, _ = ask(pruned, since, until, "--step", f"{step}ms", *args)
    assert since - DAY < there["since_ms"] <= since and until <= there["until_ms"] < until + DAY
    raw, _ = ask(steady.raw, there["since_ms"], there["until_ms"], "--step", f"{there['step_ms']}ms", *args)
    assert told(there, pruned=True) == told(raw, pruned=True)
    assert raw["coverage"]["done"] == shown_by_wall(steady.raw, there["since_ms"], there["until_ms"])


def hold_same(steady, pruned, since, until, step, what):
    if since >= until:
        return
    args = ["--step", f"{step}ms", *([] if what == "counts" else ["--measure", what])]
    there, _ = ask(pruned, since, until, *args)
    raw, _ = ask(steady.raw, since, until, *args)
    assert told(there, pruned=True) == told(raw, pruned=True)


def test_a_step_shorter_than_what_is_kept_is_taken_up_and_told(steady, pruned):
    since, until = steady.first + DAY + 90 * MINUTE, steady.first + 2 * DAY
    document, complaint = ask(pruned, since, until, "--step", "10m")
    assert document["since_ms"] == steady.first + DAY + HOUR and document["step_ms"] == HOUR
    assert "kept by hour alone" in complaint and "in steps of 1h" in complaint
    assert told(ask(pruned, steady.first + DAY + HOUR, until, "--step", "1h")[0])["rows"] == document["rows"]
    document, complaint = ask(pruned, since, until, "--step", "10m", "--measure", "opened")
    assert document["step_ms"] == HOUR and "kept by hour alone" in complaint


def test_of_sums_fewest_and_most_are_bounds(steady, pruned):
    since, until = steady.first + DAY, steady.first + 2 * DAY
    args = "--step", "1h", "--by", "state"
    there, complaint = ask(pruned, since, until, *args)
    raw, _ = ask(steady.raw, since, until, *args)
    assert there["bounds"] == 1 and "are bounds" in complaint and raw["bounds"] == 0
    assert len(there["rows"]) == len(raw["rows"]) > 20

    def in_order(document):
        return sorted(document["rows"], key=lambda row: (row["state"], row["at_ms"]))
    for mine, true in zip(in_order(there), in_order(raw)):
        assert (mine["at_ms"], mine["state"], mine["avg"], mine["last"]) == (
            true["at_ms"], true["state"], true["avg"], true["last"])
        assert mine["avg"] is None or mine["min"] <= true["min"] <= true["max"] <= mine["max"]


def test_what_is_removed_is_no_zero(steady, pruned):
    """Sockets one by one are gone; the answers say so."""
    since, until = steady.first + DAY, steady.first + 3 * DAY
    document, complaint = ask(pruned, since, until, "--by", "peer", "--step", "1h")
    gaps = [gap for gap in document["coverage"]["gaps"] if "detail no longer kept" in gap["reason"]]
    assert len(gaps) == 1 and gaps[0]["from_ms"] == since and "detail no longer kept" in complaint
    kept = query(pruned, "SELECT from_ms FROM tiers WHERE tier = -1")[0][0]
    assert gaps[0]["until_ms"] == kept
    assert {(row["tier"], row["cause"]) for row in document["coverage"]["pruned"]} == {("ticks", "age"), ("detail", "size")}
    for command in (["list"], ["who", "--port", "80"]):
        done = connhist("--db", pruned, *command, "--since", f"@{since // 1000}", "--until", f"@{until // 1000}")
        assert "detail no longer kept (the file was full)" in done.stderr and "removed:" in done.stdout
    for command in (["netstat", "-an"], ["who", "--port", "80"]):
        done = connhist("--db", pruned, *command, "--at", f"@{since // 1000}", status=3)
        assert "no longer kept one by one" in done.stderr



def copy_of(path, name, sql):
    copy = path.with_name(name)
    for suffix in ("", "-wal", "-shm"):
        copy.with_name(copy.name + suffix).unlink(missing_ok=True)
    database = sqlite3.connect(path)
    database.execute("VACUUM INTO ?", (str(copy),))
    database.close()
    database = sqlite3.connect(copy)
    database.executescript(sql)
    database.close()
    return copy


# ticks are removed, as by their age: up to an anchor, behind which nothing is needed of before
BEGIN = ("(SELECT max(start_ms) FROM snapshots WHERE anchor = 1"
         " AND start_ms <= (SELECT until_ms FROM tiers WHERE tier = 1))")
NO_TICKS = f"""
    UPDATE tiers SET from_ms = coalesce({BEGIN}, 0) WHERE tier < 1;
    DELETE FROM tallies WHERE at_ms < (SELECT from_ms FROM tiers WHERE tier = 0);
    DELETE FROM incomplete WHERE start_ms < (SELECT from_ms FROM tiers WHERE tier = 0);
    DELETE FROM snapshots WHERE start_ms < (SELECT from_ms FROM tiers WHERE tier = 0)"""


@settings(QUICK, max_examples=5 if SANITIZER else 25)
@given(places_steps, st.integers(0, 999), st.integers(0, 999), st.sampled_from((MINUTE, 7 * MINUTE, HOUR)))
def test_a_namespace_has_its_counts_where_others_failed(tmp_path, commands, begin, end, step):
    """Read from rollups, whether ticks are there or not: what the snapshots say that were complete in it."""
    whole = tmp_path / "whole.db"
    # a minute in which one failed and another of its name had been before is told as interrupted
    replay(whole, play_long([step for step in commands if step[0] not in ("reboot", "leave", "jump_wall")], places=3).commands)
    raw, pruned = copy_of(whole, "raw.db", UNDONE), copy_of(whole, "pruned.db", NO_TICKS)
    first, last = query(whole, "SELECT min(start_ms), max(start_ms) FROM snapshots")[0]
    since, until = sorted(first - HOUR + (last - first + 2 * HOUR) * part // 1000 for part in (begin, end))
    step = max(step, (until - since) // 500 // HOUR * HOUR)
    for name in "n1", "own":
        args = "--netns", name, "--step", f"{step}ms"
        if since == until or connhist_knows(raw, name) is False:
            continue
        true, _ = ask(raw, since, until, *args)
        mine, _ = ask(whole, since, until, *args)
        assert true["tier"] == "ticks" and told(mine) == told(true)
        there, _ = ask(pruned, since, until, *args)
        span = there["since_ms"], there["until_ms"]
        true, _ = ask(raw, *span, "--netns", name, "--step", f"{there['step_ms']}ms")
        assert told(there, pruned=True) == told(true, pruned=True)


# a boot: ticks until a port has a connection, with it, and how it ends
boots = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 149), st.sampled_from([("reboot", 500)] * 5 + [
    ("reboot", 1), ("restart", 1), ("wait", 150), ("open:ESTABLISHED", 7), ("open:LISTEN", 1)])), min_size=3, max_size=8)


@settings(QUICK, max_examples=8 if SANITIZER else 40)
@given(boots, st.integers(0, 400), st.integers(600, 999), st.sampled_from((MINUTE, 7 * MINUTE, HOUR, 5 * HOUR, DAY)))
def test_a_reboot_parts_no_sum(tmp_path, boots, begin, end, step):
    """Each boot has its own services: what a port had is told as of one, from rollups, too, and to the socket."""
    commands = [step for early, late, last in boots
                for step in (("ticks", early), ("open:ESTABLISHED", 7), ("ticks", late), last)] + [("wait", 150)]
    whole = tmp_path / "whole.db"
    replay(whole, play_long(commands).commands)
    raw, pruned = copy_of(whole, "raw.db", UNDONE), copy_of(whole, "pruned.db", NO_TICKS)
    first, last = query(whole, "SELECT min(start_ms), max(start_ms) FROM snapshots")[0]
    since, until = sorted(first - HOUR + (last - first + 2 * HOUR) * part // 1000 for part in (begin, end))
    if since == until:
        return
    step = max(step, (until - since) // 500 // HOUR * HOUR)
    for by in "port,role,state", "port,role,state,netns":
        args = "--by", by, "--step", f"{step}ms"
        true, _ = ask(raw, since, until, *args)
        mine, _ = ask(whole, since, until, *args)
        assert true["tier"] == "ticks" and told(mine) == told(true) and not mine["bounds"]
    if ("reboot", 1) in commands:  # it sets the clock by minutes: there a period has no wall time of its own
        return
    there, _ = ask(pruned, since, until, *args)
    true, _ = ask(raw, there["since_ms"], there["until_ms"], *args[:-1], f"{there['step_ms']}ms")
    hold_counts(there, true, pruned=True)


def test_of_a_year_with_a_reboot_days_are_read(tmp_path):
    """Else the test above would show nothing."""
    path = tmp_path / "made-up.db"
    some = [("open:ESTABLISHED", 7), *[("ticks", 149)] * 2, ("wait", 400)]
    replay(path, play_long([*some * 3, ("reboot", 500), *some * 3]).commands)
    first, last = query(path, "SELECT min(start_ms), max(start_ms) FROM snapshots")[0]
    port, = query(path, "SELECT port FROM services GROUP BY port HAVING count(DISTINCT netns) = 2")[0]
    document, _ = ask(path, first // DAY * DAY, last // DAY * DAY, "--port", str(port), "--step", "24h")
    assert document["rows"] and (document["tier"], document["bounds"]) == ("days", 0)


def connhist_knows(path, name):
    return name == "own" or bool(query(path, "SELECT 1 FROM netns WHERE name = ?", name))


@settings(QUICK, max_examples=8 if SANITIZER else 40)
@given(steps)
def test_hours_without_sockets_of_a_port_hold_none(tmp_path, commands):
    """Sockets one by one, of each port there was: all hours are looked through in a file that has none added up."""
    whole, raw = tmp_path / "whole.db", tmp_path / "raw.db"
    replay(whole, play_long(commands).commands)
    for suffix in ("", "-wal", "-shm"):
        raw.with_name(raw.name + suffix).unlink(missing_ok=True)
    database = sqlite3.connect(whole)
    database.execute("VACUUM INTO ?", (str(raw),))
    database.close()
    database = sqlite3.connect(raw)
    database.executescript(UNDONE)
    database.close()
    first, last = query(whole, "SELECT min(start_ms), max(start_ms) FROM snapshots")[0]
    for port, in query(whole, "SELECT DISTINCT port FROM services WHERE port > 0 LIMIT 6"):
        args = "--port", str(port), "--by", "peer,state", "--step", f"{max(HOUR, (last - first) // 500)}ms"
        assert told(ask(whole, first - 1, last + 1, *args)[0]) == told(ask(raw, first - 1, last + 1, *args)[0])


@settings(QUICK, max_examples=8 if SANITIZER else 40)
@given(steps)
def test_what_is_passed_over_is_what_nobody_asked_for(tmp_path, commands):
    """Sockets of a port at either end, and of a peer, are those that a list of all has."""
    path = tmp_path / "made-up.db"
    replay(path, play_long(commands).commands)
    first, last = query(path, "SELECT min(start_ms), max(start_ms) FROM snapshots")[0]

    def sockets(*args):
        done = connhist("--db", path, "list", "--format", "json", "--limit", "0", "--since", f"@{first / 1000 - 1:.3f}",
                        "--until", f"@{last / 1000 + 1:.3f}", *args)
        return json.loads(done.stdout)["rows"]
    rows = sockets()
    ports = sorted({row[end] for row in rows for end in ("local_port", "remote_port")} - {0, None})
    for port in ports[:2] + ports[-2:]:
        assert sockets("--port", str(port)) == [row for row in rows if port in (row["local_port"], row["remote_port"])]
    peers = sorted({row["remote_address"] for row in rows if row["remote_address"]})
    for peer in peers[:2] + peers[-2:]:
        mine = ipaddress.ip_address(peer)
        assert sockets("--peer", peer) == [row for row in rows if same_peer(row["remote_address"], mine)]


def same_peer(text, peer):
    """Whether an address is the same, also as an IPv4-mapped one."""
    other = ipaddress.ip_address(text) if text else None
    return other == peer or (other is not None and (getattr(other, "ipv4_mapped", None) or other) == peer)
