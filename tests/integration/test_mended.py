# SPDX-License-Identifier: MIT
"""What a repair makes of counts, and what a check compares them with."""
import random
import re
import sqlite3

import pytest

from kernel_model import Kernel
from pages import tables
from rollup_truth import counts_at_snapshots, failed_at_snapshots
from test_exactness import replay
from test_upkeep import connhistd, hold_checked, rows


@pytest.fixture(scope="module")
def partial(tmp_path_factory):
    """Two namespaces of which one often fails, and counts on some dozens of pages."""
    path = tmp_path_factory.mktemp("mended") / "partial.db"
    kernel, dice = Kernel(events=True, places=2), random.Random(4)
    kernel.commands += ["namespaces 2", "events", kernel.clock(), "start boot-1"]
    for _ in range(900):
        for _ in range(3):
            getattr(kernel, dice.choice(["advance", "vanish", "reuse_tuple"]))(dice.randrange(1000))
        kernel.open(dice.choice(["ESTABLISHED", "LISTEN", "SYN_SENT", "CLOSE_WAIT"]), dice.randrange(1000))
        if dice.random() < 0.4:
            kernel.failing.add(1)
        kernel.tick(0)
    replay(path, kernel.commands)
    hold_checked(path)
    return path


def counts_where_complete(path):
    """{(start_ms, netns): {(service, state): count}} of each namespace in which a snapshot is complete."""
    database = sqlite3.connect(path)
    failed = failed_at_snapshots(database)
    netns_of = dict(database.execute("SELECT id, netns FROM services"))
    truth = {}
    for start_ms, counts in counts_at_snapshots(database, set(failed)):
        for netns in {*netns_of.values()} - failed[start_ms]:
            truth[start_ms, netns] = {key: n for key, n in counts.items() if netns_of[key[0]] == netns}
    database.close()
    return truth


def blank(path, pages, to):
    _, size, _ = tables(path)
    data = bytearray(path.read_bytes())
    for page in pages:
        data[(page - 1) * size:page * size] = bytes(size)
    to.write_bytes(data)


@pytest.mark.parametrize("table", ["tallies", "incomplete", "snapshots", "closed"])
def test_no_snapshot_is_complete_anywhere_with_counts_that_are_lost(partial, tmp_path, table):
    damaged, mended = tmp_path / "damaged.db", tmp_path / "mended.db"
    found = tables(partial)[0]
    pages = sorted(page for page, (of, _) in found.items() if of == table)
    before, partials = counts_where_complete(partial), rows(partial, "SELECT count(DISTINCT start_ms) FROM incomplete")[0][0]
    assert partials > 200 and len(pages) >= (8 if table == "tallies" else 1)
    for page in pages[::max(1, len(pages) // 6)]:
        blank(partial, [page], damaged)
        mended.unlink(missing_ok=True)
        told = connhistd("--repair", "--db", damaged, "--to", mended, status=1).stdout
        hold_checked(mended)
        after = counts_where_complete(mended)
        assert {key: before[key] for key in after} == after, f"page {page}"
        left = rows(mended, "SELECT count(DISTINCT start_ms) FROM incomplete")[0][0]
        if table != "closed":
            assert left == 0 and "that were complete in some namespaces may lack counts" in told
        if table == "closed":
            assert left == partials and "may lack counts" not in told and after == before


def change(partial, path, sql, *values):
    """A copy of the file with one row changed."""
    path.write_bytes(partial.read_bytes())
    database = sqlite3.connect(path)
    assert database.execute(sql, values).rowcount == 1
    database.commit()
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()


MINUTE = ("(tier, service, state, at_ms) = (SELECT tier, service, state, at_ms FROM tally_rollups WHERE tier = 1 AND {0} AND at_ms >"
          " 1700006400000 ORDER BY at_ms DESC, service, state LIMIT 1)")


@pytest.mark.parametrize("sql, where", [
    ("UPDATE tally_rollups SET sum = sum + 1 WHERE " + MINUTE, "1"),
    ("UPDATE tally_rollups SET min = min - 1 WHERE " + MINUTE, "min > 0"),
    ("UPDATE tally_rollups SET last = max WHERE " + MINUTE, "last < max"),
    ("UPDATE tally_rollups SET max = max + 1 WHERE " + MINUTE, "sum > max"),
    ("DELETE FROM tally_rollups WHERE " + MINUTE, "1"),
    ("UPDATE tally_rollups SET state = 12 WHERE " + MINUTE, "state = 1"),
])
def test_a_minute_that_is_not_what_its_snapshots_say_is_named(partial, tmp_path, sql, where):
    path = tmp_path / "copy.db"
    (service, state, at_ms), = rows(partial, f"SELECT service, state, at_ms FROM tally_rollups WHERE {MINUTE.format(where)}")
    change(partial, path, sql.format(where))
    told = connhistd("--check", "--db", path, status=1).stdout
    n, state = ("2 counts", 12) if "state = 12" in sql else ("1 count", state)  # that is one row too many, and one that lacks
    assert (f"tally_rollups: {n} of minutes unlike those of their snapshots: {'the first is ' if n[0] == '2' else ''}"
            f"tier 1, service {service}, state {state}, at_ms {at_ms}\n") in told


@pytest.mark.parametrize("column", ["done", "interrupted"])
def test_a_minute_with_other_snapshots_than_there_are_is_named(partial, tmp_path, column):
    path = tmp_path / "copy.db"
    (at_ms,), = rows(partial, "SELECT max(at_ms) FROM cover_rollups WHERE tier = 1 AND done > 1 AND at_ms % 3600000 = 0")
    change(partial, path, f"UPDATE cover_rollups SET {column} = {column} + 1 WHERE tier = 1 AND at_ms = ?", at_ms)
    told = connhistd("--check", "--db", path, status=1).stdout
    assert f"cover_rollups: 1 count of minutes unlike those of their snapshots: tier 1, at_ms {at_ms}\n" in told


def test_minutes_of_which_the_snapshots_went_are_not_compared(partial, tmp_path):
    path = tmp_path / "copy.db"
    path.write_bytes(partial.read_bytes())
    anchor, = rows(path, "SELECT start_ms FROM snapshots WHERE anchor = 1 ORDER BY 1 LIMIT 1 OFFSET 2")[0]
    database = sqlite3.connect(path)
    database.execute("UPDATE tiers SET from_ms = ? WHERE tier <= 0", (anchor,))
    database.execute("DELETE FROM tallies WHERE at_ms < ?", (anchor,))
    database.execute("DELETE FROM incomplete WHERE start_ms < ?", (anchor,))
    database.execute("DELETE FROM snapshots WHERE start_ms < ?", (anchor,))
    database.commit()
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    hold_checked(path)


@pytest.mark.parametrize("of", ["(SELECT at_ms FROM tallies WHERE count > 0 ORDER BY at_ms LIMIT 1 OFFSET (SELECT count(*) / 2 FROM tallies))",
                                "(SELECT max(start_ms) FROM snapshots WHERE status = 0)"])
def test_a_repair_tells_how_many_snapshots_are_no_longer_complete(partial, tmp_path, of):
    path, mended = tmp_path / "copy.db", tmp_path / "mended.db"
    change(partial, path, "UPDATE tallies SET count = count + 1 WHERE (at_ms, service, state) = (SELECT at_ms, service, state FROM tallies"
           f" WHERE count > 0 AND at_ms <= {of} ORDER BY at_ms DESC LIMIT 1)")
    told = connhistd("--repair", "--db", path, "--to", mended, status=1).stdout
    complete = "SELECT start_ms FROM snapshots WHERE status = 0"
    demoted = sorted({at for at, in rows(partial, complete)} - {at for at, in rows(mended, complete)})
    several = re.search(r"tallies: (\d+) snapshots between (\d+) and (\d+) ms lack counts: with all that have the same full counts (\d+) (are|is)"
                        r" no longer complete\n", told)
    one = re.search(r"tallies: the snapshot at (\d+) ms lacks counts: with all that have the same full counts (\d+) (are|is) no longer complete\n", told)
    assert bool(several) != bool(one), told
    n, first, last, total, verb = several.groups() if several else (1, one[1], one[1], *one.groups()[1:])
    assert int(total) == len(demoted) >= int(n) and verb == ("are" if int(total) > 1 else "is")
    assert demoted[0] <= int(first) <= int(last) <= demoted[-1]
    # they begin with full counts, and end before the next ones
    anchors = [at for at, in rows(partial, "SELECT start_ms FROM snapshots WHERE anchor = 1 ORDER BY start_ms")]
    assert {max(a for a in anchors if a <= at) for at in demoted} == {max(a for a in anchors if a <= at) for at in (int(first), int(last))}
