# SPDX-License-Identifier: MIT
"""Counters, interfaces and routes as they are recorded: a made-up kernel's, over reboots, gaps, restarts and namespaces
that go and come back; what is added up by hour and day, and what is left of it when readings are gone."""
import datetime
import random
import subprocess
from collections import defaultdict

import pytest

from conftest import CONNHIST, HERE, connhist, count, query, strict_json
from test_exactness import REPLAY

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
LATE = 75_000  # readings further apart are a gap: a minute and one and a half snapshots of 10 s
BEGIN = 1_700_006_400_000 // DAY * DAY  # a midnight
FIRST, RESET = 1, 3


class Kernel:
    """Commands for the replay, and what it was told."""

    def __init__(self, places=1):
        self.commands = [f"namespaces {places}"]
        self.boot, self.boot_ms, self.wall_ms = 1, 5_000_000, BEGIN
        self.now = [{} for _ in range(places)]  # counters by name
        self.without, self.unread = set(), set()
        self.read = []  # for each tick: boot, and counters of the places that can be read

    def set(self, name, value, place=0):
        self.now[place][name] = value
        self.commands += [f"into {place}", f"counter {name} {value}"]

    def add(self, name, n, place=0):
        self.set(name, self.now[place].get(name, 0) + n, place)

    def wait(self, ms):
        self.boot_ms, self.wall_ms = self.boot_ms + ms, self.wall_ms + ms

    def tick(self, after=0):
        self.wait(after)
        self.commands += [f"clock {self.boot_ms * 1_000_000} {self.wall_ms * 1_000_000}", "tick"]
        self.read.append((self.boot, {place: dict(now) for place, now in enumerate(self.now)
                                         if place not in self.without | self.unread}))

    def ticks(self, n, after=10_000):
        for _ in range(n):
            self.tick(after)

    def keep(self, minutes_ms, hours_ms):
        """Readings and hours for so long only, and time to remove what is older."""
        for _ in range(30):
            self.tick(MINUTE)
            self.commands.append(f"retain 0 0 {minutes_ms} {minutes_ms} {minutes_ms} {hours_ms} 0")

    def clock(self):
        self.commands.append(f"clock {self.boot_ms * 1_000_000} {self.wall_ms * 1_000_000}")

    def restart(self, how="stop"):
        self.commands.append(how)
        self.clock()
        self.commands.append(f"start boot-{self.boot}")

    def reboot(self, down_ms):
        self.commands.append("stop")
        self.wait(down_ms)
        self.boot, self.boot_ms = self.boot + 1, 30_000
        for place, now in enumerate(self.now):
            for name in now:
                self.set(name, 0, place)
        self.clock()
        self.commands.append(f"start boot-{self.boot}")


def replay(path, commands):
    """Plays all from the begin."""
    for suffix in ("", "-wal", "-shm", "-recorder"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    subprocess.run([REPLAY, path, "on", "4096"], text=True, capture_output=True, input="\n".join(commands) + "\n",
                   check=True, timeout=120)


def at(ms):
    return "@" + str(ms / 1000)


def steps(path, name, since, until, step, *args):
    done = connhist("--db", path, "report", "--counter", name, "--since", at(since), "--until", at(until), "--step",
                    step, "--format", "json", *args)
    return strict_json(done.stdout)["rows"]


def utc(ms):
    return datetime.datetime.fromtimestamp(ms / 1000, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def by_time(rows, since):
    return {(row["at_ms"] - since) // MINUTE: (row["grew"], row["gap_grew"], row["at_least"]) for row in rows}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "made-up.db"


def test_growth_over_a_gap_is_told_apart_and_no_step_behind_it_is_higher(path):
    kernel = Kernel()
    kernel.set("TcpExt.ListenOverflows", 100)
    kernel.tick()
    for _ in range(5):
        kernel.add("TcpExt.ListenOverflows", 6)
        kernel.ticks(6)
    kernel.restart()
    kernel.wait(10 * MINUTE)
    kernel.add("TcpExt.ListenOverflows", 1000)
    for _ in range(5):
        kernel.add("TcpExt.ListenOverflows", 6)
        kernel.ticks(6)
    replay(path, kernel.commands)
    rows = steps(path, "TcpExt.ListenOverflows", BEGIN, kernel.wall_ms + 1, "1m")
    found = by_time(rows, BEGIN)
    # readings are at full minutes: each tells of the minute before it
    assert all(found[minute] == (6, 0, "no") for minute in range(0, 5))
    assert all(found[minute] == (None, None, None) for minute in range(5, 15))
    assert found[15] == (0, 1006, "no")
    assert all(found[minute] == (6, 0, "no") for minute in range(16, 20)) and found[20] == (None, None, None)
    assert {row["per_second"] for row in rows} == {None, 0, 0.1}
    # the same by the hour, where a part of it was covered
    row, = steps(path, "TcpExt.ListenOverflows", BEGIN, BEGIN + HOUR - 1, "1h")
    assert (row["grew"], row["gap_grew"]) == (5 * 6 + 4 * 6, 1006) and abs(row["per_second"] - 54 / 590) < 1e-6
    # and all of it between the two ends
    done = connhist("--db", path, "netstat", "-s", "--since", at(BEGIN), "--until", at(kernel.wall_ms), "--format", "json")
    grew = {row["counter"]: row["grew"] for row in strict_json(done.stdout)["rows"]}
    assert grew["TcpExt.ListenOverflows"] == 5 * 6 + 1006 + 4 * 6


def test_after_a_reboot_growth_is_neither_negative_nor_all_of_it_twice(path):
    kernel = Kernel()
    kernel.set("Tcp.OutRsts", 1_000_000)
    kernel.set("Tcp.ActiveOpens", 10)
    kernel.tick()
    kernel.add("Tcp.OutRsts", 5)
    kernel.ticks(6)
    kernel.reboot(4 * MINUTE)
    kernel.set("Tcp.OutRsts", 40)
    kernel.set("Tcp.ActiveOpens", 30)  # more than before, and yet it began again from 0
    kernel.tick()
    kernel.add("Tcp.OutRsts", 3)
    kernel.ticks(6)
    replay(path, kernel.commands)
    found = by_time(steps(path, "Tcp.OutRsts", BEGIN, kernel.wall_ms + 1, "1m"), BEGIN)
    assert found[0] == (5, 0, "no") and found[1] == (None, None, None) and found[5] == (3, 40, "yes")
    assert by_time(steps(path, "Tcp.ActiveOpens", BEGIN, kernel.wall_ms + 1, "1m"), BEGIN)[5] == (0, 30, "yes")
    document = strict_json(connhist("--db", path, "netstat", "-s", "--since", at(BEGIN), "--until", at(kernel.wall_ms),
                                    "--format", "json").stdout)
    grew = {row["counter"]: (row["grew"], row["at_least"]) for row in document["rows"]}
    assert grew["Tcp.OutRsts"] == (5 + 40 + 3, "yes") and grew["Tcp.ActiveOpens"] == (30, "yes")


def test_a_namespace_that_comes_back_goes_on_with_what_grew_meanwhile(path):
    kernel = Kernel(places=2)
    kernel.set("Udp.NoPorts", 7, place=0)
    kernel.set("Udp.NoPorts", 50, place=1)
    kernel.tick()
    kernel.add("Udp.NoPorts", 2, place=1)
    kernel.ticks(6)
    kernel.commands.append("without 1 4")
    kernel.without.add(1)
    kernel.add("Udp.NoPorts", 30, place=1)
    kernel.ticks(18)
    kernel.commands.append("with 1")
    kernel.without.clear()
    kernel.ticks(6)
    kernel.add("Udp.NoPorts", 4, place=1)
    kernel.ticks(6)
    replay(path, kernel.commands)
    found = by_time(steps(path, "Udp.NoPorts", BEGIN, kernel.wall_ms + 1, "1m", "--netns", "n1"), BEGIN)
    assert [found[minute] for minute in range(7)] == [
        (2, 0, "no"), *[(None, None, None)] * 4, (4, 30, "no"), (None, None, None)]
    own = by_time(steps(path, "Udp.NoPorts", BEGIN, kernel.wall_ms + 1, "1m"), BEGIN)
    assert [own[minute][0] for minute in range(7)] == [0] * 6 + [None]


def test_what_could_not_be_read_is_a_gap(path):
    kernel = Kernel()
    kernel.set("Udp.NoPorts", 7)
    kernel.tick()
    kernel.ticks(6)
    kernel.commands.append("unread 1")
    kernel.add("Udp.NoPorts", 9)
    kernel.ticks(12)
    kernel.commands.append("unread 0")
    kernel.ticks(12)
    replay(path, kernel.commands)
    found = by_time(steps(path, "Udp.NoPorts", BEGIN, kernel.wall_ms + 1, "1m"), BEGIN)
    assert [found[minute] for minute in range(6)] == [
        (0, 0, "no"), (None, None, None), (None, None, None), (None, None, None), (0, 9, "no"), (None, None, None)]


def test_a_restart_adds_no_row_for_what_is_as_it_was(path):
    kernel = Kernel()
    kernel.set("Udp.NoPorts", 7)
    kernel.commands += ["interface 1 lo 65536 0", "interface 2 eth0 1500 900"]
    kernel.commands += [f"route 10.{i}.0.0 16 192.0.2.{i} 5" for i in range(20)]
    kernel.commands += ["route 10.3.0.0 16 192.0.2.77 5", "route 10.3.0.0 16 192.0.2.78 9"]
    kernel.ticks(7)
    first_ms = kernel.wall_ms
    replay(path, kernel.commands)
    before = [query(path, f"SELECT * FROM {table} ORDER BY 1, 2, 3") for table in ("counters", "counter_names")]
    for how in ("stop", "crash", "stop"):
        kernel.restart(how)
        kernel.ticks(13)
    middle_ms = kernel.wall_ms
    replay(path, kernel.commands)
    assert before == [query(path, f"SELECT * FROM {table} ORDER BY 1, 2, 3") for table in ("counters", "counter_names")]
    for table, n in ("interfaces", 2), ("routes", 22), ("route_ways", 22):
        assert count(path, f"SELECT count(*) FROM {table}") == n, table
    assert count(path, "SELECT count(*) FROM routes WHERE until_ms IS NOT NULL") == 0
    # what then changes ends by its own number, and only that
    kernel.restart()
    kernel.commands += ["route 10.4.0.0 16 -", "interface 2 eth0 1400 900"]
    kernel.ticks(1)
    kernel.commands += ["route 10.5.0.0 16 -", "route 10.3.0.0 16 -", "route 10.3.0.0 16 192.0.2.78 9", "interface 1 -"]
    kernel.ticks(13)
    replay(path, kernel.commands)
    assert count(path, "SELECT count(*) FROM routes") == 22
    assert count(path, "SELECT count(*) FROM routes WHERE until_ms IS NOT NULL") == 4
    assert query(path, "SELECT name, mtu, until_ms IS NULL FROM interfaces ORDER BY ifindex, from_ms") == [
        ("lo", 65536, 0), ("eth0", 1500, 0), ("eth0", 1400, 1)]

    def routes(ms):
        rows = strict_json(connhist("--db", path, "netstat", "-r", "--at", at(ms), "--format", "json").stdout)["rows"]
        return {(row["destination"], row["gateway"], row["metric"]) for row in rows}
    all_ = {(f"10.{i}.0.0/16", f"192.0.2.{i}", 5) for i in range(20)} | {
        ("10.3.0.0/16", "192.0.2.77", 5), ("10.3.0.0/16", "192.0.2.78", 9)}
    assert routes(first_ms) == routes(middle_ms) == all_
    assert routes(kernel.wall_ms) == {row for row in all_ if row[0] not in ("10.4.0.0/16", "10.5.0.0/16")
                                      and (row[0] != "10.3.0.0/16" or row[2] == 9)}


def grown(path, name, until_ms):
    return [(row["gap_grew"] or 0) + (row["grew"] or 0) for row in
            steps(path, f"interface.{name}.rx_bytes", BEGIN, until_ms + 1, "1m")]


def test_an_interface_that_comes_back_by_its_name_counts_from_0(path):
    kernel = Kernel()
    kernel.commands += ["interface 1 lo 65536 0", "interface 7 tun0 1500 900"]
    kernel.ticks(7)
    kernel.commands.append("interface 7 -")
    kernel.ticks(6)
    kernel.commands.append("interface 8 tun0 1500 1000")
    kernel.ticks(6)
    kernel.commands.append("interface 8 tun0 1500 1005")
    kernel.ticks(6)
    replay(path, kernel.commands)
    assert grown(path, "tun0", kernel.wall_ms)[:4] == [0, 0, 1000, 5]


def test_an_interface_that_gets_another_name_goes_on(path):
    kernel = Kernel()
    kernel.commands += ["interface 2 eth0 1500 900", "interface 3 eth1 1500 70000"]
    kernel.ticks(7)
    kernel.commands += ["interface 2 eth0 1500 910", "interface 3 eth1 1500 70020"]
    kernel.ticks(6)
    kernel.commands += ["interface 2 eth1 1500 913", "interface 3 eth0 1500 70024"]  # they change places
    kernel.ticks(6)
    kernel.commands += ["interface 2 lan 1500 914", "interface 3 eth0 1500 70024"]
    kernel.ticks(6)
    kernel.commands += ["interface 2 lan 1500 916", "interface 4 eth1 1500 50"]
    kernel.ticks(6)
    replay(path, kernel.commands)
    assert grown(path, "eth0", kernel.wall_ms)[:5] == [0, 10, 4, 0, 0]
    assert grown(path, "eth1", kernel.wall_ms)[:5] == [0, 20, 3, 0, 50]
    assert grown(path, "lan", kernel.wall_ms)[3:5] == [1, 2]


def test_after_a_reboot_routes_and_interfaces_are_others(path):
    kernel = Kernel()
    kernel.commands += ["interface 1 lo 65536 0", "route 10.0.0.0 8 192.0.2.1 5"]
    kernel.ticks(7)
    kernel.reboot(MINUTE)
    kernel.ticks(7)
    replay(path, kernel.commands)
    for table in "interfaces", "routes":
        assert count(path, f"SELECT count(*) FROM {table}") == 2, table


def test_before_counters_were_recorded_is_a_gap_and_no_zero(path):
    kernel = Kernel()
    kernel.ticks(2 * 360)  # two hours of snapshots without counters, as of an older edition
    kernel.commands.append("stop")
    kernel.set("Udp.NoPorts", 7)
    kernel.restart("stop")
    begin = kernel.wall_ms
    kernel.ticks(360)
    replay(path, kernel.commands)
    assert count(path, "SELECT count(*) FROM cover_rollups WHERE tier = 2") >= 2
    rows = steps(path, "Udp.NoPorts", BEGIN, kernel.wall_ms, "1h")
    assert [row["grew"] for row in rows] == [None, None, 0, 0][:len(rows)]
    assert {row["grew"] for row in steps(path, "Udp.NoPorts", BEGIN, begin, "1m")} == {None}
    refused = connhist("--db", path, "netstat", "-s", "--at", at(begin - HOUR), status=3)
    assert "were recorded at or before" in refused.stderr
    # nor when the readings are gone, and only hours are left
    kernel.wait(DAY)
    kernel.keep(HOUR, 0)
    replay(path, kernel.commands)
    assert count(path, "SELECT min(at_ms) FROM readings") >= begin + HOUR
    rows = steps(path, "Udp.NoPorts", BEGIN, begin + HOUR, "30m")
    assert {row["grew"] for row in rows if row["at_ms"] < begin - HOUR} == {None}
    refused = connhist("--db", path, "netstat", "-s", "--at", at(begin - HOUR), status=3)
    assert "were recorded at or before" in refused.stderr


def play(seed, days=2):
    """A history of two namespaces."""
    chance = random.Random(seed)
    kernel = Kernel(places=2)
    names = ["Udp.NoPorts", "Tcp.OutRsts", "sockstat.TCP.inuse"]
    for place in (0, 1):
        for name in names:
            kernel.set(name, chance.randrange(1, 1000), place)
    kernel.tick()
    while kernel.wall_ms < BEGIN + days * DAY:
        place, name = chance.randrange(2), chance.choice(names)
        what = chance.random()
        if name.startswith("sockstat"):
            kernel.set(name, chance.randrange(100), place)
        elif what < 0.8:
            kernel.add(name, chance.randrange(50), place)
        elif what < 0.83:
            kernel.set(name, chance.randrange(20), place)  # begins again
        if what < 0.02:
            kernel.wait(chance.randrange(3 * HOUR))
        elif what < 0.04:
            kernel.restart(chance.choice(["stop", "crash"]))
        elif what < 0.06:
            kernel.commands += ["into 1", f"unread {int(1 not in kernel.unread)}"]
            kernel.unread ^= {1}
        elif what < 0.08:
            kernel.commands.append("with 1" if kernel.without else "without 1 4")
            kernel.without ^= {1}
        elif what < 0.09:
            kernel.reboot(chance.randrange(10_000, HOUR))
        kernel.ticks(chance.choice([1, 1, 2, 6, 30]), chance.choice([10_000, 10_000, 10_000, 60_000, 200_000]))
    return kernel


def spaces(path):
    """The places' numbers in the file: all of the own one's boots are one here."""
    return {id_: 0 if name == "" else 1 for id_, name in query(path, "SELECT id, name FROM netns")}


def truth(kernel, path):
    """What each reading found, computed from what was set: {(netns, reading): (the one before, values, whether
    it is the first one since the boot)}"""
    places = spaces(path)
    wanted = {ms for ms, in query(path, "SELECT at_ms FROM readings")}
    taken = query(path, "SELECT start_ms FROM snapshots ORDER BY start_ms")
    assert len(taken) == len(kernel.read)
    found, before, boots = {}, {}, {}
    for (start_ms,), (boot, tables) in zip(taken, kernel.read):
        if start_ms not in wanted:
            continue
        for place, values in tables.items():
            found[place, start_ms] = (before.get(place), values, boots.get(place) != boot)
            before[place], boots[place] = start_ms, boot
    assert set(places.values()) == {0, 1}
    return found


@pytest.mark.parametrize("seed", range(6))
def test_hours_and_days_are_what_single_readings_make(path, seed):
    kernel = play(seed)
    replay(path, kernel.commands)
    places, readings = spaces(path), truth(kernel, path)
    # when they were read
    cover = defaultdict(lambda: [0, 0])
    for (place, at_ms), (before, *_) in readings.items():
        for tier, length in (2, HOUR), (3, DAY):
            cover[tier, place, at_ms // length * length][0] += 1
            cover[tier, place, at_ms // length * length][1] += (
                at_ms - before if before and at_ms - before <= LATE else 0)
    told = defaultdict(lambda: [0, 0])
    for tier, netns, at_ms, n, covered in query(path, "SELECT tier, netns, at_ms, readings, covered_ms FROM counter_cover"):
        told[tier, places[netns], at_ms][0] += n
        told[tier, places[netns], at_ms][1] += covered
    assert told == cover
    # what they told
    ids = dict(query(path, "SELECT id, name FROM counter_names"))
    rows, level = {}, {}
    sums = defaultdict(lambda: [0, 0, 0])
    middles = {}  # what a reading found belongs to the middle of the time since the one before
    hours = defaultdict(lambda: [0, 0, defaultdict(int), defaultdict(int)])
    for (place, at_ms), (before, _, first) in readings.items():
        covered = at_ms - before if before and at_ms - before <= LATE else 0
        middles[place, at_ms] = at_ms if first else at_ms - covered // 2
        hour = hours[place, middles[place, at_ms] // HOUR * HOUR]
        hour[0], hour[1] = hour[0] + 1, hour[1] + covered
    for netns, at_ms, counter, value, grew, turn, over in query(
            path, "SELECT netns, at_ms, counter, value, grew, turn, over_gap FROM counters ORDER BY at_ms"):
        rows[places[netns], at_ms, ids[counter]] = value, grew, turn
        before = readings.get((places[netns], at_ms), (None,))[0]
        assert grew >= 0
        assert over == (turn != FIRST and before is not None and at_ms - before > LATE)
        hours[places[netns], middles.get((places[netns], at_ms), at_ms) // HOUR * HOUR][2 + over][ids[counter]] += grew
        for tier, length in (2, HOUR), (3, DAY):
            sum_ = sums[tier, netns, at_ms // length * length, counter]
            sum_[0], sum_[1], sum_[2] = sum_[0] + grew, sum_[1] + grew * over, value
    assert sums == {(tier, netns, at_ms, counter): [grew, gap_grew, last]
                    for tier, netns, at_ms, counter, grew, gap_grew, last in query(
                        path, "SELECT tier, netns, at_ms, counter, grew, gap_grew, last FROM counter_rollups")}
    assert {(tier, netns, at_ms, counter) for tier, netns, at_ms, counter in sums if ids[counter].startswith("sockstat")} == set(
        query(path, "SELECT tier, netns, at_ms, counter FROM counter_rollups WHERE low IS NOT NULL AND low <= high"))
    for (place, at_ms), (_, values, first) in sorted(readings.items(), key=lambda one: one[0][1]):
        for name, value in values.items():
            was = None if first else level[place, name]
            row = rows.pop((place, at_ms, name), None)
            if row is None:
                assert value == (was or 0), (place, at_ms, name)
            else:
                assert row[0] == value and row[2] in (0, FIRST, RESET)
                if not name.startswith("sockstat"):
                    assert row[1] == (0 if row[2] == FIRST else value if row[2] == RESET else value - was)
                    assert (row[2] in (FIRST, RESET)) == (was is None or value < was)
            level[place, name] = value
    assert not rows
    # and what the program makes of it
    for name in "Udp.NoPorts", "sockstat.TCP.inuse":
        asked = steps(path, name, BEGIN, BEGIN + 2 * DAY - 1, "1h", "--netns", "n1")
        for row in asked:
            every = [sum_ for (tier, netns, at_ms, id_), sum_ in sums.items()  # the namespace is another in each boot
                     if (tier, places[netns], at_ms, ids[id_]) == (2, 1, row["at_ms"], name)]
            if name.startswith("sockstat"):
                n = cover.get((2, 1, row["at_ms"]), (0, 0))[0]
                assert row["last"] == every[-1][2] if every else n > 0 or row["last"] is None
            else:
                n, covered, grew, gap_grew = hours[1, row["at_ms"]]
                assert row["grew"] == (grew[name] if covered else None)
                assert row["gap_grew"] == (gap_grew[name] if n else None)
        by_minute = defaultdict(int)
        for row in steps(path, name, BEGIN, BEGIN + 2 * DAY - 1, "30m", "--netns", "n1"):
            by_minute[row["at_ms"] // HOUR * HOUR] += row.get("grew") or 0
        assert all(by_minute[row["at_ms"]] == (row.get("grew") or 0) for row in asked)


def test_when_readings_are_gone_hours_and_then_days_answer(path):
    kernel = Kernel()
    kernel.set("Udp.NoPorts", 7)
    kernel.tick()
    for hour in range(80):
        kernel.add("Udp.NoPorts", hour + 1)
        kernel.ticks(60, MINUTE)
    end = kernel.wall_ms
    replay(path, kernel.commands)

    def ask():
        return [(row["at_ms"], row["grew"], row["gap_grew"]) for row in
                steps(path, "Udp.NoPorts", BEGIN, BEGIN + 3 * DAY - 1, "1d")]
    whole = ask()
    grown = "netstat", "-s", "--since", at(BEGIN + DAY), "--until", at(BEGIN + 2 * DAY), "--format", "json"
    between = strict_json(connhist("--db", path, *grown).stdout)["rows"]
    for hours_ms in 0, 4 * HOUR:
        kernel.keep(2 * HOUR, hours_ms)
        replay(path, kernel.commands)
        assert count(path, "SELECT min(at_ms) FROM readings") > end - 3 * HOUR
        assert ask() == whole and sum(grew for _, grew, _ in whole) > 1000
        later = strict_json(connhist("--db", path, *grown).stdout)["rows"]
        assert [row["grew"] for row in later] == [row["grew"] for row in between] and later
        # a value of then: that of the end of the hour, or of the day, before
        shown = strict_json(connhist("--db", path, "netstat", "-s", "--at", at(BEGIN + DAY + HOUR), "--format", "json").stdout)
        value = {row["counter"]: row["value"] for row in shown["rows"]}["Udp.NoPorts"]
        assert value in (7 + sum(range(1, 25)), 7 + sum(range(1, 26)), 7 + sum(range(1, 27)))
        assert shown["reading_ms"] <= BEGIN + DAY + HOUR and shown["in_gap"] == 0
    assert count(path, "SELECT min(at_ms) FROM counter_rollups WHERE tier = 2") == BEGIN + 3 * DAY
    assert count(path, "SELECT min(at_ms) FROM counter_cover WHERE tier = 2") == BEGIN + 3 * DAY
    assert count(path, "SELECT count(*) FROM counter_cover WHERE tier = 3") == 4


@pytest.mark.parametrize("letter", ["-r", "-e", "-s"])
def test_when_the_recorder_has_ended_it_is_a_gap_at_once(path, letter):
    kernel = Kernel()
    kernel.set("Udp.NoPorts", 7)
    kernel.ticks(20)
    kernel.commands.append("stop")
    replay(path, kernel.commands)
    for after_ms, in_gap in (-5000, 0), (5000, 1):
        told = strict_json(connhist("--db", path, "netstat", letter, "--at", at(kernel.wall_ms + after_ms), "--format", "json").stdout)
        assert told["in_gap"] == in_gap and told["reading_ms"] <= kernel.wall_ms


def test_a_counter_that_never_moved_is_an_answer_and_a_typo_is_none(path):
    kernel = Kernel()
    for name in ("TcpExt.ListenOverflows", "TcpExt.ListenDrops", "Udp.InErrors", "Udp6.InErrors", "sockstat.TCP.inuse"):
        kernel.set(name, 0)
    kernel.set("Tcp.OutRsts", 4)
    kernel.commands.append("interface 1 lo 65536 0")
    kernel.ticks(13)
    replay(path, kernel.commands)
    for word in "TcpExt.ListenOverflows", "listenoverflows", "ListenOverflows", "tcpextlistenoverflows":
        rows = steps(path, word, BEGIN, kernel.wall_ms + 1, "1m")
        assert {row["counter"] for row in rows} == {"TcpExt.ListenOverflows"}
        assert [row["grew"] for row in rows] == [0, 0, None]
    many = connhist("--db", path, "report", "--counter", "inerrors", status=2)
    assert many.stderr == "connhist: --counter inerrors may be Udp.InErrors, Udp6.InErrors: write more of the name\n"
    typo = connhist("--db", path, "report", "--counter", "ListenOverflow5", status=2)
    assert "no counter of this name was ever read; there are TcpExt.ListenOverflows, " in typo.stderr
    assert typo.stderr.count("\n") == 1
    assert count(path, "SELECT count(*) FROM counters") == 1  # a name is no value
    assert count(path, "SELECT count(*) FROM counter_names WHERE name LIKE 'interface.%'") == 0
    zero = strict_json(connhist("--db", path, "netstat", "-s", "--at", at(kernel.wall_ms), "--format", "json").stdout)
    assert {row["counter"]: row["value"] for row in zero["rows"]}["TcpExt.ListenDrops"] == 0


def test_spans_that_follow_one_another_count_all_growth_once(path):
    """By steps, what grew from one reading to the next is where the middle of that time is."""
    kernel = Kernel()
    kernel.set("TcpExt.ListenOverflows", 0)
    kernel.tick()
    for n in (1, 20, 300):
        kernel.add("TcpExt.ListenOverflows", n)
        kernel.ticks(6)
    replay(path, kernel.commands)
    readings = [at_ms for at_ms, in query(path, "SELECT at_ms FROM readings ORDER BY at_ms")]
    assert len(readings) == 4
    name, (_, second, third, last) = "TcpExt.ListenOverflows", readings

    def grown(since, until, step="1m"):
        return [row["grew"] for row in steps(path, name, since, until, step) if row["grew"]]
    middle = (second + third) // 2
    assert grown(second, third) == grown(middle, third) == grown(middle, middle + 1) == [20]
    assert grown(second, middle) == grown(middle + 1, third) == []
    assert grown(BEGIN, third, "2h") == [21] and grown(BEGIN, middle, "2h") == [1]
    assert grown(third, last) == [300] and grown(last, last + 1) == []


def test_the_chart_shows_growth_gaps_and_sums(path):
    kernel = Kernel()
    kernel.set("TcpExt.ListenOverflows", 1)
    kernel.tick()
    for n in (1, 7, 0):
        kernel.add("TcpExt.ListenOverflows", n)
        kernel.ticks(6)
    kernel.wait(3 * MINUTE)
    kernel.add("TcpExt.ListenOverflows", 100)
    kernel.ticks(1, MINUTE)
    replay(path, kernel.commands)
    done = connhist("--db", path, "--utc", "report", "--counter", "ListenOverflows", "--since", at(BEGIN), "--until",
                    at(kernel.wall_ms + 1), "--step", "1m", "--format", "chart")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("TcpExt.ListenOverflows: ")
    assert lines[1].strip() == "▂█▁·····" and "max 7 in the 1m00s from" in lines[2]
    assert "8 in all" in lines[2] and "100 more over gaps" in " ".join(lines[2:4])
    assert any("none" in line and "not recorded" in line for line in lines)
    table = connhist("--db", path, "report", "--counter", "ListenOverflows", "--since", at(BEGIN), "--until",
                     at(kernel.wall_ms + 1), "--step", "1m", "--format", "table").stdout
    assert "IN GAP" in table


def test_counters_beneath_a_port_are_in_json_too(path):
    kernel = Kernel()
    kernel.set("TcpExt.ListenOverflows", 5)
    kernel.set("Udp.NoPorts", 5)
    kernel.tick()
    begin = kernel.wall_ms
    kernel.add("TcpExt.ListenOverflows", 9)
    kernel.ticks(6)
    replay(path, kernel.commands)
    span = ("--since", at(begin), "--until", at(kernel.wall_ms))

    def ask(*args):
        return strict_json(connhist("--db", path, "report", "--format", "json", *span, *args).stdout)
    one, = ask("--port", "80")["counters"]
    assert (one["counter"], one["grew"], one["gap_grew"], one["at_least"]) == ("TcpExt.ListenOverflows", 9, 0, "no")
    assert (one["since_ms"], one["until_ms"]) == (begin, kernel.wall_ms) and "queue" in one["meaning"]
    assert ask("--port", "53", "--proto", "udp")["counters"] == []
    assert "counters" not in ask()
    early = strict_json(connhist("--db", path, "report", "--format", "json", "--port", "80", "--since", at(begin - 9000),
                                 "--until", at(begin - 1)).stdout)
    assert early["counters"] is None  # nothing is known
    text = connhist("--db", path, "--utc", "report", "--port", "80", *span).stdout
    assert "TcpExt.ListenOverflows" in text and "+9" in text
    assert "moved between the readings of %s and %s:" % (utc(begin), utc(kernel.wall_ms)) in " ".join(text.split())
    for form in "jsonl", "csv":
        assert "ListenOverflows" not in connhist("--db", path, "report", "--port", "80", "--format", form, *span).stdout


@pytest.mark.parametrize("words", [["report", "--counter", "Udp.NoPorts"], ["netstat", "-s", "--at", "now"],
                                   ["netstat", "-r", "--at", "now"], ["netstat", "-e", "--since", "-1h"],
                                   ["report", "--port", "80"], ["list"]])
def test_an_unknown_namespace_is_told_alike_everywhere(path, words):
    kernel = Kernel()
    kernel.set("Udp.NoPorts", 5)
    kernel.ticks(7)
    replay(path, kernel.commands)
    done = HERE.run(CONNHIST, "--db", path, *words, "--netns", "nobody", check=False)
    assert (done.returncode, done.stderr) == (3, "connhist: network namespace nobody was never recorded\n")
    assert HERE.run(CONNHIST, "--db", path, *words, "--netns", "inode:x", check=False).returncode == 2
