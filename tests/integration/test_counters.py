# SPDX-License-Identifier: MIT
"""Counters, interfaces and routes as they were recorded, held against nstat, ip and /proc at the time."""
import json
import sqlite3
import subprocess
import time

import pytest

from conftest import CONNHISTD, connhist, count, query, strict_json

SEND = """
import socket, sys
for family, where in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
    sender = socket.socket(family, socket.SOCK_DGRAM)
    for i in range(int(sys.argv[1])):
        try:
            sender.sendto(b"x", (where, 5001))
        except ConnectionRefusedError:
            pass
with socket.create_server(("127.0.0.1", 5002)) as listener, socket.create_connection(("127.0.0.1", 5002)) as client:
    listener.accept()[0].close()
try:  # MPTCP, where the kernel has it
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    client = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
    client.connect(listener.getsockname())
    listener.accept()[0].close()
except OSError:
    pass
"""


def take(netns, path):
    """One reading, with what others tell around it: the same twice, or it is taken again."""
    def others():
        proc = netns.run("cat", "/proc/net/snmp", "/proc/net/snmp6", "/proc/net/netstat").stdout
        nstat = json.loads(netns.run("nstat", "-jasz").stdout)["kernel"]
        links = json.loads(netns.run("ip", "-s", "-s", "-j", "link").stdout)
        routes = [json.loads(netns.run("ip", family, "-j", "route", "show", "table", "all").stdout)
                  for family in ("-4", "-6")]
        return proc, links, routes, nstat
    for _ in range(20):
        before = others()
        subprocess.run([*netns.command(CONNHISTD), "--once", "--db", path], check=True, capture_output=True,
                       timeout=60)
        if others() == before:
            at_ms = count(path, "SELECT max(at_ms) FROM readings")
            return at_ms, before
        time.sleep(0.1)
    raise AssertionError("the namespace does not come to rest")


def snmp(text):
    """Of pairs of lines, names and values, and of snmp6's single ones."""
    found, lines = {}, text.splitlines()
    for line, after in zip(lines, lines[1:] + [""]):
        words = line.split()
        if words[0].endswith(":") and words[0] == after.split(" ")[0] and not words[1].lstrip("-").isdigit():
            found.update((words[0][:-1] + "." + name, int(value))
                         for name, value in zip(words[1:], after.split()[1:]))
        elif len(words) == 2 and words[0].startswith("Udp6"):
            found["Udp6." + words[0][4:]] = int(words[1])
    return found


def told(path, netns, *args):
    return strict_json(connhist("--db", path, "netstat", "--format", "json", *args, netns=netns).stdout)


def at(ms):
    return "@" + str(ms / 1000)


def counters(path, netns, ms):
    return {row["counter"]: row["value"] for row in told(path, netns, "-s", "--at", at(ms))["rows"]}


# What is counted of an interface, by our name: where `ip -s -s -j link` has it.
STATS = {"rx_bytes": ("rx", "bytes"), "rx_packets": ("rx", "packets"), "rx_errors": ("rx", "errors"),
         "rx_dropped": ("rx", "dropped"), "rx_multicast": ("rx", "multicast"), "rx_missed": ("rx", "missed_errors"),
         "rx_nohandler": ("rx", "nohandler"), "tx_bytes": ("tx", "bytes"), "tx_packets": ("tx", "packets"),
         "tx_errors": ("tx", "errors"), "tx_dropped": ("tx", "dropped"), "tx_collisions": ("tx", "collisions"),
         "tx_carrier": ("tx", "carrier_errors")}


def links(path, netns, ms):
    rows = told(path, netns, "-e", "--by", "interface", "--at", at(ms))["rows"]
    return {row["interface"]: (row["ifindex"], row["mtu_bytes"], row["flags"], *(row[name] for name in STATS))
            for row in rows}


def routes(path, netns, ms):
    rows = told(path, netns, "-ra", "--at", at(ms))["rows"]
    return sorted(((row["destination"], row["type"], row["route_table"], row["metric"], row["ways"])
                   for row in rows if row["way"] in (None, 1)), key=str)


def ip_routes(both):
    found = []
    for family, wide, all_ in (("ipv4", 32, both[0]), ("ipv6", 128, both[1])):
        for route in all_:
            where = route["dst"]
            if where == "default":
                where = "0.0.0.0/0" if wide == 32 else "::/0"
            elif "/" not in where:
                where = "%s/%d" % (where, wide)
            nowhere = route.get("type") in ("blackhole", "unreachable", "prohibit", "throw")
            ways = 0 if nowhere else len(route.get("nexthops", ())) or ("dev" in route)
            found.append((where, route.get("type", "unicast"), str(route.get("table", "main")),
                          route.get("metric", 0), int(ways)))
    return sorted(found, key=str)


def ip_links(all_):
    return {link["ifname"]: (link["ifindex"], link["mtu"], ",".join(link["flags"]),
                             *(link["stats64"][way].get(name, 0) for way, name in STATS.values())) for link in all_}


@pytest.fixture
def past(netns, db):
    """Three readings, between which everything changes."""
    netns.run("ip", "link", "set", "lo", "up")
    netns.run("ip", "link", "add", "d0", "type", "veth", "peer", "name", "d1")
    netns.run("ip", "link", "set", "d1", "up")
    netns.run("ip", "link", "set", "d0", "up")
    netns.run("ip", "address", "add", "192.0.2.2/24", "dev", "d0")
    netns.run("ip", "route", "add", "default", "via", "192.0.2.1")
    netns.run("ip", "route", "add", "10.0.0.0/8", "nexthop", "via", "192.0.2.1", "weight", "3", "nexthop", "via",
              "192.0.2.9")
    netns.run("ip", "route", "add", "blackhole", "10.3.0.0/16")
    netns.run("ip", "route", "add", "10.2.0.0/16", "via", "192.0.2.1", "table", "100000")
    netns.run("ip", "-6", "route", "add", "2001:db8:1::/48", "dev", "lo", "metric", "7")
    netns.run("/usr/bin/python3", "-c", SEND, "3")
    readings = [take(netns, db)]
    netns.run("ip", "link", "set", "d0", "mtu", "1400")
    netns.run("ip", "route", "del", "blackhole", "10.3.0.0/16")
    netns.run("ip", "route", "replace", "default", "via", "192.0.2.7")
    netns.run("ip", "route", "add", "unreachable", "10.4.0.0/16", "metric", "5")
    netns.run("/usr/bin/python3", "-c", SEND, "40")
    readings.append(take(netns, db))
    netns.run("ip", "link", "del", "d0")
    netns.run("/usr/bin/python3", "-c", SEND, "500")
    readings.append(take(netns, db))
    return readings


def test_each_instant_has_the_counters_interfaces_and_routes_of_then(netns, db, past):
    for at_ms, (proc, ip_link, ip_route, nstat) in past:
        mine, theirs = counters(db, netns, at_ms), snmp(proc)
        moved = {name: value for name, value in theirs.items() if value}
        assert len(moved) > 10 and "Udp6.NoPorts" in moved and "Udp.NoPorts" in moved
        for name, value in moved.items():
            assert mine[name] == value, name
        # and every single name, also of those that never moved
        spelled = {name.replace(".", ""): value for name, value in mine.items()}
        assert len(nstat) > 200 and {name: spelled.get(name) for name in nstat} == nstat
        if "\nMPTcpExt:" in proc:
            assert any(name.startswith("MPTcpExt") for name in nstat)
        assert links(db, netns, at_ms) == ip_links(ip_link)
        assert routes(db, netns, at_ms) == ip_routes(ip_route)
    ways = [row for row in told(db, netns, "-r", "--at", at(past[0][0]))["rows"] if row["destination"] == "10.0.0.0/8"]
    assert [(way["gateway"], way["weight"], way["interface"]) for way in ways] == [
        ("192.0.2.1", 3, "d0"), ("192.0.2.9", 1, "d0")]


def test_discards_are_what_linux_and_the_device_dropped(netns, db):
    """As in /proc/net/dev. No device of a test's misses a packet: what one missed is written into the file."""
    at_ms = take(netns, db)[0]
    file = sqlite3.connect(db)
    for place, (name, value) in enumerate({"rx_dropped": 5, "rx_missed": 7, "tx_dropped": 3}.items()):
        name = "interface.lo." + name
        file.execute("INSERT OR IGNORE INTO counter_names (name, kind, protocol, place) VALUES (?, 0, 0, ?)", (name, place))
        file.execute("INSERT OR REPLACE INTO counters SELECT max(n.id), ?, k.id, ?, 0, 1, 0 FROM netns AS n, counter_names AS k "
                     "WHERE n.name = '' AND k.name = ?", (at_ms, value, name))
    file.commit()
    file.close()
    total = {row["statistic"]: (row["received"], row["sent"]) for row in told(db, netns, "-e", "--at", at(at_ms))["rows"]}
    assert total["discards"] == (12, 3)
    lo, = [row for row in told(db, netns, "-e", "--by", "interface", "--at", at(at_ms))["rows"] if row["interface"] == "lo"]
    assert (lo["rx_dropped"], lo["rx_missed"], lo["tx_dropped"]) == (5, 7, 3)
    shown = connhist("--db", db, "netstat", "-e", "--by", "interface", "--at", at(at_ms), netns=netns).stdout.splitlines()
    heads = next(line.split() for line in shown if line.startswith("INTERFACE"))
    assert [line.split()[heads.index("DISCARDS")] for line in shown if line.startswith("lo ")] == ["12", "3"]


def test_between_two_readings_the_earlier_one_is_shown_with_its_distance(netns, db, past):
    between = past[0][0] + 1  # a reading that was taken again may lie further on
    document = told(db, netns, "-r", "--at", at(between))
    assert document["reading_ms"] == past[0][0] and document["at_ms"] == between
    assert document["distance_ms"] == between - past[0][0]
    default = [row["gateway"] for row in document["rows"] if row["destination"] == "0.0.0.0/0"]
    assert default == ["192.0.2.1"]
    begin = count(db, "SELECT min(at_ms) FROM readings")
    refused = connhist("--db", db, "netstat", "-s", "--at", at(begin - 1000), netns=netns, status=3)
    assert "no counters, interfaces or routes were recorded" in refused.stderr


def test_growth_is_the_difference_of_what_the_kernel_told(netns, db, past):
    first, last = snmp(past[0][1][0]), snmp(past[2][1][0])
    document = told(db, netns, "-s", "--since", at(past[0][0]), "--until", at(past[2][0]))
    assert (document["since_ms"], document["until_ms"]) == (past[0][0], past[2][0])
    grew = {row["counter"]: row for row in document["rows"]}
    assert grew["Udp.NoPorts"]["grew"] == last["Udp.NoPorts"] - first["Udp.NoPorts"] >= 270
    assert grew["Udp6.NoPorts"]["grew"] == last["Udp6.NoPorts"] - first["Udp6.NoPorts"] >= 270
    seconds = (past[2][0] - past[0][0]) / 1000
    assert abs(grew["Udp.NoPorts"]["per_second"] - grew["Udp.NoPorts"]["grew"] / seconds) < 0.01
    assert all(row["grew"] >= 0 for row in document["rows"])
    lo = {reading: ip_links(past[reading][1][1])["lo"][3] for reading in (0, 2)}
    rows = told(db, netns, "-e", "--by", "interface", "--since", at(past[0][0]), "--until", at(past[2][0]))["rows"]
    assert [row["grew"] for row in rows if (row["interface"], row["counter"]) == ("lo", "rx_bytes")] == [lo[2] - lo[0]]
    reported = strict_json(connhist("--db", db, "report", "--counter", "udpnoports", "--since", at(past[0][0] + 1),
                                    "--until", at(past[2][0] + 1), "--format", "json", netns=netns).stdout)
    assert sum(row["grew"] or 0 for row in reported["rows"]) == grew["Udp.NoPorts"]["grew"]


def test_what_does_not_move_takes_no_row(netns, db, past):
    again = take(netns, db)[0]
    own = "netns = (SELECT id FROM netns WHERE name = '' ORDER BY id DESC LIMIT 1)"
    rows = query(db, "SELECT k.name FROM counters AS c JOIN counter_names AS k ON k.id = c.counter "
                     "WHERE at_ms = ? AND " + own, again)
    assert not [name for name, in rows if name.startswith(("Udp", "interface.lo"))]


@pytest.mark.parametrize("words, saying", [
    (["report", "--counter", "TcpExt.ListenOverflow"], "no counter of this name was ever read; there are TcpExt.ListenOverflows"),
    (["report", "--counter", "Udp.NoPort"], "Udp.NoPorts"),
    (["report", "--counter", "Udp.NoPorts", "--port", "80"], "--port"),
    (["netstat", "-s", "--at", "-1h", "--since", "-2h"], "--at does not go with --since"),
    (["netstat", "-rs", "--since", "-2h"], "routes do not grow"),
    (["netstat", "-r", "--since", "-2h"], "--since does not go with netstat -r"),
    (["netstat", "--until", "-2h"], "--until does not go with the table"),
])
def test_wrong_questions_are_refused_in_one_line(netns, db, past, words, saying):
    refused = connhist("--db", db, *words, netns=netns, status=2)
    assert saying in refused.stderr and refused.stderr.count("\n") == 1
