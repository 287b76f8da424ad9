# SPDX-License-Identifier: MIT
"""Routes and interfaces that change between the minutes' readings, held against ip(8) at the time."""
import json
import subprocess
import time

import pytest

from conftest import CONNHIST, CONNHISTD, connhist, count, query, strict_json, wait_until

FAST = "200ms"
NOWHERE = ("blackhole", "unreachable", "prohibit", "throw")
PATIENCE = 120  # s; tables that took long to read are left in peace for a while


def ip_says(netns):
    """All routes, each with its ways."""
    found = []
    for family, wide in (("-4", 32), ("-6", 128)):
        for route in json.loads(netns.run("ip", family, "-j", "route", "show", "table", "all").stdout):
            where = route["dst"]
            if where == "default":
                where = "0.0.0.0/0" if wide == 32 else "::/0"
            elif "/" not in where:
                where = f"{where}/{wide}"
            ways = route.get("nexthops") or ([route] if "dev" in route else [])
            if route.get("type") in NOWHERE:  # of IPv6 the kernel tells lo
                ways = []
            found.append((where, route.get("type", "unicast"), str(route.get("table", "main")), route.get("metric", 0),
                          sorted((way.get("gateway", ""), way["dev"], way.get("weight", 1)) for way in ways)))
    return sorted(found)


def record_says(path, netns, at_ms, name=None):
    """The same, of an instant; name: of that namespace, not the recorder's own. And the rest of the answer."""
    args = ["--netns", name] if name else []
    answer = netns.run(CONNHIST, "--db", path, "netstat", "-ra", "--at", f"@{at_ms / 1000}", "--format", "json", *args,
                       check=False)
    if answer.returncode:  # a namespace that is not in the record yet
        return None, answer.stderr
    document = strict_json(answer.stdout)
    found = {}
    for row in document["rows"]:
        key = row["destination"], row["type"], row["route_table"], row["metric"]
        if row["way"] in (None, 1):
            found.setdefault(key, []).append([])
        if row["way"] is not None:
            found[key][-1].append((row["gateway"] or "", row["interface"], row["weight"] or 1))
    return sorted((*key, sorted(ways)) for key, all_ways in found.items() for ways in all_ways), document


class Scene:
    """A recorder and what ip(8) said at instants that it should know."""

    def __init__(self, path, own):
        self.path, self.own, self.recorder, self.known = path, own, None, []

    def start(self, record, *args):
        self.recorder = record(self.own, *args, "--interval", FAST)
        wait_until(lambda: self.recorder.snapshots(), "the first snapshot")

    def says(self, netns, at_ms):
        return record_says(self.path, self.own, at_ms, None if netns is self.own else netns.name)

    def settle(self, netns):
        """Waits until the record has what ip(8) says, and notes it."""
        def same():
            before = ip_says(netns)
            at_ms = int(time.time() * 1000)
            return self.says(netns, at_ms)[0] == before == ip_says(netns) and (netns, at_ms, before)
        try:
            self.known.append(wait_until(same, "the routes in the record", PATIENCE))
        except BaseException:
            print("ip:", ip_says(netns)[:40], "\nrecord:", self.says(netns, int(time.time() * 1000))[0])
            raise
        # the snapshot that was under way is of before
        self.recorder.wait_snapshots(1)

    def step(self, netns, *commands):
        """Each command is a line for ip(8)."""
        done = netns.run("ip", "-batch", "-", input="".join(line + "\n" for line in commands), check=False)
        assert done.returncode == 0, done.stderr
        self.settle(netns)

    def check(self):
        """Each instant has what ip(8) said then, all along."""
        for netns, at_ms, said in self.known:
            rows, document = self.says(netns, at_ms)
            assert rows == said, (at_ms, [row for row in rows if row not in said],
                                  [row for row in said if row not in rows])
            assert document["reading_ms"] <= at_ms
            # the next minute's reading was not due yet, however late it came
            if count(self.path, "SELECT count(*) FROM readings WHERE at_ms BETWEEN ? - 60000 AND ?", at_ms, at_ms):
                assert not document["in_gap"]
            assert document["distance_ms"] == at_ms - document["reading_ms"]
        between = "NOT IN (SELECT at_ms FROM readings)"
        assert count(self.path, f"SELECT count(*) FROM routes WHERE from_ms {between} OR until_ms {between}") > 0
        assert query(self.path, f"SELECT (SELECT count(*) FROM counters WHERE at_ms {between}), "
                                f"(SELECT count(*) FROM reading_lacks WHERE at_ms {between})") == [(0, 0)]
        # each change is of a snapshot
        assert count(self.path, "SELECT count(*) FROM (SELECT from_ms AS at_ms FROM routes UNION SELECT until_ms FROM routes "
                                "WHERE until_ms IS NOT NULL UNION SELECT from_ms FROM interfaces) "
                                "WHERE at_ms NOT IN (SELECT start_ms FROM snapshots)") == 0


def furnish(netns):
    """Two interfaces with addresses, without what the kernel would add by itself later."""
    for line in ("link add d0 type veth peer name d1", "link set d0 addrgenmode none", "link set d1 addrgenmode none",
                 "link set d1 up", "link set d0 up", "address add 192.0.2.2/24 dev d0",
                 "address add 2001:db8::2/64 dev d0 nodad"):
        netns.run("ip", *line.split())


@pytest.fixture
def scene(netns, db):
    furnish(netns)
    return Scene(db, netns)


def test_each_instant_between_two_minutes_has_the_routes_of_then(scene, netns, db, record):
    scene.start(record)
    scene.settle(netns)
    step = lambda *commands: scene.step(netns, *commands)
    step("route add default via 192.0.2.1", "route add ::/0 via 2001:db8::1")
    step("route add 10.0.0.0/8 nexthop via 192.0.2.1 weight 3 nexthop via 192.0.2.9")
    step("route add blackhole 10.3.0.0/16", "route add unreachable 10.4.0.0/16 metric 5",
         "route add 10.2.0.0/16 via 192.0.2.1 table 100000", "route add blackhole 2001:db8:3::/48")
    step("route replace default via 192.0.2.7", "route replace ::/0 via 2001:db8::7")
    step("route replace 10.0.0.0/8 nexthop via 192.0.2.1 weight 2 nexthop via 192.0.2.9")
    step("route del blackhole 10.3.0.0/16", "route del blackhole 2001:db8:3::/48", "route del 10.2.0.0/16 table 100000")
    step("address del 192.0.2.2/24 dev d0")
    step("address add 192.0.2.2/24 dev d0", "route add default via 192.0.2.3")
    step("link set d0 down")
    step("link set d0 up", "address add 2001:db8::2/64 dev d0 nodad", "route add ::/0 via 2001:db8::1 metric 9")
    step("link add e0 type veth peer name e1", "link set e0 addrgenmode none", "link set e1 addrgenmode none",
         "link set e1 up", "link set e0 up", "address add 198.51.100.1/24 dev e0")
    step("link set e0 down", "link set e0 name lan0", "link set lan0 up", "route add 10.5.0.0/16 dev lan0")
    step("link del lan0")
    scene.recorder.stop()
    scene.check()
    names = query(db, "SELECT DISTINCT name FROM interfaces WHERE name IN ('e0', 'lan0') ORDER BY name")
    assert names == [("e0",), ("lan0",)]
    # what has statistics, or is shown beside them, is of the minute's reading
    for table in "-es", "-er":
        document = strict_json(connhist("--db", db, "netstat", table, "--at", f"@{scene.known[-1][1] / 1000}", "--format",
                                        "json", netns=netns).stdout)
        assert count(db, "SELECT count(*) FROM readings WHERE at_ms = ?", document["reading_ms"]) == 1
    checked = subprocess.run([CONNHISTD, "--check", "--db", db], text=True, capture_output=True, check=False, timeout=60)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_routes_by_next_hop_objects_follow_them(scene, netns, record):
    if netns.run("ip", "nexthop", "add", "id", "7", "via", "192.0.2.9", "dev", "d0", check=False).returncode:
        pytest.skip("no next hop objects here")
    scene.start(record)
    scene.step(netns, "route add 10.9.0.0/16 nhid 7")
    assert any(row[0] == "10.9.0.0/16" and row[4] == [("192.0.2.9", "d0", 1)] for row in scene.known[-1][2])
    scene.step(netns, "nexthop replace id 7 via 192.0.2.10 dev d0")
    assert any(row[0] == "10.9.0.0/16" and row[4] == [("192.0.2.10", "d0", 1)] for row in scene.known[-1][2])
    scene.step(netns, "nexthop del id 7")
    assert not any(row[0] == "10.9.0.0/16" for row in scene.known[-1][2])
    scene.recorder.stop()
    scene.check()


def test_other_namespaces_and_new_ones_likewise(scene, netns, make_netns, tmp_path, record):
    second = make_netns()
    furnish(second)
    config = tmp_path / "others.yaml"
    config.write_text(f"namespaces: {{include: ['{netns.name.rsplit('-', 1)[0]}-*']}}\n")
    scene.start(record, "--config", config)
    scene.settle(second)
    scene.step(second, "route add default via 192.0.2.1")
    scene.step(netns, "route add blackhole 10.1.0.0/16")
    scene.step(second, "route replace default via 192.0.2.7", "route add blackhole 2001:db8:3::/48")
    third = make_netns()
    furnish(third)
    scene.settle(third)
    scene.step(third, "route add 10.0.0.0/8 via 192.0.2.1")
    scene.step(second, "link del d0")
    scene.settle(third)
    scene.settle(netns)
    scene.recorder.stop()
    scene.check()


def test_more_changes_than_the_kernel_keeps_end_in_the_right_table(scene, netns, record):
    scene.start(record)
    some = [f"10.{i // 250}.{i % 250}.0/24" for i in range(3000)]
    scene.step(netns, *(f"route add blackhole {where}" for where in some))
    assert len(scene.known[-1][2]) > len(some)
    scene.step(netns, *(f"route del blackhole {where}" for where in some[::2]))
    scene.step(netns, "route add blackhole 10.200.0.0/16")
    scene.recorder.stop()
    scene.check()


def test_over_a_restart_what_changed_meanwhile_is_of_the_next_run(scene, netns, db, record):
    scene.start(record)
    scene.step(netns, "route add blackhole 10.1.0.0/16")
    scene.step(netns, "route add blackhole 10.2.0.0/16")
    scene.recorder.stop()
    before = scene.known[-1][2]
    netns.run("ip", "route", "del", "blackhole", "10.1.0.0/16")
    netns.run("ip", "route", "add", "blackhole", "10.3.0.0/16")
    away_ms = int(time.time() * 1000)
    time.sleep(0.01)
    scene.start(record)
    scene.settle(netns)
    scene.step(netns, "route del blackhole 10.2.0.0/16")
    scene.recorder.stop()
    scene.check()
    rows, document = scene.says(netns, away_ms)
    assert rows == before and document["in_gap"]
    assert query(db, "SELECT count(*) FROM routes WHERE hex(destination) = '0A020000'") == [(1,)], "it went on"
