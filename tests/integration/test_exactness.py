# SPDX-License-Identifier: MIT
"""For every complete snapshot, the table rebuilt from the file equals the samples that came in: the central promise,
held against made-up kernels."""
import sqlite3
import subprocess
from collections import Counter
from copy import copy

from conftest import BUILD, SANITIZER
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kernel_model import INTERVAL_MS, LOADS_STEPS, PLACES_STEPS, STEPS, UNTOLD, play

REPLAY = BUILD / "tests" / "replay" / "replay"
TOLD_BY_EVENTS = (100, 1000)  # payload sent and received, by kernel_model.py; samples have twice as much received
EXAMPLES = 60 if SANITIZER else 400

AFTER_CLOSE = {"FIN_WAIT1", "FIN_WAIT2", "CLOSING", "LAST_ACK", "TIME_WAIT"}
steps = st.lists(st.tuples(st.integers(0, len(STEPS) - 1), st.integers(0, 999)), min_size=5, max_size=60)
loads_steps = st.lists(st.tuples(st.integers(0, len(LOADS_STEPS) - 1), st.integers(0, 999)), min_size=5, max_size=60)
places_steps = st.lists(st.tuples(st.integers(0, len(PLACES_STEPS) - 1), st.integers(0, 999)), min_size=5, max_size=60)


def replay(path, commands, detail="on", syn_recv=4096, places=()):
    """Runs the commands and returns [(record_ms, rows)] for each complete snapshot; for each of the places that are
    named such a list, of the snapshots that are complete there."""
    for suffix in ("", "-wal", "-shm", "-recorder"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    done = subprocess.run([REPLAY, path, detail, str(syn_recv)], text=True, capture_output=True,
                          input="\n".join([*commands, *(f"tables {place}".strip() for place in places or [""])]) + "\n", check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    tables, each = [], []
    for line in done.stdout.splitlines():
        words = line.split()
        if words[0] == "snapshot":
            tables.append((int(words[1]), []))
        elif words[0] != "end":
            tables[-1][1].append(words)
        else:
            each.append(tables)
            tables = []
    return each if places else each[-1]


def key(words):
    """Endpoints and state of a row, as a value to compare."""
    return (words[0], int(words[1]), words[2], int(words[3]), words[4], int(words[5]), words[6])


def hold_rows(kernel, tables):
    assert len(tables) == len(kernel.shown)
    for (record_ms, rows), (_, _, _, sockets) in zip(tables, kernel.shown):
        wanted = Counter((*s.endpoints(), s.state) for s in sockets)
        assert Counter(key(row) for row in rows) == wanted, f"as of {record_ms}"


def hold_owners(kernel, tables):
    """A socket whose owner was ever shown has it; none has a wrong one."""
    for (_, rows), (_, _, _, sockets) in zip(tables, kernel.shown):
        owners = {}
        for s in sockets:
            owners.setdefault((*s.endpoints(), s.state), []).append(s)
        for row in rows:
            uid, candidates = int(row[7]), owners[key(row)]
            if len(candidates) > 1:
                continue
            s = candidates[0]
            assert uid in (-1, s.uid)
            if s.seen_uid or s.shown_uid() >= 0:
                assert uid == s.uid, row
            hold_process(s, int(row[13]), row[14], row[15])


def hold_process(s, pid, source, name):
    """The best that was ever found for this life, and never a process that had nothing to do with it. Of a socket that
    changed hands nobody knows when it did: from the last look that showed it with the one to the first with the other."""
    if s.life["found"] and len(s.life["held"]) == 1:
        assert source == ("cookie" if s.state in AFTER_CLOSE else "inode"), (s, source)
        assert pid in s.life["held"] and name == f"p{pid}", (s, pid)
    else:
        assert source in ("unknown", "listener", "inode", "cookie"), (s, source)
        assert pid in (0, *s.life["held"]) and name in ("-", *(f"p{p}" for p in s.life["held"])), (s, pid, name)


def hold_queues(kernel, tables):
    for (_, rows), (_, _, _, sockets) in zip(tables, kernel.shown):
        queues = Counter((s.endpoints(), s.queue) for s in sockets if s.state == "LISTEN")
        told = Counter((key(row)[:6], (int(row[10]), int(row[11]))) for row in rows if row[6] == "LISTEN")
        assert told == queues


def hold_time_wait(kernel, tables):
    """The entry of TIME_WAIT is the kernel's, unless a snapshot in between proves that it was later."""
    for (record_ms, rows), (boot, boot_ms, before, sockets) in zip(tables, kernel.shown):
        waiting = {(*s.endpoints(), s.state): s for s in sockets if s.state == "TIME_WAIT"}
        for row in rows:
            s = waiting.get(key(row))
            if not s or s.rearmed_unseen or s.seen_time_wait:
                continue
            told = int(row[9]) - (record_ms - boot_ms)
            if before and before[0] == boot:
                assert told == max(s.entered_ms, before[1] + 1), row
            elif boot == 1:
                assert told == s.entered_ms, row
            else:  # after a reboot the record's clock may stand before the wall clock, and never steps back
                assert s.entered_ms <= told <= boot_ms, row


def hold_time(tables):
    times = [record_ms for record_ms, _ in tables]
    assert all(a < b for a, b in zip(times, times[1:])), "record time must grow"


def hold_tallies(path, kernel, tables):
    """The counts, by the rule that connhist-schema(5) gives, equal the samples of each complete snapshot."""
    database = sqlite3.connect(path)
    rows = database.execute(
        "SELECT s.id, s.protocol, st.name, t.at_ms, t.count FROM tallies t JOIN services s ON s.id = t.service"
        " JOIN states st USING (state) ORDER BY t.at_ms").fetchall()
    anchors = {at for at, in database.execute("SELECT start_ms FROM snapshots WHERE anchor = 1")}
    assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    counts, position = {}, 0
    for index, (record_ms, _) in enumerate(tables):
        if record_ms in anchors:
            counts = {}
        while position < len(rows) and rows[position][3] <= record_ms:
            service, protocol, state, at_ms, n = rows[position]
            if record_ms not in anchors or at_ms == record_ms:
                counts[service, protocol, state] = n
            position += 1
        told = Counter()
        for (_, protocol, state), n in counts.items():
            told[{6: "tcp", 17: "udp"}[protocol], state] += n
        assert +told == kernel.states(index), f"tallies at {record_ms}"
    database.close()


@settings(max_examples=EXAMPLES, deadline=None, derandomize=True,
          suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(steps)
def test_the_table_as_of_each_snapshot_is_what_came_in(tmp_path, steps):
    kernel = play(steps)
    path = tmp_path / "made-up.db"
    tables = replay(path, kernel.commands)
    hold_rows(kernel, tables)
    hold_owners(kernel, tables)
    hold_queues(kernel, tables)
    hold_time(tables)
    hold_time_wait(kernel, tables)
    hold_tallies(path, kernel, tables)


def shown_in(kernel, place):
    """What one namespace showed, as if there were no other."""
    only = copy(kernel)
    only.shown = kernel.shown_in[place]
    return only


def hold_tallies_of(path, kernel, place, tables):
    """As hold_tallies(), of one namespace: also at snapshots that were not complete elsewhere."""
    database = sqlite3.connect(path)
    name = f"n{place}" if place else ""
    rows = database.execute(
        "SELECT s.id, s.protocol, st.name, t.at_ms, t.count FROM tallies t JOIN services s ON s.id = t.service"
        " JOIN netns n ON n.id = s.netns JOIN states st USING (state) WHERE n.name = ? ORDER BY t.at_ms", (name,)).fetchall()
    anchors = [at for at, in database.execute("SELECT start_ms FROM snapshots WHERE anchor = 1")]
    database.close()
    for index, (record_ms, _) in enumerate(tables):
        base = max(at for at in anchors if at <= record_ms)
        counts = {row[:3]: row[4] for row in rows if base <= row[3] <= record_ms}
        told = Counter()
        for (_, protocol, state), n in counts.items():
            told[{6: "tcp", 17: "udp"}[protocol], state] += n
        assert +told == kernel.states(index), f"tallies of {name or 'own'} at {record_ms}"


@settings(max_examples=EXAMPLES, deadline=None, derandomize=True,
          suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(places_steps, st.booleans())
def test_each_namespace_is_exact_whatever_becomes_of_the_others(tmp_path, steps, events):
    kernel = play(steps, events, places=3)
    path = tmp_path / "places.db"
    tables = replay(path, kernel.commands, places=range(3))
    for place in range(3):
        only = shown_in(kernel, place)
        hold_rows(only, tables[place])
        hold_owners(only, tables[place])
        hold_queues(only, tables[place])
        hold_time(tables[place])
        hold_tallies_of(path, only, place, tables[place])


@settings(max_examples=EXAMPLES, deadline=None, derandomize=True,
          suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(steps)
def test_the_table_is_exact_with_events_in_between(tmp_path, steps):
    kernel = play(steps, events=True)
    path = tmp_path / "made-up.db"
    tables = replay(path, kernel.commands)
    hold_rows(kernel, tables)
    hold_owners(kernel, tables)
    hold_queues(kernel, tables)
    hold_time(tables)
    hold_time_wait(kernel, tables)
    hold_tallies(path, kernel, tables)


def hold_facts(path, kernel, tables, every):
    """What is shown of an open connection is what it had carried at the snapshot that is named, not earlier or later."""
    database = sqlite3.connect(path)
    epochs = database.execute("SELECT from_ms, offset_ms FROM epochs ORDER BY from_ms").fetchall()
    last, = database.execute("SELECT max(start_ms) FROM snapshots").fetchone()
    rows = database.execute(
        "SELECT protocol, iif(instr(local_address, ':'), 6, 4), local_address, local_port, remote_address, remote_port,"
        " state, tx_bytes, rx_bytes, rtt_us, idle_ms, sampled_ms FROM sockets WHERE closed_ms IS NULL").fetchall()
    orphans = database.execute("SELECT count(*) FROM open_facts WHERE life NOT IN (SELECT life FROM open)").fetchone()
    database.close()
    assert orphans == (0,)
    at = {}  # by wall time, which may come twice
    for (record_ms, _), (boot, boot_ms, _, sockets) in zip(tables, kernel.shown):
        wall_ms = record_ms + [0, *(offset for from_ms, offset in epochs if from_ms <= record_ms)][-1]
        at.setdefault(wall_ms, []).append((boot_ms, sockets))
    for *ends, state, tx, rx, rtt, idle, sampled in rows:
        if tx is None:
            assert (rx, rtt, idle, sampled) == (None,) * 4
        elif sampled in at and (tx, rx) != TOLD_BY_EVENTS:  # nor in an interrupted snapshot
            had = [(s.carried, 2 * s.carried, 60 + s.carried, boot_ms - s.active_ms)
                   for boot_ms, sockets in at[sampled] for s in sockets if s.endpoints() == tuple(ends) and s.carries()]
            assert (tx, rx, rtt, idle) in had
    if every and tables and tables[-1][0] == last:
        shown = Counter((*ends, state, tx) for *ends, state, tx, _, _, _, sampled in rows if sampled is not None)
        wanted = Counter((*s.endpoints(), s.state, s.carried) for s in kernel.sockets if s.carries())
        assert not wanted - shown


@settings(max_examples=EXAMPLES, deadline=None, derandomize=True,
          suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(steps, st.booleans(), st.sampled_from([1, 3]))
def test_facts_of_open_connections_are_those_of_the_snapshot_that_is_named(tmp_path, steps, events, pace):
    kernel = play(steps, events, INTERVAL_MS * pace)
    path = tmp_path / "facts.db"
    tables = replay(path, kernel.commands)
    hold_rows(kernel, tables)
    hold_facts(path, kernel, tables, pace == 1)


def hold_offloads(kernel, tables, pace):
    """Of what was looked at it is told what held it; of the rest nothing is claimed."""
    for (_, rows), (_, _, _, sockets) in zip(tables, kernel.shown):
        shown = {}
        for s in sockets:
            shown.setdefault((*s.endpoints(), s.state), []).append(s)
        for row in rows:
            offload, candidates = int(row[17]), shown[key(row)]
            if row[0] == "udp":
                assert offload == 0
            elif len(candidates) == 1:
                s = candidates[0]
                assert offload in {0, *s.offloads}, (row, s)
                assert offload == 0 or s.life.get("told"), (row, s)  # by a later look, too
                assert offload != 1 or pace or len(s.offloads) > 1, (row, s)
                if s.state not in UNTOLD:
                    assert offload == s.offload or pace != 1 and (offload == 0 or len(s.offloads) > 1), (row, s)


@settings(max_examples=EXAMPLES // 3, deadline=None, derandomize=True,
          suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(loads_steps, st.booleans(), st.sampled_from([0, 1, 3]))
def test_what_held_a_connection_is_that_of_the_snapshot(tmp_path, steps, events, pace):
    kernel = play(steps, events, INTERVAL_MS * pace, names=LOADS_STEPS)
    path = tmp_path / "offloads.db"
    tables = replay(path, kernel.commands)
    hold_rows(kernel, tables)
    hold_offloads(kernel, tables, pace)
    database = sqlite3.connect(path)
    assert database.execute("SELECT count(*) FROM offloads WHERE life NOT IN (SELECT life FROM open UNION ALL "
                            "SELECT life FROM closed WHERE life IS NOT NULL)").fetchone() == (0,)
    assert database.execute("SELECT count(*) FROM offloads AS o WHERE offload = coalesce((SELECT b.offload FROM offloads "
                            "AS b WHERE b.life = o.life AND b.at_ms < o.at_ms ORDER BY b.at_ms DESC), 1)").fetchone() == (0,)
    database.close()


def test_an_end_that_was_foreseen_comes_sooner_where_nobody_looks_any_more(tmp_path):
    for n in (739, 741):  # can't be entered any more, excluded
        kernel = play([(PLACES_STEPS.index(name), n) for name, n in [("unseen_origin", 953), ("tick", 0), ("leave", n)]], True, places=3)
        tables = replay(tmp_path / "left.db", kernel.commands, places=range(3))
        hold_rows(shown_in(kernel, 2), tables[2])
        assert [len(rows) for _, rows in tables[2]] == [1, 0]
        assert sockets_of(tmp_path / "left.db", "closed_ms, closed_by, tx_bytes") == [(tables[2][0][0] + 1, "local", 100)]


def test_a_connection_that_falls_back_between_two_runs_does_so_once(tmp_path):
    for restart in (0, 1):  # in good order, or killed
        steps = [("open:ESTABLISHED", 0), ("tick", 0), ("load", 0), ("tick", 0), ("tick", 0), ("restart", restart),
                 ("load", 20), ("tick", 0), ("restart", restart), ("tick", 0), ("vanish", 0)]
        kernel = play([(LOADS_STEPS.index(name), n) for name, n in steps], sampling=INTERVAL_MS, names=LOADS_STEPS)
        path = tmp_path / "back.db"
        tables = replay(path, kernel.commands)
        assert [[row[17] for row in rows] for _, rows in tables] == [["1"], ["2"], ["2"], ["1"], ["1"], []]
        assert sockets_of(path, "offload") == [("InHost",)]
        database = sqlite3.connect(path)
        assert database.execute("SELECT at_ms, offload FROM offloads ORDER BY at_ms").fetchall() == [
            (tables[1][0], 2), (tables[3][0], 1)]
        database.close()


def test_each_short_connection_is_one_row(tmp_path):
    steps = [(STEPS.index("connect_and_close"), n * 4) for n in range(40)]
    steps += [(STEPS.index("unseen_origin"), n * 4) for n in range(40)]
    steps += [(STEPS.index("tick"), 0)] * 9
    kernel = play(steps, events=True)
    path = tmp_path / "short.db"
    hold_rows(kernel, replay(path, kernel.commands))
    rows = sockets_of(path, "remote_address, local_port, remote_port, opened_ms, closed_ms, closed_by, tx_bytes, rx_bytes")
    assert len(rows) == 80 and len({row[:3] for row in rows}) == 80
    assert all(row[3] is None and row[4] and row[6:] == (100, 1000) for row in rows)
    assert Counter(row[5] for row in rows) == {"remote": 40, "local": 40}


def test_what_did_not_change_writes_nothing(tmp_path):
    quiet = [(STEPS.index("open:ESTABLISHED"), n) for n in range(50)] + [(STEPS.index("open:LISTEN"), 1)]
    tick = STEPS.index("tick")
    path = tmp_path / "quiet.db"
    sizes = []
    for ticks in (2, 102):
        replay(path, play([*quiet, *[(tick, 0)] * ticks], sampling=INTERVAL_MS).commands)
        database = sqlite3.connect(path)
        sizes.append([database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
                      for table in ("open", "closed", "queues", "addresses", "owners", "open_facts")])
        assert database.execute("SELECT count(*), count(DISTINCT at_ms), max(at_ms) = (SELECT min(start_ms) FROM snapshots)"
                                " FROM open_facts").fetchone() == (50, 1, 1)
        tallies = database.execute("SELECT count(*) FROM tallies").fetchone()[0]
        anchors = database.execute("SELECT count(*) FROM snapshots WHERE anchor").fetchone()[0]
        services = database.execute("SELECT count(DISTINCT service || ',' || state) FROM tallies").fetchone()[0]
        assert tallies == anchors * services
        database.close()
    assert sizes[0] == sizes[1] and sizes[0][0] == 51


def test_a_flood_of_half_open_connections_is_counted_not_kept(tmp_path):
    flood = [(STEPS.index("open:SYN_RECV"), 9 + n * 18) for n in range(100)]
    path = tmp_path / "flood.db"
    kernel = play([*flood, (STEPS.index("tick"), 0)])
    tables = replay(path, kernel.commands, syn_recv=10)
    assert [len(rows) for _, rows in tables] == [10, 10]
    hold_tallies(path, kernel, tables)
    database = sqlite3.connect(path)
    assert database.execute("SELECT sockets, unkept FROM snapshots").fetchall() == [(100, 90)] * 2
    database.close()


def test_anonymous_detail_cuts_peers_and_counts_all(tmp_path):
    opened = [(STEPS.index("open:ESTABLISHED"), n) for n in range(30)]
    path = tmp_path / "anonymous.db"
    kernel = play([*opened, (STEPS.index("tick"), 0), (STEPS.index("restart"), 1)])
    tables = replay(path, kernel.commands, detail="anonymous")
    assert [len(rows) for _, rows in tables] == [30, 30]
    peers = {row[4] for _, rows in tables for row in rows}
    assert "198.51.100.0" in peers and "::ffff:198.51.100.0" in peers
    assert peers <= {"198.51.100.0", "::ffff:198.51.100.0"} | {p for p in peers if p.startswith("2001:db8:1")}
    hold_tallies(path, kernel, tables)
    assert b"198.51.100.7" not in path.read_bytes()
    database = sqlite3.connect(path)
    assert database.execute("SELECT count(*) FROM open").fetchone() == (30,), "lives go on over a restart"
    assert database.execute("SELECT count(*) FROM closed").fetchone() == (0,)
    database.close()


def test_without_detail_only_listeners_are_told(tmp_path):
    opened = [(STEPS.index("open:ESTABLISHED"), n) for n in range(30)]
    listening = [(STEPS.index("open:LISTEN"), n) for n in (0, 4, 8)]
    path = tmp_path / "off.db"
    kernel = play([*opened, *listening, (STEPS.index("tick"), 0), (STEPS.index("restart"), 1)])
    tables = replay(path, kernel.commands, detail="off")
    assert all({row[6] for row in rows} == {"LISTEN"} for _, rows in tables)
    hold_tallies(path, kernel, tables)
    database = sqlite3.connect(path)
    assert database.execute("SELECT count(*) FROM open").fetchone()[0] > 0
    assert database.execute("SELECT count(*) FROM closed").fetchone() == (0,), "listeners go on over a restart"
    database.close()


def test_the_wall_clock_may_jump_and_the_record_says_so(tmp_path):
    tick, jump = STEPS.index("tick"), STEPS.index("jump_wall")
    kernel = play([(tick, 0), (jump, 560), (tick, 0), (jump, 440), (tick, 0)])
    path = tmp_path / "jumps.db"
    tables = replay(path, kernel.commands)
    hold_time(tables)
    assert [b - a for (a, _), (b, _) in zip(tables, tables[1:])] == [10_000] * 3
    database = sqlite3.connect(path)
    epochs = [offset for offset, in database.execute("SELECT offset_ms FROM epochs ORDER BY from_ms")]
    assert epochs == [0, 3_600_000, 0]
    database.close()


def test_missed_ticks_are_recorded_not_bunched(tmp_path):
    tick = STEPS.index("tick")
    kernel = play([(tick, 0), (tick, 951), (tick, 0)])
    path = tmp_path / "missed.db"
    tables = replay(path, kernel.commands)
    assert len(tables) == 4
    database = sqlite3.connect(path)
    losses = database.execute("SELECT k.name, sum(l.count) FROM losses l JOIN loss_kinds k USING (kind)"
                              " GROUP BY 1").fetchall()
    assert losses == [("ticks missed", 951 * 7000 // 10_000)]
    database.close()


def test_a_reboot_closes_what_was_open_and_keeps_what_was_seen(tmp_path):
    opened = [(STEPS.index("open:ESTABLISHED"), n) for n in range(20)]
    kernel = play([*opened, (STEPS.index("tick"), 0), (STEPS.index("reboot"), 1), (STEPS.index("open:LISTEN"), 0)])
    path = tmp_path / "reboot.db"
    tables = replay(path, kernel.commands)
    hold_rows(kernel, tables)
    database = sqlite3.connect(path)
    assert database.execute("SELECT count(*) FROM closed").fetchone() == (20,)
    assert database.execute("SELECT count(*) FROM losses WHERE kind = 5").fetchone() == (1,)
    database.close()


def sockets_of(path, columns="closed_ms, opened_ms, remote_address"):
    database = sqlite3.connect(path)
    rows = database.execute(f"SELECT {columns} FROM sockets").fetchall()
    database.close()
    return rows


def test_lives_go_on_when_the_detail_changes(tmp_path):
    """A reload invents neither closings nor openings, and forgets peers that may not be kept."""
    opened = [(STEPS.index("open:ESTABLISHED"), n) for n in range(30)]
    kernel = play([*opened, (STEPS.index("tick"), 0)])
    for detail in ("anonymous", "on"):
        kernel.commands += ["stop", f"detail {detail}"]
        kernel.tick(0)
        path = tmp_path / f"changes-{detail}.db"
        tables = replay(path, kernel.commands)
        hold_tallies(path, kernel, tables)
        rows = sockets_of(path)
        assert len(rows) == 30 and all(closed is None and opened is None for closed, opened, _ in rows)
        cut = {"198.51.100.0", "::ffff:198.51.100.0"} & {peer for _, _, peer in rows}
        assert len(cut) == (2 if detail == "anonymous" else 0)


def test_sockets_of_a_namespace_that_is_gone_do_not_stay_open(tmp_path):
    kernel = play([(STEPS.index("open:ESTABLISHED"), 1), (STEPS.index("tick"), 0)])
    kernel.commands += ["stop", "netns 4026532999"]
    kernel.sockets = []
    kernel.tick(0)
    path = tmp_path / "netns.db"
    tables = replay(path, kernel.commands)
    hold_rows(kernel, tables)


def test_a_protocol_that_can_not_be_dumped_is_not_taken_for_an_empty_one(tmp_path):
    kernel = play([(STEPS.index("open:ESTABLISHED"), 1), (STEPS.index("open:udp"), 2)])
    samples = [c for c in kernel.commands if c.startswith("sample")]
    clocks = [f"clock {(5_010_000 + n * 10_000) * 1_000_000} {(1_700_005_010_000 + n * 10_000) * 1_000_000}"
              for n in (1, 2)]
    for lacking in ("tcp", "udp"):
        path = tmp_path / f"lacks-{lacking}.db"
        tables = replay(path, [*kernel.commands, clocks[0], f"lacks {lacking}", *samples, "tick",
                               clocks[1], f"has {lacking}", *samples, "tick"])
        assert [len(rows) for _, rows in tables] == [2, 2]
        database = sqlite3.connect(path)
        assert database.execute("SELECT count(*) FROM snapshots WHERE status = 1").fetchone() == (1,)
        assert database.execute("SELECT count(*) FROM losses WHERE kind = 2").fetchone() != (0,)
        assert database.execute("SELECT count(*) FROM closed").fetchone() == (0,)
        database.close()


def test_a_kernel_without_udp_is_recorded_without_and_the_record_says_so(tmp_path):
    kernel = play([(STEPS.index("open:ESTABLISHED"), 1)])
    path = tmp_path / "no-udp.db"
    tables = replay(path, ["lacks udp", *kernel.commands])
    assert len(tables) == 1 and len(tables[0][1]) == 1
    database = sqlite3.connect(path)
    assert database.execute("SELECT text FROM losses WHERE kind = 2").fetchone()[0].startswith("udp: ")
    database.close()


def test_an_opening_after_a_gap_is_not_claimed(tmp_path):
    tick, opening = STEPS.index("tick"), STEPS.index("open:ESTABLISHED")
    path = tmp_path / "openings.db"
    replay(path, play([(tick, 0), (opening, 1), (tick, 0), (opening, 2), (tick, 990), (opening, 4), (tick, 0)]).commands)
    rows = sockets_of(path, "local_port + remote_port, opened_ms IS NOT NULL")
    assert [known for _, known in sorted(rows)].count(0) == 1 and len(rows) == 3
