# SPDX-License-Identifier: MIT
"""Counters as `connhist export --format openmetrics` has them, held against what the made-up kernel told at each reading."""
import random
import re

import pytest

from conftest import connhist, count, query
from test_counting import BEGIN, DAY, HOUR, MINUTE, Kernel, replay
from test_export import exported, parse
from test_rollups import make_past

GAUGE = "Tcp.CurrEstab"  # the only one here; 0 is a sample of it


class Timed(Kernel):
    """With the wall time of each snapshot, and interfaces: {(boot, place, name): rx_bytes} beside the counters."""

    def __init__(self, places=1):
        super().__init__(places)
        self.times, self.links, self.blind = [], [{} for _ in range(places)], set()

    def link(self, name, rx_bytes, place=0, index=2):
        self.links[place][name] = rx_bytes
        self.commands += [f"into {place}", f"interface {index} {name} 1500 {rx_bytes}"]

    def unlink(self, name, place=0, index=2):
        del self.links[place][name]
        self.commands += [f"into {place}", f"interface {index} -"]

    def tick(self, after=0):
        super().tick(after)
        boot, read = self.read[-1]
        self.times.append(self.wall_ms)
        for place in set(read) - self.blind:
            read[place] |= {("interface", name): value for name, value in self.links[place].items()}
        self.read[-1] = boot, read


def readings(path):
    """Wall times of the snapshots that read counters, by the file."""
    epochs = query(path, "SELECT from_ms, offset_ms FROM epochs ORDER BY 1")
    return [at + next((offset for begin, offset in reversed(epochs) if begin <= at), 0)
            for at, in query(path, "SELECT at_ms FROM readings ORDER BY 1")]


def truth(kernel, times, since, step):
    """{(place, counter): {end of step: value}} by the last reading of each step."""
    told, ends, last = dict(zip(kernel.times, kernel.read)), {}, {}
    names = {name for _, read in kernel.read for now in read.values() for name in now}
    for at in times:
        last.setdefault((at - since) // step, []).append(at)
    for number, instants in last.items():
        for place in range(len(kernel.now)):
            read = [told[at][1][place] for at in instants if place in told[at][1]]
            for name in names if read else ():
                if isinstance(name, str) or name in read[-1]:
                    ends.setdefault((place, name), {})[since + (number + 1) * step] = read[-1].get(name, 0)
    return {key: values for key, values in ends.items() if any(values.values()) or key[1] == GAUGE}


def found(text):
    """The same of the samples."""
    series = {}
    for (family, labels), samples in parse(text).items():
        labels = dict(labels)
        place = 0 if "netns" not in labels else int(labels["netns"][1:])
        if family == "connhist_interface_rx_bytes_total":
            series[place, ("interface", labels["interface"])] = dict(samples)
        elif family.startswith("connhist_netstat_"):
            series[place, re.fullmatch("connhist_netstat_(.*?)(_total)?", family)[1].replace("_", ".")] = dict(samples)
    return series


def span(since, until, step):
    return ["--since", f"@{since / 1000:.3f}", "--until", f"@{until / 1000:.3f}", "--step", f"{step // 1000}s"]


def hold(path, kernel, since, until, step):
    """The last step ends with the span."""
    args = span(since, until, step)
    wanted = truth(kernel, [at for at in readings(path) if since <= at < until], since, step)
    ends = {key: {min(at, until): value for at, value in values.items()} for key, values in wanted.items()}
    assert found(exported(path, *args)) == ends
    return ends


@pytest.fixture(name="path")
def make_path(tmp_path):
    return tmp_path / "made-up.db"


def busy(seed):
    """Hours of two namespaces: counters, a gauge, interfaces that come and go, restarts, gaps, a reboot, what can't be read."""
    chance, kernel = random.Random(seed), Timed(places=2)
    for place in (0, 1):
        kernel.set("Tcp.OutRsts", 1000 * place + 5, place)
        kernel.set("TcpExt.ListenOverflows", 0, place)
        kernel.set("Tcp.CurrEstab", 3, place)
        kernel.link("eth0", 10_000, place)
    for part in range(40):
        for place in (0, 1):
            if chance.random() < 0.7:
                kernel.add("Tcp.OutRsts", chance.randrange(1, 1000), place)
            if part > 20 and chance.random() < 0.3:
                kernel.add("TcpExt.ListenOverflows", 1, place)
            kernel.set("Tcp.CurrEstab", chance.randrange(5), place)
            if "eth0" in kernel.links[place]:
                kernel.link("eth0", kernel.links[place]["eth0"] + chance.randrange(5000), place)
        kernel.ticks(chance.randrange(3, 30))
        what = chance.random()
        if what < 0.1:
            kernel.restart(chance.choice(["stop", "crash"]))
            kernel.wait(chance.choice([20_000, 7 * MINUTE]))
        elif what < 0.15:
            for place in (0, 1):
                for name in kernel.links[place]:
                    kernel.link(name, 0, place)
            kernel.reboot(4 * MINUTE)
        elif what < 0.25 and "eth0" in kernel.links[0]:
            kernel.unlink("eth0")
            kernel.ticks(20)
            kernel.link("eth0", 77)
        elif what < 0.35:
            kernel.commands += ["into 0", "unread 1"]
            kernel.unread.add(0)
            kernel.ticks(14)
            kernel.commands += ["into 0", "unread 0"]
            kernel.unread.clear()
        elif what < 0.4:
            kernel.commands += ["into 1", "unread 2"]
            kernel.blind.add(1)
            kernel.ticks(14)
            kernel.commands += ["into 1", "unread 0"]
            kernel.blind.clear()
    kernel.ticks(7)
    return kernel


@pytest.mark.parametrize("seed", range(3))
def test_samples_are_what_the_kernel_told_at_the_last_reading_of_each_step(path, seed):
    kernel = busy(seed)
    replay(path, kernel.commands)
    end = kernel.wall_ms // MINUTE * MINUTE + MINUTE
    ends = hold(path, kernel, BEGIN, end, MINUTE)
    assert {(0, "Tcp.OutRsts"), (1, "Tcp.OutRsts"), (0, ("interface", "eth0")), (0, "Tcp.CurrEstab")} <= set(ends)
    hold(path, kernel, BEGIN, end, 15 * MINUTE)
    hold(path, kernel, BEGIN + 37 * MINUTE, end - 11 * MINUTE, 2 * MINUTE)  # values hold from before the span
    hold(path, kernel, BEGIN + 61 * MINUTE, BEGIN + 63 * MINUTE, MINUTE)


def test_where_readings_are_gone_an_hour_or_a_day_has_its_last_value(path):
    kernel = Timed(places=2)
    for place in (0, 1):
        kernel.set("Udp.NoPorts", 7 + place, place)
        kernel.set("Tcp.CurrEstab", 2, place)
        kernel.link("eth0", 500, place)
    for hour in range(80):
        kernel.add("Udp.NoPorts", hour + 1, hour % 2)
        kernel.set("Tcp.CurrEstab", hour % 7, 0)
        kernel.link("eth0", 500 + 9 * hour, 0)
        kernel.ticks(12, 5 * MINUTE)
    replay(path, kernel.commands)
    hours = hold(path, kernel, BEGIN, BEGIN + 70 * HOUR, HOUR)
    days = hold(path, kernel, BEGIN, BEGIN + 2 * DAY, DAY)
    whole = found(exported(path, *span(BEGIN, BEGIN + 70 * HOUR, HOUR)))
    assert whole == hours and len(hours[0, "Udp.NoPorts"]) == 70 and len(days[1, "Udp.NoPorts"]) == 2
    kernel.keep(2 * HOUR, 0)
    replay(path, kernel.commands)
    assert count(path, "SELECT min(at_ms) FROM readings") > BEGIN + 70 * HOUR
    assert found(exported(path, *span(BEGIN, BEGIN + 70 * HOUR, HOUR))) == hours
    # from the middle of the first day: values hold from before
    later = {key: {end: value for end, value in values.items() if end > BEGIN + 15 * HOUR} for key, values in hours.items()}
    assert found(exported(path, *span(BEGIN + 15 * HOUR, BEGIN + 70 * HOUR, HOUR))) == later
    kernel.keep(2 * HOUR, 4 * HOUR)
    replay(path, kernel.commands)
    assert count(path, "SELECT min(at_ms) FROM counter_rollups WHERE tier = 2") == BEGIN + 3 * DAY
    assert found(exported(path, *span(BEGIN, BEGIN + 2 * DAY, DAY))) == days


def test_more_than_is_held_at_once_is_read_in_parts(path):
    """Steps of a second make a part of some 40 series; there are 140."""
    kernel, names = Timed(places=2), [f"TcpExt.Made{number}" for number in range(70)]
    for number, name in enumerate(names):
        kernel.set(name, 10 * number + 1)
        kernel.set(name, 10 * number + 2, 1)
    for part in range(30):
        for name in random.Random(part).sample(names, 20):
            kernel.add(name, 3, part % 2)
        kernel.ticks(6)
    replay(path, kernel.commands)
    ends = hold(path, kernel, BEGIN, BEGIN + 50_000_000, 1000)
    assert len(ends) == 140


def test_an_older_file_has_none(path):
    end = make_past(path, random.Random(1), editions=3, hours=5, clock=(0,))
    text = exported(path, *span(end - 4 * HOUR, end, HOUR))
    assert "connhist_sockets{" in text and "connhist_netstat_" not in text and "connhist_interface_" not in text
    assert count(path, "PRAGMA user_version") == 3


def test_a_span_without_readings_has_none(path):
    kernel = Timed()
    kernel.set("Udp.NoPorts", 7)
    kernel.link("eth0", 500)
    kernel.wait(10 * MINUTE)
    kernel.ticks(12)
    kernel.restart()
    kernel.wait(20 * MINUTE)
    kernel.ticks(12)
    replay(path, kernel.commands)
    assert hold(path, kernel, BEGIN, BEGIN + HOUR, MINUTE)
    assert found(exported(path, *span(BEGIN, BEGIN + 10 * MINUTE, MINUTE))) == {}
    assert found(exported(path, *span(BEGIN + 15 * MINUTE, BEGIN + 30 * MINUTE, MINUTE))) == {}
    assert found(exported(path, *span(BEGIN + 2 * HOUR, BEGIN + 3 * HOUR, MINUTE))) == {}


def test_names_of_any_bytes_make_no_two_interfaces_one_and_the_text_stays_utf8(path):
    kernel, names = Timed(), ["a\x01b", "a\x02b", 'q"\\', "a\\x01b", "\u202er", "eth\xe9"]
    for number, name in enumerate(names):
        kernel.link(name, 100 + number, index=2 + number)
    kernel.ticks(7)
    replay(path, kernel.commands)
    series = parse(exported(path, *span(BEGIN, BEGIN + HOUR, MINUTE)))
    told = {dict(labels)["interface"]: samples[-1][1] for (family, labels), samples in series.items()
            if family == "connhist_interface_rx_bytes_total"}
    # as the text has them: what tables show, its backslashes and quotes escaped
    shown = [r"a\\x01b", r"a\\x02b", r'q\"\\', r"a\\x5cx01b", r"\\xe2\\x80\\xaer", "eth\xe9"]
    assert told == {name: 100 + number for number, name in enumerate(shown)}


def test_a_gauge_that_was_0_is_there_and_a_counter_is_not(path):
    kernel = Timed(places=2)
    for place in (0, 1):
        kernel.set(GAUGE, 0, place)
        kernel.set("Tcp.OutRsts", 0, place)
    kernel.set("TcpExt.ListenOverflows", 3)
    kernel.ticks(13)
    replay(path, kernel.commands)
    end = BEGIN + 3 * MINUTE
    ends = hold(path, kernel, BEGIN, end, MINUTE)
    assert {key for key in ends} == {(0, GAUGE), (1, GAUGE), (0, "TcpExt.ListenOverflows")}
    assert set(ends[0, GAUGE].values()) == set(ends[1, GAUGE].values()) == {0}
    assert hold(path, kernel, end + HOUR, end + 2 * HOUR, MINUTE) == {}  # nothing was read there


def test_one_namespace_has_its_part_of_the_whole(path):
    kernel = busy(1)
    for place in (0, 1):
        kernel.commands += [f"into {place}"] + [
            f"sample tcp 4 0.0.0.0 {80 + place} 0.0.0.0 0 LISTEN {7 + place + number} {7 + place + number} 0 0 0 0 0 128 0"
            for number in (0, 10)]
    kernel.ticks(7)
    replay(path, kernel.commands)
    args = span(BEGIN, kernel.wall_ms // MINUTE * MINUTE + MINUTE, MINUTE)
    whole, parts = parse(exported(path, *args)), {}
    for name, label in ("own", None), ("n1", "n1"):
        part = parse(exported(path, *args, "--netns", name))
        assert part == {key: samples for key, samples in whole.items() if dict(key[1]).get("netns") == label}
        assert {"connhist_sockets", "connhist_netstat_Tcp_OutRsts_total"} <= {family for family, _ in part}
        parts |= part
    assert parts == whole
    for form in "jsonl", "csv":
        told = {name: connhist("--db", path, "export", "--format", form, *args[:4], "--netns", name).stdout
                for name in ("own", "n1")}
        for name, text in told.items():
            assert text == connhist("--db", path, "list", "--format", form, *args[:4], "--netns", name).stdout
            assert len(text.splitlines()) == 2 + (form == "csv")
        assert told["own"] != told["n1"]
