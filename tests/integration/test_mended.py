# SPDX-License-Identifier: MIT
"""What a repair makes of counts, and what a check compares them with."""
import random
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
