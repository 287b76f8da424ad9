# SPDX-License-Identifier: MIT
"""Where counters and interfaces begin of which nobody saw the beginning, played by the replay."""
import pytest

from conftest import connhist, count, query, strict_json
from test_counting import BEGIN, MINUTE, Kernel, replay, steps


@pytest.fixture
def path(tmp_path):
    return tmp_path / "made-up.db"


def told(path, name):
    return query(path, "SELECT c.value, c.grew, c.turn FROM counters AS c JOIN counter_names AS n ON n.id = c.counter"
                 " WHERE n.name = ? ORDER BY c.at_ms", name)


def test_what_an_interface_brings_along_is_no_growth(path):
    kernel = Kernel()
    kernel.commands.append("interface 1 lo 65536 5")
    kernel.ticks(7)
    kernel.commands.append("interface 7 moved 1500 70000")
    kernel.ticks(6)
    kernel.commands.append("interface 7 moved 1500 70009")
    kernel.ticks(6)
    replay(path, kernel.commands)
    assert told(path, "interface.moved.rx_bytes") == [(70000, 0, 1), (70009, 9, 0)]


def test_one_that_comes_home_grew_by_the_difference(path):
    kernel = Kernel()
    kernel.commands.append("interface 7 va 1500 70000")
    kernel.ticks(7)
    kernel.commands.append("interface 7 -")
    kernel.ticks(12)
    kernel.commands.append("interface 7 va 1500 70010")
    kernel.ticks(6)
    replay(path, kernel.commands)
    assert told(path, "interface.va.rx_bytes") == [(70000, 0, 1), (70010, 10, 0)]


def test_a_restart_takes_new_interfaces_for_what_they_are(path):
    kernel = Kernel()
    kernel.commands += ["interface 2 eth0 1500 900", "interface 3 idle.1 1500 0"]
    kernel.ticks(7)
    kernel.commands.append("stop")
    kernel.commands += ["interface 2 eth0 1500 907", "interface 3 idle.1 1500 50", "interface 9 moved.1 1500 70000"]
    kernel.wait(10_000)
    kernel.clock()
    kernel.commands.append("start boot-1")
    kernel.ticks(13)
    replay(path, kernel.commands)
    assert told(path, "interface.eth0.rx_bytes") == [(900, 0, 1), (907, 7, 0)]
    assert told(path, "interface.idle.1.rx_bytes") == [(50, 50, 0)]  # it was there, at 0
    assert told(path, "interface.moved.1.rx_bytes") == [(70000, 0, 1)]


def test_a_run_that_dies_before_its_first_reading_is_written_leaves_the_reboot_to_the_next(path):
    kernel = Kernel()
    kernel.set("Tcp.OutRsts", 1_000)
    kernel.set("Tcp.ActiveOpens", 10)
    kernel.commands += ["interface 2 eth0 1500 900", "route 10.3.0.0 16 192.0.2.77 5"]
    kernel.ticks(7)
    kernel.reboot(4 * MINUTE)
    kernel.set("Tcp.OutRsts", 5_000)
    kernel.set("Tcp.ActiveOpens", 10)
    kernel.commands.append("crash")
    kernel.wait(5_000)
    kernel.clock()
    kernel.commands.append(f"start boot-{kernel.boot}")
    kernel.ticks(7)
    replay(path, kernel.commands)
    assert told(path, "Tcp.OutRsts") == [(1000, 0, 1), (5000, 5000, 3)]
    assert told(path, "Tcp.ActiveOpens") == [(10, 0, 1), (10, 10, 3)]
    for table in "interfaces", "routes":  # of each boot one
        assert count(path, f"SELECT count(*) FROM {table}") == 2, table
    # and the one after it goes on
    kernel.restart("crash")
    kernel.ticks(7)
    replay(path, kernel.commands)
    assert told(path, "Tcp.OutRsts") == [(1000, 0, 1), (5000, 5000, 3)]
    rows = steps(path, "Tcp.OutRsts", BEGIN, kernel.wall_ms + 1, "1h")
    assert sum((row["grew"] or 0) + (row["gap_grew"] or 0) for row in rows) == 5000
    document = strict_json(connhist("--db", path, "netstat", "-s", "--since", f"@{BEGIN / 1000}", "--format", "json").stdout)
    assert {row["counter"]: row["grew"] for row in document["rows"]}["Tcp.OutRsts"] == 5000
