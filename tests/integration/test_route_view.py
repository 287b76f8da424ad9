# SPDX-License-Identifier: MIT
"""`connhist netstat -r` shows which of several routes the kernel takes, what routes say of segments and windows, and
where none leads; held against `ip route`, now and recorded."""
import collections
import json
import re

import pytest

from conftest import CONNHIST, connhist, count, query
from test_counting import Kernel, replay
from test_tables import NOWHERE, rows, while_still
from test_width import on_terminal

LINKS = """
link add v0 type veth peer name v1
link set v0 up
link set v1 up
address add 192.0.2.2/24 dev v0
address add 2001:db8::2/64 dev v0 nodad
"""
# Alike but for what each does. `append` and `prepend` go behind and before those of the same metric.
ALIKE = """
route add default via 192.0.2.1 proto dhcp src 192.0.2.2
route append default via 192.0.2.9 proto static
route append default via 192.0.2.5 proto boot
route add default via 192.0.2.7 metric 20
route add 10.8.0.0/16 via 192.0.2.3
route prepend blackhole 10.8.0.0/16
route prepend 10.8.0.0/16 nexthop via 192.0.2.3 weight 2 nexthop via 192.0.2.4
route append 10.8.0.0/16 via 192.0.2.1 dev v0 src 192.0.2.2
route add 10.8.0.0/16 via 192.0.2.3 tos 0x08
route add 10.8.0.0/16 via 192.0.2.3 tos 0x10
route append 10.8.0.0/16 via 192.0.2.9 tos 0x10
route add throw 10.8.0.0/16 table 100
route append 10.8.0.0/16 via 192.0.2.1 table 100
-6 route add 2001:db8:62::/48 dev v1 pref low
-6 route append 2001:db8:62::/48 dev v0
-6 route append 2001:db8:62::/48 via 2001:db8::9
-6 route append unreachable 2001:db8:62::/48
-6 route append 2001:db8:62::/48 dev lo metric 5
"""
METRICS = """
route add 10.9.0.0/16 via 192.0.2.3 mtu lock 1300 advmss 1200 window 4000000000 initcwnd 12 initrwnd 13 rtt 40
route add 10.10.0.0/16 via 192.0.2.3 mtu 1400
route add 10.11.0.0/16 advmss 900 nexthop via 192.0.2.3 nexthop via 192.0.2.4
route add 10.12.0.0/16 via 192.0.2.3 initcwnd 3
-6 route add 2001:db8:9::/48 via 2001:db8::3 mtu 1290 advmss 1000 window 7000 pref high
-6 route add 2001:db8:a::/48 via 2001:db8::3 mtu lock 1281 pref low
-6 route add blackhole 2001:db8:b::/48
"""


def run(netns, lines):
    for line in filter(None, lines.splitlines()):
        netns.run("ip", *line.split())


@pytest.fixture
def host(netns):
    run(netns, LINKS)
    return netns


def ip_told(netns):
    """The routes of all tables, as ip tells them in its order."""
    return [dict(route, family=family)
            for flag, family in (("-4", "ipv4"), ("-6", "ipv6"))
            for route in json.loads(netns.run("ip", "-d", "-j", flag, "route", "show", "table", "all").stdout)]


def of_each_interface(destination):
    return destination.startswith(("fe80:", "ff00:"))


def ip_order(told):
    """What each of the alike does, in ip's order, by what they have in common."""
    found = collections.defaultdict(list)
    for route in told:
        family, wide = route["family"], {"ipv4": 32, "ipv6": 128}[route["family"]]
        where = {"default": {"ipv4": "0.0.0.0/0", "ipv6": "::/0"}[family]}.get(route["dst"], route["dst"])
        where += "" if "/" in where else f"/{wide}"
        ways = [] if route["type"] in NOWHERE else route.get("nexthops", [route])
        if not of_each_interface(where):
            found[str(route.get("table", "main")), family, where, route.get("metric", 0)].append(
                (route["type"], int(route.get("tos", "0"), 16), route["protocol"], route.get("prefsrc"),
                 [(way.get("gateway"), way["dev"]) for way in ways]))
    return found


def our_order(found):
    """The same of our rows, each way of which has one."""
    order, ranks = collections.defaultdict(list), collections.defaultdict(list)
    for row in found:
        if of_each_interface(row["destination"]):
            assert row["rank"] == 0
            continue
        key = row["route_table"], row["family"], row["destination"], row["metric"]
        way = [(row["gateway"], row["interface"])] if row["ways"] else []
        if row["way"] in (None, 1):
            order[key].append((row["type"], row["tos"], row["protocol"], row["source"], way))
            ranks[(*key, row["tos"])].append(row["rank"])
        else:
            order[key][-1][-1].extend(way)
    for alike in ranks.values():
        assert alike == list(range(len(alike)))
    return order


def looked_at(netns):
    return while_still(lambda: ip_order(ip_told(netns)), lambda: our_order(rows("-ra", netns=netns)))


def test_routes_alike_stand_in_the_order_in_which_the_kernel_takes_them(host):
    run(host, ALIKE)
    told, found = looked_at(host)
    assert found == told
    # They are there, and not in the order of their types, protocols or gateways.
    assert [route[2:4] for route in told["main", "ipv4", "0.0.0.0/0", 0]] == [
        ("dhcp", "192.0.2.2"), ("static", None), ("boot", None)]
    assert [route[:2] for route in told["main", "ipv4", "10.8.0.0/16", 0]] == [
        ("unicast", 16), ("unicast", 16), ("unicast", 8), ("unicast", 0), ("blackhole", 0), ("unicast", 0), ("unicast", 0)]
    assert [route[0] for route in told["main", "ipv6", "2001:db8:62::/48", 1024]].index("unreachable") > 0
    # What the kernel says that it would do is what the first row says.
    taken = json.loads(host.run("ip", "-j", "route", "get", "8.8.8.8").stdout)[0]
    first = next(row for row in rows("-r", netns=host) if row["destination"] == "0.0.0.0/0")
    assert (first["gateway"], first["source"]) == (taken["gateway"], taken["prefsrc"]) == ("192.0.2.1", "192.0.2.2")
    run(host, "route prepend default via 192.0.2.5 proto static")
    first = next(row for row in rows("-r", netns=host) if row["destination"] == "0.0.0.0/0")
    taken = json.loads(host.run("ip", "-j", "route", "get", "8.8.8.8").stdout)[0]
    assert first["gateway"] == taken["gateway"] == "192.0.2.5"
    assert connhist("netstat", "-rn", netns=host).stdout.splitlines()[2].split()[:3] == ["default", "unicast", "192.0.2.5"]


def recorded(netns, record, db):
    """Takes a reading; ip's routes of then, and the reading's time. Routes of a link that comes up late may come
    meanwhile: it is taken again."""
    told = while_still(lambda: ip_told(netns), lambda: record(netns, "--once").wait())[0]
    return told, count(db, "SELECT max(at_ms) FROM readings")


def at(db, ms):
    return rows("-ra", "--db", db, "--at", f"@{ms / 1000}")


def test_the_order_is_recorded_with_its_changes(host, record, db):
    run(host, ALIKE)
    first, first_ms = recorded(host, record, db)
    unchanged = recorded(host, record, db)[1]
    ended = "SELECT count(*) FROM routes WHERE until_ms > ? AND until_ms <= ?"
    assert query(db, ended, first_ms, unchanged) == [(0,)]
    run(host, """
route prepend default via 192.0.2.5 proto static
route del 10.8.0.0/16 tos 0x10 via 192.0.2.3
route del blackhole 10.8.0.0/16
route append blackhole 10.8.0.0/16
""")
    second, second_ms = recorded(host, record, db)
    for told, ms in (first, first_ms), (first, unchanged), (second, second_ms):
        assert our_order(at(db, ms)) == ip_order(told)
    assert ip_order(first) != ip_order(second)


def test_a_recorder_that_runs_on_records_a_changed_order(db):
    """Of a made-up kernel, told by its own order: neither by address nor by number."""
    kernel = Kernel()
    instants = []

    def minutes_with(*vias):
        kernel.commands.append("route 10.3.0.0 16 -")
        kernel.commands.extend(f"route 10.3.0.0 16 192.0.2.{via} 5" for via in vias)
        kernel.ticks(13)
        instants.append((kernel.wall_ms, [f"192.0.2.{via}" for via in vias]))

    kernel.commands += ["interface 2 eth0 1500 0", "route 10.4.0.0 16 192.0.2.1 5"]
    minutes_with(9, 1, 5)
    minutes_with(9, 1, 5)
    minutes_with(1, 9, 5)
    kernel.restart()
    minutes_with(1, 9, 5)
    minutes_with(5, 9)
    kernel.restart("crash")
    minutes_with(9, 5)
    replay(db, kernel.commands)
    for ms, vias in instants:
        found = [(row["gateway"], row["rank"]) for row in at(db, ms) if row["destination"] == "10.3.0.0/16"]
        assert found == [(via, rank) for rank, via in enumerate(vias)]
    # What stays in its place goes on, over a restart too: three came, two changed places, the last became the first,
    # two changed places.
    assert count(db, "SELECT count(*) FROM routes WHERE bits = 16 AND hex(destination) = '0A030000'") == 3 + 2 + 1 + 2


def test_what_each_interface_has_is_not_recorded_anew_when_one_goes(host, record, db):
    """Else an end of a container would be as many changes as there are containers."""
    run(host, "link add w0 type veth peer name w1\nlink set w0 up\nlink set w1 up")
    recorded(host, record, db)
    run(host, "link del v0")
    told, ms = recorded(host, record, db)
    gone = query(db, "SELECT count(*), sum(w.ifindex IN (SELECT ifindex FROM interfaces WHERE name IN ('v0', 'v1'))) "
                     "FROM routes AS r JOIN route_ways AS w ON w.route = r.id "
                     "WHERE r.until_ms IS NOT NULL AND hex(destination) GLOB 'F[EF]*'")
    assert gone[0][0] == gone[0][1] >= 4
    assert our_order(at(db, ms)) == ip_order(told)


def metric_of(route, name):
    return next((metrics[name] for metrics in route.get("metrics", []) if name in metrics), None)


def lock_of(netns, destination):
    """ip says it in words alone."""
    flag = "-6" if ":" in destination else "-4"
    text = netns.run("ip", flag, "route", "show", destination).stdout
    return "yes" if re.search(r" mtu lock \d", text) else "no" if re.search(r" mtu \d", text) else None


NAMES = {"mtu_bytes": "mtu", "advmss_bytes": "advmss", "max_window_bytes": "window", "initcwnd": "initcwnd",
         "initrwnd": "initrwnd"}


def check_metrics(netns, told, found):
    found = {row["destination"]: row for row in found if row["way"] in (None, 1)}
    checked = 0
    for route in told:
        if "/" not in route["dst"] or of_each_interface(route["dst"]):
            continue
        row = found[route["dst"]]
        for ours, theirs in NAMES.items():
            assert row[ours] == metric_of(route, theirs), (route["dst"], ours)
            checked += row[ours] is not None
        assert row["mtu_lock"] == lock_of(netns, route["dst"])
        assert row["pref"] == route.get("pref"), route["dst"]
    assert checked >= 12


def test_what_a_route_says_of_segments_and_windows_is_that_of_ip(host, record, db):
    run(host, METRICS)
    told, found = while_still(lambda: ip_told(host), lambda: rows("-ra", netns=host))
    check_metrics(host, told, found)
    row = next(row for row in found if row["destination"] == "10.9.0.0/16")
    assert [row[name] for name in NAMES] == [1300, 1200, 4000000000, 12, 13] and row["mtu_lock"] == "yes"
    told, ms = recorded(host, record, db)
    check_metrics(host, told, at(db, ms))
    assert our_order(at(db, ms)) == ip_order(told)


def test_a_changed_metric_is_a_changed_route(host, record, db):
    run(host, METRICS)
    before = recorded(host, record, db)[1]
    changes = ["10.9.0.0/16 via 192.0.2.3 mtu 1300 advmss 1200 window 4000000000 initcwnd 12 initrwnd 13 rtt 40",
               "10.10.0.0/16 via 192.0.2.3 mtu 1399", "10.12.0.0/16 via 192.0.2.3 initcwnd 4"]
    for line in changes:
        run(host, "route replace " + line)
    after = recorded(host, record, db)[1]

    def told(ms):
        return {row["destination"]: (row["mtu_bytes"], row["mtu_lock"], row["initcwnd"]) for row in at(db, ms)}
    assert [told(before)[line.split()[0]] for line in changes] == [
        (1300, "yes", 12), (1400, "no", None), (None, None, 3)]
    assert [told(after)[line.split()[0]] for line in changes] == [
        (1300, "no", 12), (1399, "no", None), (None, None, 4)]
    assert count(db, f"SELECT count(*) FROM routes WHERE until_ms = {after} AND family = 2") == 3


def test_the_table_has_columns_for_them_where_a_route_says_so(host):
    assert not {"MTU", "MSS"} & set(connhist("netstat", "-rn", netns=host).stdout.splitlines()[1].split())
    run(host, "route add 10.10.0.0/16 via 192.0.2.3 mtu 1400")
    heads = connhist("netstat", "-rn", netns=host).stdout.splitlines()[1].split()
    assert "MTU" in heads and "MSS" not in heads
    run(host, METRICS.replace("route add 10.10.", "route replace 10.10."))
    lines = connhist("netstat", "-rn", netns=host).stdout.splitlines()
    for destination, cells in ("10.9.0.0/16", " lock 1300 +1200 "), ("10.10.0.0/16", " 1400 +- "):
        line, = [line for line in lines if line.startswith(destination + " ")]
        assert re.search(cells, line)


@pytest.mark.parametrize("family, prefix", [("-4", "10.{}.0.0/16"), ("-6", "2001:db8:{}::/48")])
def test_what_leads_nowhere_has_no_way(host, record, db, family, prefix):
    for i, kind in enumerate(NOWHERE, 30):
        host.run("ip", family, "route", "add", kind, prefix.format(i))
    done = host.run("ip", family, "nexthop", "add", "id", "9", "blackhole", check=False)
    if done.returncode == 0:
        host.run("ip", family, "route", "add", prefix.format(40), "nhid", "9")
    ms = recorded(host, record, db)[1]
    for found in rows("-r", netns=host), at(db, ms):
        nowhere = [row for row in found if row["type"] in NOWHERE]
        assert [row["destination"] for row in nowhere] == [prefix.format(i) for i in (
            *range(30, 34), *([40] if done.returncode == 0 else []))]
        for row in nowhere:
            assert (row["gateway"], row["interface"], row["ifindex"], row["weight"], row["way"], row["ways"]) == (
                None, None, None, None, None, 0)
        assert done.returncode or (nowhere[-1]["nexthop_id"], nowhere[-1]["type"]) == (9, "blackhole")
    assert count(db, "SELECT count(*) FROM routes AS r JOIN route_ways AS w ON w.route = r.id "
                     "WHERE r.type BETWEEN 6 AND 9") == 0


def test_a_narrow_terminal_shows_what_a_route_does(host):
    """Not that none of them is of a type of service."""
    run(host, ALIKE + METRICS)
    host.run("ip", "route", "add", "unreachable", "10.7.0.0/16")
    lines = on_terminal(host.command(CONNHIST, "netstat", "-ran", "--no-pager", "--color", "never"), 80)
    heads = lines[1].split()
    assert heads[:6] == ["TABLE", "DESTINATION", "TYPE", "GATEWAY", "INTERFACE", "METRIC"]
    line, = [line for line in lines if "10.7.0.0/16" in line]
    assert re.match(r"main +10\.7\.0\.0/16 +unreachable ", line)
    assert max(map(len, lines[1:-1])) <= 80
    gone = lines[-1].removeprefix("No room here for ").split(", ")
    assert {"TOS", "WEIGHT", "PROTOCOL", "SCOPE"} <= set(gone)


def test_what_says_nothing_is_no_number_in_the_table(host):
    run(host, ALIKE)
    lines = connhist("netstat", "-rn", netns=host).stdout.splitlines()[1:]
    heads = lines[0].split()
    weights = {tuple(line.split()[:3]): line.split()[heads.index("WEIGHT")] for line in lines[1:]}
    assert weights["default", "unicast", "192.0.2.1"] == "-" and weights["10.8.0.0/16", "unicast", "192.0.2.4"] == "1"
    assert {line.split()[heads.index("TOS")] for line in lines[1:]} == {"-", "8", "16"}
    assert {row["tos"] for row in rows("-r", netns=host)} == {0, 8, 16}


def test_an_interface_that_is_not_recorded_has_its_number(db):
    """As one of too many: a route through it leads somewhere."""
    kernel = Kernel()
    kernel.commands += ["interface 3 eth1 1500 0", "route 10.4.0.0 16 192.0.2.1 5"]  # through 2
    kernel.ticks(7)
    replay(db, kernel.commands)
    row, = rows("-r", "--db", db, "--at", f"@{kernel.wall_ms / 1000}")
    assert (row["interface"], row["ifindex"]) == (None, 2)
    line = connhist("--db", db, "netstat", "-rn", "--at", f"@{kernel.wall_ms / 1000}").stdout.splitlines()[-1]
    assert line.split()[:4] == ["10.4.0.0/16", "unicast", "192.0.2.1", "if2"]


def test_a_big_table_does_not_push_others_out_of_the_record(host, record, db):
    """More than are recorded of it: that is told where it is asked for, and there alone."""
    batch = "".join(f"route add 10.{i // 256}.{i % 256}.0/24 dev lo table 100\n" for i in range(4200))
    host.run("ip", "-batch", "-", input=batch)
    run(host, "route add default via 192.0.2.1\n-6 route add 2001:db8:9::/48 via 2001:db8::3 table 100")
    told, ms = recorded(host, record, db)
    then = ("--db", db, "--at", f"@{ms / 1000}")
    here = [route for route in told if route.get("table", "main") != "100"]
    assert {("main", "ipv4"), ("main", "ipv6"), ("local", "ipv4"), ("local", "ipv6")} <= {
        (route.get("table", "main"), route["family"]) for route in here}
    found = at(db, ms)
    assert our_order([row for row in found if row["route_table"] != "100"]) == ip_order(here)
    assert [len([row for row in found if (row["route_table"], row["family"]) == ("100", family)])
            for family in ("ipv4", "ipv6")] == [4096, 1]
    lacks = "of more than 4096 IPv4 routes of tables other than main, default and local the others are not recorded"
    for args, is_told in ([], False), (["-a"], True), (["--table", "100"], True), (["--table", "200"], True), (
            ["--table", "local"], False), (["--table", "100", "-p", "ipv6"], False), (["--table", "100", "-p", "ip"], True):
        done = connhist("netstat", "-rn", *then, *args)
        assert (lacks in " ".join(done.stderr.split())) == is_told and "no route matches" not in done.stderr
        document = json.loads(connhist("netstat", "-rn", *then, *args, "--format", "json").stdout)
        assert document["left_out"] == is_told
    assert "no route matches" in connhist("netstat", "-rn", *then, "--table", "200", "-p", "ipv6").stderr
