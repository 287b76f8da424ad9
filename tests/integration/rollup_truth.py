# SPDX-License-Identifier: MIT
"""What the rollups of a file must say, computed from its raw rows alone: each tier straight from snapshots, tallies
and minutes of rates, without the tiers between."""
import sqlite3
from collections import Counter, defaultdict

LENGTH = {1: 60_000, 2: 3_600_000, 3: 86_400_000}
GROUP = 600_000  # minutes are added up ten at a time
DETAIL = {"on": 1, "anonymous": 2, "off": 4}


def read_histogram(blob):
    """{bucket: count} of a blob as connhist-schema(5) describes it."""
    counts, at = Counter(), 0
    while at < len(blob or b""):
        bucket, at, shift, value = blob[at], at + 1, 0, 0
        while True:
            value |= (blob[at] & 127) << shift
            shift, at = shift + 7, at + 1
            if blob[at - 1] < 128:
                break
        counts[bucket] += value
    return counts


def failed_at_snapshots(database):
    """{start_ms: {netns}} of snapshots that are complete in other namespaces than these."""
    failed = defaultdict(set)
    for start_ms, netns in database.execute("SELECT start_ms, netns FROM incomplete"):
        failed[start_ms].add(netns)
    return failed


def netns_covers_truth(database, length):
    """{(at_ms, netns): (done, first_ms, last_ms)} of the periods with such snapshots, 0 for those that did not fail."""
    failed, done = failed_at_snapshots(database), defaultdict(list)
    for start_ms, status in database.execute("SELECT start_ms, status FROM snapshots ORDER BY start_ms"):
        if status == 0 or start_ms in failed:
            done[start_ms // length * length].append(start_ms)
    wanted = {(at // length * length, netns) for at, some in failed.items() for netns in {0, *some}}
    truth = {}
    for at_ms, netns in wanted:
        seen = [at for at in done[at_ms] if netns not in failed.get(at, ())]
        truth[at_ms, netns] = len(seen), seen[0] if seen else None, seen[-1] if seen else None
    return truth


def netns_tallies_truth(database, length):
    """As tallies_truth(), of each service over the snapshots that are complete in its namespace, in those periods."""
    failed = failed_at_snapshots(database)
    apart = {at // length * length for at in failed}
    netns_of = dict(database.execute("SELECT id, netns FROM services"))
    truth = {}
    for netns in set(netns_of.values()):
        tables = [(at, {key: count for key, count in counts.items() if netns_of[key[0]] == netns})
                  for at, counts in counts_at_snapshots(database, {at for at in failed if netns not in failed[at]})]
        truth |= {key: row for key, row in tallies_truth(tables, length).items() if key[2] in apart}
    return truth


def counts_at_snapshots(database, others=frozenset()):
    """[(start_ms, {(service, state): count})] of each complete snapshot, by the rule of connhist-schema(5), and of others."""
    tallies = database.execute("SELECT at_ms, service, state, count FROM tallies ORDER BY at_ms").fetchall()
    tables, now, position = [], {}, 0
    for start_ms, anchor, status in database.execute(
            "SELECT start_ms, anchor, status FROM snapshots ORDER BY start_ms"):
        while position < len(tallies) and tallies[position][0] < start_ms:
            now[tallies[position][1:3]] = tallies[position][3]
            position += 1
        if anchor:
            now = {}
        while position < len(tallies) and tallies[position][0] == start_ms:
            now[tallies[position][1:3]] = tallies[position][3]
            position += 1
        now = {key: count for key, count in now.items() if count}
        if status == 0 or start_ms in others:
            tables.append((start_ms, dict(now)))
    return tables


def tallies_truth(tables, length):
    """{(service, state, at_ms): (min, max, last, sum)}"""
    periods = defaultdict(list)
    for start_ms, counts in tables:
        periods[start_ms // length * length].append(counts)
    truth = {}
    for at_ms, snapshots in periods.items():
        for key in {key for counts in snapshots for key in counts}:
            series = [counts.get(key, 0) for counts in snapshots]
            truth[(*key, at_ms)] = (min(series), max(series), series[-1], sum(series))
    return truth


def cover_truth(database, length):
    """{at_ms: (done, interrupted, first_ms, last_ms, unkept, details)}"""
    truth = {}
    for start_ms, status, unkept, detail in database.execute(
            "SELECT start_ms, status, unkept, detail FROM snapshots JOIN recordings ON id = recording ORDER BY start_ms"):
        at_ms = start_ms // length * length
        done, interrupted, first, last, kept_not, details = truth.get(at_ms, (0, 0, None, None, 0, 0))
        if status == 0:
            done, first, last = done + 1, start_ms if first is None else first, start_ms
        else:
            interrupted += 1
        truth[at_ms] = done, interrupted, first, last, kept_not + unkept, details | DETAIL[detail]
    return truth


def rates_truth(database, tier):
    """{(service, at_ms): (counts, durations, rtts)} of a tier, from the minutes."""
    truth = {}
    for service, at_ms, *counts, durations, rtts in database.execute(
            "SELECT service, at_ms, opened, closed_local, closed_remote, closed_reset, closed_timeout, closed_unknown,"
            " sent_bytes, received_bytes, durations, rtts FROM rate_rollups WHERE tier = 1"):
        key = (service, at_ms // LENGTH[tier] * LENGTH[tier])
        before = truth.get(key, ([0] * 8, Counter(), Counter()))
        truth[key] = ([a + b for a, b in zip(before[0], counts)], before[1] + read_histogram(durations),
                      before[2] + read_histogram(rtts))
    return truth


def pauses_truth(database):
    """[(from_ms, until_ms, before, after, interrupted)]"""
    epochs = database.execute("SELECT from_ms, offset_ms FROM epochs ORDER BY from_ms").fetchall()
    intervals = dict(database.execute("SELECT id, interval_ms FROM recordings"))

    def wall(at_ms):
        return at_ms + ([0] + [offset for from_ms, offset in epochs if from_ms <= at_ms])[-1]
    truth, last, interrupted = [], None, 0
    for start_ms, status, recording in database.execute(
            "SELECT start_ms, status, recording FROM snapshots ORDER BY start_ms"):
        if status:
            interrupted += 1
            continue
        if last:
            distance = max(start_ms - last[0], wall(start_ms) - wall(last[0]))
            if distance > 1.5 * max(intervals[recording], intervals[last[1]]):
                truth.append((last[0], start_ms, last[1], recording, interrupted))
        last, interrupted = (start_ms, recording), 0
    return truth


def hold_until(database, until):
    """A tier that is up to date has come as far as what is below it lets it."""
    last, = database.execute("SELECT max(start_ms) FROM snapshots").fetchone()
    whole = (last or 0) // GROUP * GROUP
    for tier, length in LENGTH.items():
        whole = whole // length * length
        below = cover_truth(database, length)
        assert not [at for at in below if until[tier] <= at and at + length <= whole], f"tier {tier} is behind"
        whole = until[tier]


def hold(path, up_to_date=True):
    """Holds all rollups of a file against its raw rows; returns how many rows of counts and rates there were, by tier."""
    database = sqlite3.connect(path)
    assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    until = dict(database.execute("SELECT tier, until_ms FROM tiers"))
    tables = counts_at_snapshots(database)
    seen = Counter()
    for tier, length in LENGTH.items():
        assert until[tier] % length == 0
        rows = {row[:3]: row[3:] for row in database.execute(
            "SELECT service, state, at_ms, min, max, last, sum FROM tally_rollups WHERE tier = ? AND at_ms < ?",
            (tier, until[tier]))}
        assert rows == {k: v for k, v in tallies_truth(tables, length).items() if k[2] < until[tier]}, f"tier {tier}"
        cover = {row[0]: row[1:] for row in database.execute(
            "SELECT at_ms, done, interrupted, first_ms, last_ms, unkept, details FROM cover_rollups WHERE tier = ?",
            (tier,))}
        assert cover == {k: v for k, v in cover_truth(database, length).items() if k < until[tier]}, f"tier {tier}"
        apart = {row[:3]: row[3:] for row in database.execute(
            "SELECT service, state, at_ms, min, max, last, sum FROM netns_tallies WHERE tier = ? AND at_ms < ?",
            (tier, until[tier]))}
        truth = netns_tallies_truth(database, length)
        assert apart == {k: v for k, v in truth.items() if k[2] < until[tier]}, f"tier {tier}"
        covers = {row[:2]: row[2:] for row in database.execute(
            "SELECT at_ms, netns, done, first_ms, last_ms FROM netns_covers WHERE tier = ?", (tier,))}
        truth = netns_covers_truth(database, length)
        assert covers == {k: v for k, v in truth.items() if k[0] < until[tier]}, f"tier {tier}"
        rates = {}
        for service, at_ms, *counts, durations, rtts in database.execute(
                "SELECT service, at_ms, opened, closed_local, closed_remote, closed_reset, closed_timeout, closed_unknown,"
                " sent_bytes, received_bytes, durations, rtts FROM rate_rollups WHERE tier = ? AND at_ms < ?",
                (tier, until[tier])):
            rates[service, at_ms] = counts, read_histogram(durations), read_histogram(rtts)
        assert rates == {k: v for k, v in rates_truth(database, tier).items() if k[1] < until[tier]}, f"tier {tier}"
        seen[tier] = len(rows) + len(rates)
    pauses = database.execute("SELECT * FROM pauses ORDER BY from_ms").fetchall()
    assert pauses == pauses_truth(database)
    if up_to_date:
        hold_until(database, until)
    database.close()
    return seen
