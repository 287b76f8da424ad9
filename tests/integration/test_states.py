# SPDX-License-Identifier: MIT
"""Sockets of the kernel in each state, made by a far end that answers only on purpose: what is recorded and shown is
what ss shows and what the test knows."""
import collections
import json
import os
import time
from pathlib import Path

import pytest

from conftest import Namespace, query, wait_until
from fake_peer import DEVICE, OURS, STATE_NUMBERS
from socket_tables import bound_only, live, ss, table

PEER = Path(__file__).with_name("fake_peer.py")


class Scene:
    """Sockets that fake_peer.py made in a namespace."""

    def __init__(self, netns, kind):
        self.netns = netns
        self.process = netns.python(PEER.read_text(), kind)
        self.rows = self.told()

    def told(self):
        """What the sockets' maker knows of them."""
        line = self.process.stdout.readline()
        assert line, "fake_peer.py ended: its complaint is above"
        return collections.Counter(tuple(row) for row in json.loads(line))

    def step(self):
        """Takes them a step further."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        self.rows = self.told()

    def end(self):
        self.process.stdin.close()
        self.process.wait(20)


@pytest.fixture
def scene(make_netns):
    """scene("zoo") or scene("walk"), in a namespace of its own."""
    if not os.path.exists("/dev/net/tun"):
        pytest.skip("no /dev/net/tun: the far end needs a TUN device")
    made = []

    def make(kind):
        made.append(Scene(make_netns(), kind))
        return made[-1]

    yield make
    for one in made:
        one.end()


def assert_same_as_ss(scene):
    """ss agrees with the makers of the sockets (but for bound ones, which it does not ask for)."""
    told = ss(scene.netns)
    assert told == scene.rows - bound_only(scene.rows)
    return told


def test_the_scene_has_every_state_in_every_family(scene):
    zoo = scene("zoo")
    for family, address in OURS.items():
        there = {row[1] for row in zoo.rows if row[0] == "tcp" and row[2] in (address, "::")}
        assert there == set(STATE_NUMBERS), family
        there = {row[1] for row in zoo.rows if row[0] == "udp" and row[2] == address}
        assert there == {"CLOSE", "ESTABLISHED"}, family
    assert len(zoo.rows) == sum(zoo.rows.values()) > 140


def test_every_state_is_recorded_as_ss_shows_it(scene, record, ask, db):
    zoo = scene("zoo")
    assert_same_as_ss(zoo)
    record(zoo.netns, "--once").wait()
    assert_same_as_ss(zoo)  # nothing moved meanwhile
    document = ask("netstat", "-an", "--at", "now", netns=zoo.netns)
    assert table(document["rows"]) == zoo.rows
    assert not document["in_gap"]
    # From outside, by the view that people use.
    view = query(db, "SELECT protocol, state, local_address, local_port, remote_address, remote_port FROM sockets")
    assert collections.Counter(view) == zoo.rows
    assert query(db, "SELECT status, sockets, doubles, unkept FROM snapshots") == [(0, sum(zoo.rows.values()), 0, 0)]


def test_every_state_is_counted(scene, record, ask, db):
    zoo = scene("zoo")
    record(zoo.netns, "--once").wait()
    wanted = collections.Counter()
    for (protocol, state, *_), n in zoo.rows.items():
        wanted[protocol, state] += n
    counted = collections.Counter()
    for protocol, state, n in query(db, "SELECT protocol, state, count FROM port_history"):
        counted[protocol, state] += n
    assert counted == wanted
    for protocol in ("tcp", "udp"):
        rows = ask("report", "--by", "state", "--proto", protocol, "--top", 0, netns=zoo.netns)["rows"]
        assert {row["state"]: row["last"] for row in rows if row["last"]} == {
            state: n for (of, state), n in wanted.items() if of == protocol}


def test_the_live_table_is_what_ss_shows(scene):
    zoo = scene("zoo")
    assert_same_as_ss(zoo)
    assert table(live(zoo.netns, "-an")) == zoo.rows
    assert_same_as_ss(zoo)


def test_the_interface_belongs_to_a_link_local_endpoint(scene, record, ask):
    zoo = scene("zoo")
    record(zoo.netns, "--once").wait()
    index = int(zoo.netns.run("cat", f"/sys/class/net/{DEVICE}/ifindex").stdout)
    for rows in live(zoo.netns, "-an"), ask("netstat", "-an", "--at", "now")["rows"], ask("list")["rows"]:
        ours = {(row["local_address"], row["interface"], row["ifindex"]) for row in rows
                if row["local_address"].startswith("fe80:")}
        assert ours == {(f"{OURS['link']}%{DEVICE}", DEVICE, index)}


def test_accept_queues_are_those_of_ss(scene, record, ask):
    """One connection of each listener waits for accept(), behind a limit of 16."""
    zoo = scene("zoo")
    record(zoo.netns, "--once").wait()
    for rows in (live(zoo.netns, "-a", "--state", "LISTEN"),
                 ask("netstat", "-a", "--state", "LISTEN", "--at", "now", netns=zoo.netns)["rows"]):
        assert [(row["recv_queue"], row["send_queue"]) for row in rows] == [(1, 16)] * len(OURS)


def test_each_state_can_be_asked_for(scene, record, ask):
    zoo = scene("zoo")
    record(zoo.netns, "--once").wait()
    for state in STATE_NUMBERS:
        wanted = collections.Counter({row: n for row, n in zoo.rows.items() if row[1] == state})
        spelled = state.lower().replace("_", "-")
        assert table(live(zoo.netns, "-a", "--state", spelled)) == wanted
        assert table(ask("netstat", "-a", "--state", spelled, "--at", "now")["rows"]) == wanted
        assert table(ask("list", "--state", spelled)["rows"]) == wanted


def test_connections_are_one_life_each_through_their_states(scene, record, ask):
    """From SYN_RECV to TIME_WAIT and from SYN_SENT to LAST_ACK: the table as of each step is what there was then."""
    walk = scene("walk")
    recorder = record(walk.netns, "--interval", "100ms")
    steps = []
    for last in (False, False, False, False, True):
        recorder.wait_snapshots()
        at = time.time()
        recorder.wait_snapshots()
        assert_same_as_ss(walk)
        steps.append((at, walk.rows))
        if not last:
            walk.step()
    recorder.stop()
    for at, then in steps:
        assert table(ask("netstat", "-an", "--at", f"@{at:.3f}")["rows"]) == then
    rows = ask("list")["rows"]
    gone = collections.Counter(row for row in steps[3][1] if row[1] == "LAST_ACK")
    assert table(rows) == steps[4][1] + gone
    assert_times_of_states(rows, [at * 1000 for at, _ in steps])


def assert_times_of_states(rows, at):
    for row in rows:
        if row["state"] == "LAST_ACK":
            assert at[1] < row["close_wait_ms"] < at[2] and at[3] < row["closed_ms"] < at[4]
        elif row["state"] == "TIME_WAIT" and row["role"] == "server":
            assert at[3] < row["time_wait_ms"] < at[4]
        elif row["state"] == "TIME_WAIT":
            assert at[2] < row["time_wait_ms"] < at[3]
        if row["state"] != "LAST_ACK":
            assert row["closed_ms"] is None


def test_a_table_of_another_namespace_is_not_mixed_in(scene, record, ask, make_netns):
    zoo, other = scene("zoo"), make_netns()
    assert live(other, "-an") == []
    record(other, "--once").wait()
    assert ask("netstat", "-an", "--at", "now")["rows"] == []
    assert_same_as_ss(zoo)
    assert isinstance(other, Namespace) and wait_until(lambda: ss(other) == collections.Counter(), "an empty table")
