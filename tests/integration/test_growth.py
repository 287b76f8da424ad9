# SPDX-License-Identifier: MIT
"""What counters grew by over a span: between which readings, in which steps, of which interfaces; what is said where there is
nothing to compare. A made-up kernel's, held against sums over the file's rows that sqlite3 makes."""
import csv
import io
import json

import pytest

from conftest import connhist, count, query, strict_json
from test_counting import BEGIN, HOUR, MINUTE, Kernel, at, path, replay, steps, utc  # noqa: F401

DAY = 24 * HOUR
NAME = "Udp.NoPorts"
PHASE = 3_391  # readings do not come at full minutes


def grown(path, since, until, *args):
    return strict_json(connhist("--db", path, "netstat", "-s", "--since", at(since), "--until", at(until), "--format", "json",
                                *args).stdout)


def of(document, name=NAME):
    return {row["counter"]: row["grew"] for row in document["rows"]}[name]


def readings(path):
    return [ms for ms, in query(path, "SELECT at_ms FROM readings ORDER BY at_ms")]


def between(path, begin, end):
    """All that was read to have grown behind one reading up to another."""
    return count(path, f"SELECT coalesce(sum(grew), 0) FROM counters JOIN counter_names ON id = counter "
                       f"WHERE name = '{NAME}' AND at_ms > {begin} AND at_ms <= {end}")


def minutes(n):
    """A reading each minute; minute k grows by k + 1."""
    kernel = Kernel()
    kernel.wait(PHASE)
    kernel.set(NAME, 7)
    for i in range(n):
        kernel.tick(MINUTE if i else 0)
        kernel.add(NAME, i + 1)
    return kernel


def test_a_span_is_covered_by_the_readings_around_it(path):
    kernel = minutes(20)
    replay(path, kernel.commands)
    all_ = readings(path)
    assert len(all_) == 20 and all_[3] == BEGIN + PHASE + 3 * MINUTE
    for since, until in ((BEGIN + 3 * MINUTE, BEGIN + 4 * MINUTE), (all_[3], all_[4]), (all_[3] + 1, all_[4] - 1),
                         (all_[3] - 1, all_[4] + 1), (all_[3] + 10, all_[3] + 20), (BEGIN + 90_000, BEGIN + 8 * MINUTE)):
        begin, end = max(ms for ms in all_ if ms <= since), min(ms for ms in all_ if ms >= until)
        told = grown(path, since, until)
        assert (told["since_ms"], told["until_ms"]) == (begin, end)
        assert of(told) == between(path, begin, end) > 0
        row, = (row for row in told["rows"] if row["counter"] == NAME)
        assert (row["since_ms"], row["until_ms"]) == (begin, end)
        assert abs(row["per_second"] - row["grew"] * 1000 / (end - begin)) < 1e-6
    # where there is none before or after it the first and the last one
    for since, until, begin, end in ((BEGIN - HOUR, BEGIN + 4 * MINUTE, all_[0], all_[4]),
                                     (BEGIN + 4 * MINUTE, BEGIN + DAY, all_[3], all_[-1])):
        told = grown(path, since, until)
        assert (told["since_ms"], told["until_ms"]) == (begin, end) and of(told) == between(path, begin, end)
    text = connhist("--db", path, "--utc", "netstat", "-s", "--since", at(BEGIN + 3 * MINUTE), "--until",
                    at(BEGIN + 4 * MINUTE)).stdout
    assert text.startswith("Growth between the readings of %s and %s, 2m00s\n" % (utc(all_[2]), utc(all_[4])))
    # and the same beneath a port
    beneath = strict_json(connhist("--db", path, "report", "--port", "53", "--format", "json", "--since",
                                   at(BEGIN + 3 * MINUTE), "--until", at(BEGIN + 4 * MINUTE)).stdout)["counters"]
    assert [(row["since_ms"], row["until_ms"], row["grew"]) for row in beneath if row["counter"] == NAME] == [
        (all_[2], all_[4], 3 + 4)]


def test_each_minute_has_the_growth_of_its_own_time(path):
    kernel = minutes(20)
    replay(path, kernel.commands)
    # minute k, nearly all of it, grew by k + 1
    rows = steps(path, NAME, BEGIN, BEGIN + 19 * MINUTE, "1m")
    assert [row["grew"] for row in rows] == [k + 1 for k in range(19)]
    # a single one as among others
    for k in (0, 4, 18):
        row, = steps(path, NAME, BEGIN + k * MINUTE, BEGIN + (k + 1) * MINUTE, "1m")
        assert row["grew"] == k + 1
    # what is to be read yet is not known
    assert steps(path, NAME, BEGIN + 19 * MINUTE, BEGIN + 20 * MINUTE, "1m")[0]["grew"] is None


def test_longer_steps_are_the_sums_of_shorter_ones(path):
    kernel = minutes(5 * 60)
    replay(path, kernel.commands)
    short = {}
    for row in steps(path, NAME, BEGIN, BEGIN + 5 * HOUR, "1m"):
        short.setdefault(row["at_ms"] // HOUR, []).append(row["grew"] or 0)
    hours = {row["at_ms"] // HOUR: row["grew"] for row in steps(path, NAME, BEGIN, BEGIN + 5 * HOUR, "1h")}
    assert hours == {hour: sum(all_) for hour, all_ in short.items()}
    # the end of an hour of which only a part was asked for
    cut = steps(path, NAME, BEGIN, BEGIN + 2 * HOUR + 30 * MINUTE, "1h")
    assert cut[-1]["grew"] == sum(short[BEGIN // HOUR + 2][:30])
    two, = steps(path, NAME, BEGIN + HOUR, BEGIN + 3 * HOUR, "2h")
    assert two["grew"] == sum(short[BEGIN // HOUR + 1]) + sum(short[BEGIN // HOUR + 2])


@pytest.mark.parametrize("hours_ms, period", [(0, HOUR), (4 * HOUR, DAY)])
def test_where_readings_are_gone_whole_periods_answer(path, hours_ms, period):
    kernel = minutes(60 * 60)
    replay(path, kernel.commands)
    before = dict((row["at_ms"], row["grew"]) for row in steps(path, NAME, BEGIN, BEGIN + 2 * DAY, "1h"))
    kernel.keep(2 * HOUR, hours_ms)
    replay(path, kernel.commands)
    assert count(path, "SELECT min(at_ms) FROM readings") > BEGIN + 2 * DAY
    since, until = BEGIN + 9 * HOUR + 20 * MINUTE, BEGIN + 11 * HOUR + 30 * MINUTE
    begin, end = since // period * period, -(-until // period) * period
    done = connhist("--db", path, "--utc", "report", "--counter", NAME, "--since", at(since), "--until", at(until), "--step",
                    "10m", "--format", "json")
    told = strict_json(done.stdout)
    assert (told["since_ms"], told["until_ms"], told["step_ms"]) == (begin, end, period)
    assert told["tier"] == ("hours" if period == HOUR else "days")
    assert "is kept by %s alone" % ("hour" if period == HOUR else "day") in done.stderr
    # no row is a gap, and each has what its period has in the file
    assert [(row["at_ms"], row["grew"]) for row in told["rows"]] == query(
        path, f"SELECT at_ms, grew FROM counter_rollups JOIN counter_names ON id = counter WHERE name = '{NAME}' AND "
              f"tier = {2 if period == HOUR else 3} AND at_ms >= {begin} AND at_ms < {end} ORDER BY at_ms")
    if period == HOUR:  # but for the reading at the border of two, as when there were readings
        assert all(abs(row["grew"] - before[row["at_ms"]]) <= 60 for row in told["rows"])
    table = connhist("--db", path, "report", "--counter", NAME, "--since", at(since), "--until", at(until), "--format",
                     "table").stdout
    assert "TIME (BY %s)" % ("HOUR" if period == HOUR else "DAY") in table
    # and over the span: the same periods
    span = grown(path, since, until)
    assert of(span) == sum(row["grew"] for row in told["rows"])
    assert begin - MINUTE <= span["since_ms"] <= begin + PHASE and end - MINUTE <= span["until_ms"] < end


def test_an_end_in_a_gap_tells_what_came_over_it_apart(path):
    kernel = minutes(10)
    kernel.restart()
    kernel.wait(30 * MINUTE)
    kernel.add(NAME, 1000)
    kernel.ticks(5, MINUTE)
    replay(path, kernel.commands)
    all_ = readings(path)
    inside = all_[9] + 10 * MINUTE
    done = connhist("--db", path, "netstat", "-s", "--since", at(all_[5]), "--until", at(inside), "--format", "json")
    told = strict_json(done.stdout)
    row, = (row for row in told["rows"] if row["counter"] == NAME)
    assert (row["since_ms"], row["until_ms"]) == (all_[5], all_[10])
    assert (row["grew"], row["gap_grew"]) == (6 + 7 + 8 + 9 + 1010, 1010) and "nothing was recorded for some" in done.stderr
    assert "IN GAP" in connhist("--db", path, "netstat", "-s", "--since", at(all_[5]), "--until", at(inside)).stdout
    assert "IN GAP" not in connhist("--db", path, "netstat", "-s", "--since", at(all_[5]), "--until", at(all_[8])).stdout


def test_beneath_a_port_what_came_over_a_gap_is_told_too(path):
    kernel = minutes(10)
    kernel.restart()
    kernel.wait(30 * MINUTE)
    kernel.add(NAME, 1000)
    kernel.ticks(5, MINUTE)
    replay(path, kernel.commands)
    all_ = readings(path)

    def beneath(until, *args):
        return connhist("--db", path, "report", "--port", "53", "--since", at(all_[5]), "--until", at(until), *args).stdout
    row, = (row for row in strict_json(beneath(all_[10], "--format", "json"))["counters"] if row["counter"] == NAME)
    assert (row["grew"], row["gap_grew"]) == (between(path, all_[5], all_[10]), 1010)
    for form in "table", "chart":
        line, = (line for line in beneath(all_[10], "--format", form).splitlines() if NAME in line)
        assert f"+{row['grew']} (1010 of it over gaps)  " in line
        line, = (line for line in beneath(all_[8], "--format", form).splitlines() if NAME in line)
        assert f"+{between(path, all_[5], all_[8])}  " in line


def test_rows_of_csv_and_json_lines_tell_their_readings(path):
    kernel = minutes(6)
    replay(path, kernel.commands)
    all_ = readings(path)
    for form in "csv", "jsonl":
        text = connhist("--db", path, "netstat", "-s", "--since", at(all_[1] + 1), "--until", at(all_[3]), "--format", form).stdout
        rows = list(csv.DictReader(io.StringIO(text))) if form == "csv" else [json.loads(line) for line in text.splitlines()]
        row, = (row for row in rows if row["counter"] == NAME)
        assert (int(row["since_ms"]), int(row["until_ms"]), int(row["grew"]), int(row["gap_grew"])) == (
            all_[1], all_[3], 2 + 3, 0)


def test_where_there_are_not_two_readings_the_reason_is_told(path):
    kernel = Kernel(places=2)
    kernel.set(NAME, 7)
    kernel.ticks(7)  # two readings, of the own namespace and n1
    kernel.commands.append("without 1 4")
    kernel.ticks(60)
    replay(path, kernel.commands)
    all_ = readings(path)

    def refused(since, until, *args):
        done = connhist("--db", path, "--utc", "netstat", "-s", "--since", at(since), "--until", at(until), *args, status=3)
        assert done.stderr.count("\n") == 1
        return done.stderr
    assert f"the first reading is of {utc(all_[0])}" in refused(BEGIN - HOUR, all_[0] - 1)
    assert f"the last reading is of {utc(all_[-1])}, and none follows" in refused(all_[-1], all_[-1] + 5 * MINUTE)
    # another namespace was recorded for a part of that time alone: its readings count
    assert f"not recorded any more from {utc(all_[1] + 10_000)} on: its last reading is of {utc(all_[1])}" in refused(
        all_[1] + MINUTE, all_[-1], "--netns", "n1")
    early = refused(BEGIN - HOUR, all_[0] - 1, "--netns", "n1")
    assert "network namespace n1" in early and utc(all_[0]) in early
    done = connhist("--db", path, "--utc", "netstat", "-s", "--at", at(all_[0] - 1), "--netns", "n1", status=3)
    assert "of network namespace n1 were recorded at or before" in done.stderr and utc(all_[0]) in done.stderr


def test_a_single_reading_has_nothing_to_be_compared_with(path):
    kernel = Kernel()
    kernel.set(NAME, 7)
    kernel.tick(PHASE)
    replay(path, kernel.commands)
    done = connhist("--db", path, "--utc", "netstat", "-s", "--since", at(BEGIN), "--until", at(BEGIN + HOUR), status=3)
    assert f"read only once, at {utc(BEGIN + PHASE)}" in done.stderr


def test_a_reading_that_lacks_counters_ends_no_span(path):
    kernel = minutes(3)
    kernel.commands.append("unread 1")
    kernel.ticks(2, MINUTE)
    kernel.commands.append("unread 0")
    kernel.ticks(2, MINUTE)
    replay(path, kernel.commands)
    all_, lacking = readings(path), [ms for ms, in query(path, "SELECT at_ms FROM reading_lacks WHERE lacks & 1 ORDER BY at_ms")]
    assert lacking == all_[3:5]
    told = grown(path, all_[1], all_[3])
    assert (told["since_ms"], told["until_ms"]) == (all_[1], all_[5]) and of(told) == between(path, all_[1], all_[5])
    told = grown(path, all_[4], all_[6])
    assert (told["since_ms"], told["until_ms"]) == (all_[2], all_[6])


def test_interfaces_are_those_that_were_there_in_the_span(path):
    kernel = Kernel()
    kernel.commands += ["interface 1 lo 65536 0", "interface 2 eth0 1500 900"]
    kernel.wait(PHASE)
    for i in range(6):
        kernel.tick(MINUTE)
        kernel.commands.append(f"interface 2 eth0 1500 {900 + 10 * i}")
    kernel.commands += ["interface 2 -", "interface 3 tun0 1400 5"]
    for i in range(6):
        kernel.tick(MINUTE)
        kernel.commands.append(f"interface 3 tun0 1400 {5 + i}")
    replay(path, kernel.commands)
    all_ = readings(path)

    def links(begin, end):
        rows = strict_json(connhist("--db", path, "netstat", "-e", "--by", "interface", "--since", at(begin), "--until", at(end),
                                    "--format", "json").stdout)["rows"]
        found = {}
        for row in rows:
            found.setdefault(row["interface"], {})[row["counter"]] = row["grew"]
        return found

    def there(begin, end):
        return {name for name, in query(path, f"SELECT name FROM interfaces WHERE from_ms <= {end} AND "
                                              f"coalesce(until_ms, {end} + 1) > {begin}")}
    for begin, end, names in ((0, 4, {"lo", "eth0"}), (7, 10, {"lo", "tun0"}), (2, 10, {"lo", "eth0", "tun0"})):
        found = links(all_[begin], all_[end])
        assert set(found) == there(all_[begin], all_[end]) == names
        # all that is counted, also what never moved
        assert {len(one) for one in found.values()} == {13} and set(found["lo"].values()) == {0}
    assert links(all_[1], all_[4])["eth0"]["rx_bytes"] == 30
    assert links(all_[7], all_[10])["tun0"]["rx_bytes"] == count(
        path, f"SELECT sum(grew) FROM counters JOIN counter_names ON id = counter WHERE name = 'interface.tun0.rx_bytes' AND "
              f"at_ms > {all_[7]} AND at_ms <= {all_[10]}")


@pytest.mark.parametrize("word, saying", [
    ("interface.eth0.rx_byts", "; there are interface.eth0.rx_bytes, "),
    ("eth0.tx_byte5", "; there are interface.eth0.tx_bytes, "),
    ("Interface.eth0.nothing", "; there are interface.eth0."),
    ("interface.eth7.rx_bytes", "no interface eth7 was ever recorded; there are eth0, wlan0.1"),
    ("interface.wlan.rx_bytes", "no interface wlan was ever recorded; there are wlan0.1, eth0"),
    ("interface.wlan0.1.rx_bits", "; there are interface.wlan0.1.rx_bytes, "),
    ("Udp.NoPort5", "; there are Udp.NoPorts"),
    ("x" * 200, "; there are "),
])
def test_a_wrong_name_is_answered_with_those_like_it(path, word, saying):
    kernel = minutes(2)
    kernel.commands += ["interface 2 eth0 1500 900", "interface 3 wlan0.1 1500 0"]
    kernel.ticks(7)
    replay(path, kernel.commands)
    done = connhist("--db", path, "report", "--counter", word, "--since", at(BEGIN), "--until", at(BEGIN + HOUR), status=2)
    assert saying in done.stderr and done.stderr.count("\n") == 1
    rows = steps(path, "interface.wlan0.1.rx_bytes", kernel.wall_ms - MINUTE, kernel.wall_ms, "1m")
    assert [row["grew"] for row in rows] == [0]  # never moved


@pytest.mark.parametrize("leap", [90 * MINUTE, -30 * MINUTE, -50 * MINUTE])
def test_a_clock_that_was_set_makes_no_span_longer_or_shorter(path, leap):
    kernel = minutes(60)
    kernel.wall_ms += leap
    for i in range(60):
        kernel.tick(MINUTE)
        kernel.add(NAME, 61 + i)
    replay(path, kernel.commands)
    record, offsets = readings(path), query(path, "SELECT from_ms, offset_ms FROM epochs ORDER BY from_ms")
    assert [offset for _, offset in offsets] == [0, leap] and len(record) == 120
    end = record[119] + leap
    since = begin = record[31]  # where a time came twice, the first one
    row, = (row for row in grown(path, since, end)["rows"] if row["counter"] == NAME)
    assert (row["since_ms"], row["until_ms"]) == (since, end) and row["grew"] == between(path, begin, record[119])
    assert abs(row["per_second"] - row["grew"] * 1000 / (record[119] - begin)) < 1e-6
    text = connhist("--db", path, "--utc", "netstat", "-s", "--since", at(since), "--until", at(end)).stdout
    assert text.startswith("Growth between the readings of %s and %s, 1h28m\n" % (
        utc(since), utc(end)))


def test_all_interfaces_together_are_the_sum_of_each(path):
    kernel, names = Kernel(), ["lo", "eth0", "eth0.7", "vlan.rx_bytes", *(f"veth{i}" for i in range(40))]
    kernel.wait(PHASE)
    for i in range(5):
        kernel.commands += [f"interface {number + 1} {name} 1500 {100 + i * number}" for number, name in enumerate(names)]
        kernel.tick(MINUTE)
    replay(path, kernel.commands)
    all_ = readings(path)

    def links(*args):
        return strict_json(connhist("--db", path, "netstat", "-e", *args, "--since", at(all_[0]), "--until", at(all_[4]),
                                    "--format", "json").stdout)["rows"]
    each, together = links("--by", "interface"), links()
    assert len(each) == 13 * len(names) and {row["interface"] for row in each} == set(names)
    sums = {}
    for row in each:
        sums[row["counter"]] = sums.get(row["counter"], 0) + row["grew"]
    assert {row["counter"]: row["grew"] for row in together} == sums and len(together) == 13
    assert {row["interface"] for row in together} == {None}
    assert sums["rx_bytes"] == sum(4 * number for number in range(len(names)))


@pytest.mark.parametrize("step", [30, 60])
@pytest.mark.parametrize("set_by", [90, -90, 60, -60, 1])
def test_steps_are_those_of_a_wall_clock_that_was_set(path, set_by, step):
    """What was jumped over has no growth, what came twice has that of both times."""
    kernel = minutes(200)
    kernel.wall_ms += set_by * MINUTE
    for i in range(200):
        kernel.tick(MINUTE)
        kernel.add(NAME, 1000 + i)
    replay(path, kernel.commands)
    epochs = query(path, "SELECT from_ms, offset_ms FROM epochs ORDER BY from_ms")
    all_ = readings(path)
    grew = dict(query(path, f"SELECT at_ms, grew FROM counters JOIN counter_names ON id = counter WHERE name = '{NAME}'"))
    begin, end, length = BEGIN + HOUR, BEGIN + 6 * HOUR, step * MINUTE
    expected = [0] * ((end - begin) // length)
    for before, now in zip(all_, all_[1:]):
        middle = now - (now - before) // 2
        wall = middle + max([epoch for epoch in epochs if epoch[0] <= middle], default=(0, 0))[1]
        if begin <= wall < end:
            expected[(wall - begin) // length] += grew[now]
    rows = steps(path, NAME, begin, end, f"{step}m")
    assert [row["at_ms"] for row in rows] == list(range(begin, end, length))
    assert [row["grew"] or 0 for row in rows] == expected
    assert {0 < (row["per_second"] or 1) < 1500 / 60 for row in rows} == {True}
    if set_by == 90:  # from 03:20 to 04:50
        assert [row["grew"] for row in rows if BEGIN + 3.5 * HOUR <= row["at_ms"] < BEGIN + 4 * HOUR] in ([], [None])
