# SPDX-License-Identifier: MIT
"""Where counters and interfaces begin of which nobody saw the beginning, played by the replay."""
import pytest

from conftest import query
from test_counting import Kernel, replay


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
