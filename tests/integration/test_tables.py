# SPDX-License-Identifier: MIT
"""`connhist netstat -s -e -r`, the kernel's tables now, held against nstat, /proc, ip and Python in namespaces
that the tests make."""
import collections
import csv
import io
import itertools
import json

import pytest

from conftest import HERE, connhist, strict_json

ROUTES = """
link add v0 type veth peer name v1
link set v0 up
link set v1 up
address add 192.0.2.2/24 dev v0
address add 2001:db8::2/64 dev v0 nodad
route add default via 192.0.2.1 metric 100
route add default via 192.0.2.3 metric 200
route add 10.0.0.0/8 proto static nexthop via 192.0.2.1 weight 3 nexthop via 192.0.2.9 weight 256
route add 10.1.0.0/16 via inet6 2001:db8::1 dev v0
route add 10.2.0.0/16 via 192.0.2.1 dev v0 table 100000 proto bgp src 192.0.2.2 tos 0x10 onlink
route add 10.2.0.1 dev v0 table 100 scope link proto 77
route add blackhole 10.3.0.0/16
route add unreachable 10.4.0.0/16
route add throw 10.5.0.0/16 table 7
route add prohibit 10.6.0.0/16 table 253
-6 route add default via 2001:db8::1
-6 route add blackhole 2001:db8:1::/48
-6 route add prohibit 2001:db8:5::/48 table 300
-6 route add 2001:db8:2::/48 nexthop via 2001:db8::1 weight 2 nexthop via 2001:db8::9
-6 route add 2001:db8:3::1 dev v0 metric 7 table 100
"""

# A datagram to a port that nobody has, one that arrives, two connections one of which is refused, of each family.
TRAFFIC = """
import socket, time
for family, where in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
    receiver = socket.socket(family, socket.SOCK_DGRAM)
    receiver.bind((where, 5000))
    sender = socket.socket(family, socket.SOCK_DGRAM)
    sender.sendto(b"x", (where, 5000))
    sender.sendto(b"x", (where, 5001))
    receiver.recv(9)
    listener = socket.create_server((where, 5000), family=family)
    client = socket.create_connection((where, 5000))
    server = listener.accept()[0]
    client.sendall(b"x" * 1000)
    server.recv(1000, socket.MSG_WAITALL)
    try:
        socket.create_connection((where, 5001))
    except ConnectionRefusedError:
        pass
    globals().setdefault("kept", []).extend([receiver, sender, listener, client, server])
time.sleep(0.5)
print("ready")
input()
"""


def document(*args, netns=HERE):
    found = strict_json(connhist("netstat", "--format", "json", *args, netns=netns).stdout)
    assert found["schema"] == "connhist/netstat/1"
    return found


def rows(*args, netns=HERE):
    return document(*args, netns=netns)["rows"]


def people(text):
    """Heading and lines of the one table in a text for people, below its title."""
    return text.splitlines()[1:]


def refused(*args):
    """One line, and status 2."""
    done = connhist("netstat", *args, status=2)
    assert done.stdout == "" and done.stderr.startswith("connhist: ") and done.stderr.count("\n") == 1
    return done.stderr


def while_still(look, ask):
    """What look() and ask() give when look() gives the same before and after."""
    for _ in range(100):
        before = look()
        found = ask()
        if look() == before:
            return before, found
    pytest.fail("an idle namespace never stands still")


# -s

@pytest.fixture
def busy(netns):
    """A namespace where a little has happened and nothing happens now."""
    process = netns.python(TRAFFIC)
    assert process.stdout.readline() == "ready\n"
    yield netns
    process.stdin.close()
    process.wait(20)


def proc_counters(netns):
    """All counters as /proc has them: name to value, read by Python."""
    found = {}
    for name in ("snmp", "netstat"):
        lines = netns.run("cat", f"/proc/self/net/{name}").stdout.splitlines()
        for names, values in zip(lines[::2], lines[1::2]):
            group, *names = names.split()
            for column, value in zip(names, values.split()[1:]):
                found[f"{group[:-1]}.{column}"] = int(value)
    for line in netns.run("cat", "/proc/self/net/snmp6").stdout.splitlines():
        name, value = line.split()
        cut = name.index("6") + 1
        found[f"{name[:cut]}.{name[cut:]}"] = int(value)
    for name in ("sockstat", "sockstat6"):
        for line in netns.run("cat", f"/proc/self/net/{name}").stdout.splitlines():
            group, *words = line.split()
            for column, value in zip(words[::2], words[1::2]):
                found[f"sockstat.{group[:-1]}.{column}"] = int(value)
    return found


# What the whole host has, not the namespace: it changes under a test.
OF_THE_HOST = {"sockstat.TCP.orphan", "sockstat.TCP.alloc", "sockstat.TCP.mem", "sockstat.UDP.mem"}


def still(netns, *args):
    """The counters of a namespace that did not change while they were read, by /proc and by connhist: a timer of
    the kernel's may move one between two looks."""
    return while_still(lambda: own(proc_counters(netns)), lambda: rows("-s", *args, netns=netns))


def own(counters):
    """Those of the namespace alone."""
    return {name: value for name, value in counters.items() if name not in OF_THE_HOST}


def test_every_counter_of_proc_is_shown_with_its_value(busy):
    proc, found = still(busy)
    shown = {row["counter"]: row["value"] for row in found}
    assert len(shown) == len(found) and shown.keys() == proc.keys() | OF_THE_HOST
    assert own(shown) == proc
    # The traffic is in it: what two programs agree on is not all zero.
    assert shown["Udp.InDatagrams"] == 1 and shown["Udp6.InDatagrams"] == 1
    assert shown["Udp.NoPorts"] == 1 and shown["Udp6.NoPorts"] == 1
    assert shown["Tcp.ActiveOpens"] == 4 and shown["Tcp.PassiveOpens"] == 2 and shown["Tcp.AttemptFails"] == 2
    assert shown["Tcp.CurrEstab"] == 4 and shown["Tcp.MaxConn"] == -1
    # IPv6 sockets that are listening, bound or connected; `inuse` counts those in the hash tables.
    assert shown["sockstat.TCP6.inuse"] == 3 and shown["sockstat.TCP.inuse"] == 3


def test_the_counters_are_those_of_nstat(busy):
    nstat, found = while_still(lambda: json.loads(busy.run("nstat", "-jasz").stdout)["kernel"],
                               lambda: rows("-s", netns=busy))
    shown = {row["counter"].replace(".", ""): row["value"] for row in found}
    assert len(nstat) > 200
    if any(name.startswith("MPTcpExt") for name in proc_counters(busy)):
        assert any(name.startswith("MPTcpExt") for name in nstat)
    # nstat leaves out settings and gauges of the Tcp and Ip lines.
    assert nstat.keys() <= shown.keys()
    different = {name for name in nstat if nstat[name] != shown[name]}
    assert not different, {name: (nstat[name], shown[name]) for name in different}


PREFIXES = {
    "ip": ("Ip.", "IpExt.", "sockstat.RAW.", "sockstat.FRAG."),
    "ipv6": ("Ip6.", "sockstat.RAW6.", "sockstat.FRAG6."),
    "icmp": ("Icmp.", "IcmpMsg."),
    "icmpv6": ("Icmp6.",),
    "tcp": ("Tcp.", "TcpExt.", "MPTcpExt.", "sockstat.TCP."),
    "tcpv6": ("sockstat.TCP6.",),
    "udp": ("Udp.", "UdpLite.", "sockstat.UDP.", "sockstat.UDPLITE."),
    "udpv6": ("Udp6.", "UdpLite6.", "sockstat.UDP6.", "sockstat.UDPLITE6."),
}


@pytest.mark.parametrize("protocol", PREFIXES)
def test_a_protocols_counters_can_be_asked_for(netns, protocol):
    for words in (["-s", "-p", protocol], [f"-sp{protocol.upper()}"], ["-p", protocol, "--statistics"]):
        everything, found = while_still(lambda: proc_counters(netns).keys(), lambda: rows(*words, netns=netns))
        wanted = {name for name in everything if name.startswith(PREFIXES[protocol])}
        assert wanted
        assert {row["counter"] for row in found} == wanted
        assert {row["protocol"] for row in found} == {protocol}


def test_the_table_leaves_out_what_never_moved_and_all_shows_it(busy):
    def shown(*words):
        return {line.split()[1] for line in people(connhist("netstat", "-s", *words, netns=busy).stdout)[1:]}
    _, found = still(busy)
    every = {row["counter"] for row in found}
    gauges = {row["counter"] for row in found if row["kind"] == "gauge"}
    assert "Tcp.CurrEstab" in gauges and "Tcp.InSegs" not in gauges
    assert {name for name in gauges if name.startswith("sockstat.")} == {
        name for name in every if name.startswith("sockstat.")}
    for words in ["-a"], ["--all"]:
        assert shown(*words) == every
    proc, some = while_still(lambda: own(proc_counters(busy)), shown)
    moved = {name for name, value in proc.items() if value}
    assert moved - gauges and some == moved | gauges


def test_of_tcpv6_it_is_said_what_linux_does_not_count_apart(netns):
    done = connhist("netstat", "-s", "-p", "tcpv6", netns=netns)
    assert "together" in done.stderr and "sockstat.TCP6.inuse" in done.stdout


# -e

def ip_links(netns):
    return json.loads(netns.run("ip", "-s", "-s", "-j", "link").stdout)


@pytest.fixture
def wired(netns):
    """Two ends of a cable, and traffic over it and lo. IPv6 is kept from making addresses of its own, and talking."""
    netns.run("sysctl", "-qw", "net.ipv6.conf.default.addr_gen_mode=1", "net.ipv6.conf.default.router_solicitations=0")
    for line in ROUTES.strip().splitlines():
        netns.run("ip", *line.split())
    netns.run("ip", "link", "add", "quiet", "type", "veth", "peer", "name", "end")
    netns.run("/usr/bin/python3", "-c", """if True:
        import socket
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        for where in ("127.0.0.1", "192.0.2.2"):
            for _ in range(7):
                sock.sendto(b"x" * 700, (where, 9))
        raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        raw.bind(("v0", 0))
        for _ in range(5):
            raw.send(b"\\x01\\x00\\x5e\\x00\\x00\\x01" + b"\\x02" * 6 + b"\\x88\\xb5" + b"x" * 100)
    """)
    return netns


IP_STATS = [("rx_bytes", "rx", "bytes"), ("rx_packets", "rx", "packets"), ("rx_errors", "rx", "errors"),
            ("rx_dropped", "rx", "dropped"), ("rx_multicast", "rx", "multicast"), ("tx_bytes", "tx", "bytes"),
            ("tx_packets", "tx", "packets"), ("tx_errors", "tx", "errors"), ("tx_dropped", "tx", "dropped"),
            ("tx_collisions", "tx", "collisions"), ("tx_carrier", "tx", "carrier_errors")]


def still_links(netns, *args):
    """Links that did not change while they were read: IPv6 may talk by itself on a new link."""
    return while_still(lambda: ip_links(netns), lambda: rows("-e", *args, netns=netns))


def test_each_interface_has_the_numbers_that_ip_tells(wired):
    links, found = still_links(wired, "--by", "interface")
    assert [row["interface"] for row in found] == [link["ifname"] for link in links]
    for link, row in zip(links, found):
        assert row["ifindex"] == link["ifindex"] and row["mtu_bytes"] == link["mtu"]
        # M-DOWN is no flag of the kernel's: ip means the other end.
        assert row["flags"].split(",") == [flag for flag in link["flags"] if flag != "M-DOWN"]
        assert row["state"] == link["operstate"]
        for ours, direction, theirs in IP_STATS:
            assert row[ours] == link["stats64"][direction][theirs], (link["ifname"], ours)
    by_name = {row["interface"]: row for row in found}
    assert by_name["lo"]["rx_packets"] >= 14 and by_name["lo"]["rx_bytes"] >= 14 * 700
    assert by_name["v0"]["tx_packets"] >= 5 and by_name["quiet"]["tx_packets"] == 0
    assert {"v0", "v1", "quiet", "end", "lo"} <= by_name.keys()


def test_all_together_is_their_sum(wired):
    links, found = still_links(wired)

    def total(direction, name):
        return sum(link["stats64"][direction][name] for link in links)
    table = {row["statistic"]: (row["received"], row["sent"]) for row in found}
    assert table == {
        "bytes": (total("rx", "bytes"), total("tx", "bytes")),
        "packets": (total("rx", "packets"), total("tx", "packets")),
        "unicast": (total("rx", "packets") - total("rx", "multicast"), None),
        "multicast": (total("rx", "multicast"), None),
        "discards": (total("rx", "dropped") + total("rx", "missed_errors"), total("tx", "dropped")),
        "errors": (total("rx", "errors"), total("tx", "errors")),
    }
    assert total("rx", "bytes") > 0


def test_a_namespace_is_looked_into(wired, make_netns):
    other = make_netns()
    for name in ("inode", "name"):
        word = other.name if name == "name" else "inode:" + other.run("stat", "-Lc%i", "/proc/self/ns/net").stdout.strip()
        found = rows("-e", "--by", "interface", "--netns", word)
        assert sorted(row["interface"] for row in found) == sorted(link["ifname"] for link in ip_links(other))
        assert {row["netns"] for row in found} == {other.name}
    inside = rows("-r", "--table", "100000", "--netns", wired.name)
    assert [row["destination"] for row in inside] == ["10.2.0.0/16"]
    assert rows("-s", "-p", "tcp", "--netns", other.name)


# -r

NOWHERE = ("blackhole", "unreachable", "prohibit", "throw")


def ip_routes(netns, *args):
    """A row for each way of each route, as `ip -d -N -j route` tells them, in our words."""
    found = collections.Counter()
    for flag, family in (("-4", "ipv4"), ("-6", "ipv6")):
        # A table that this family does not have is an error to ip.
        told = netns.run("ip", flag, "-d", "-j", "route", "show", *args, check=False)
        for route in json.loads(told.stdout) if told.returncode == 0 else []:
            destination = route["dst"]
            if destination == "default":
                destination = "0.0.0.0/0" if family == "ipv4" else "::/0"
            elif "/" not in destination:
                destination += "/32" if family == "ipv4" else "/128"
            ways = route.get("nexthops", [route])
            for i, way in enumerate(ways, 1):
                # IPv6 gives those that lead nowhere lo for a device.
                leads = "dev" in way and route.get("type") not in NOWHERE
                found[(
                    str(route.get("table", "main")), family, route.get("type", "unicast"), destination,
                    way.get("gateway", way.get("via", {}).get("host")), way["dev"] if leads else None,
                    route.get("metric", 0), way.get("weight", 1) if leads else None,
                    i if leads else None, len(ways) if leads else 0, route.get("prefsrc"),
                    str(route["protocol"]), route["scope"], int(str(route.get("tos", "0")), 16),
                    ",".join(way["flags"]) or None)] += 1
    return found


def our_routes(found):
    return collections.Counter(
        (row["route_table"], row["family"], row["type"], row["destination"], row["gateway"], row["interface"],
         row["metric"], row["weight"], row["way"], row["ways"], row["source"], row["protocol"], row["scope"],
         row["tos"], row["flags"]) for row in found)


def still_routes(netns, table, *args):
    """Routes that did not change while they were read: IPv6 may make its own when a link comes up."""
    return while_still(lambda: ip_routes(netns, "table", table), lambda: rows("-r", *args, netns=netns))


@pytest.mark.parametrize("table, words", [
    ("all", ["--table", "all"]), ("all", ["-a"]), ("main", []), ("main", ["-n"]), ("main", ["--table=MAIN"]),
    ("local", ["--table", "local"]), ("default", ["--table", "default"]), ("7", ["--table", "7"]),
    ("100", ["--table", "100"]), ("100000", ["--table", "100000"]), ("254", ["--table", "254"]),
])
def test_the_routes_are_those_of_ip(wired, table, words):
    told, found = still_routes(wired, table, *words)
    ours = our_routes(found)
    # `ip` does not name the table that it was asked for.
    if table != "all":
        name = {"254": "main"}.get(table, table)
        assert {row["route_table"] for row in found} == {name}
        told = collections.Counter({(name, *row[1:]): n for row, n in told.items()})
    assert ours == told and ours
    assert ours.total() == len(found)


def test_all_kinds_of_routes_are_there(wired):
    found = rows("-r", "-a", netns=wired)
    assert {row["type"] for row in found} >= {"unicast", "local", "broadcast", "blackhole", "unreachable", "throw",
                                              "prohibit", "multicast"}
    ways = [(row["gateway"], row["weight"], row["way"], row["ways"]) for row in found
            if row["destination"] == "10.0.0.0/8"]
    assert ways == [("192.0.2.1", 3, 1, 2), ("192.0.2.9", 256, 2, 2)]
    ways = [(row["gateway"], row["weight"]) for row in found if row["destination"] == "2001:db8:2::/48"]
    assert sorted(ways) == [("2001:db8::1", 2), ("2001:db8::9", 1)]
    assert [row["gateway"] for row in found if row["destination"] == "10.1.0.0/16"] == ["2001:db8::1"]
    assert [(row["protocol"], row["flags"]) for row in found if row["route_table"] == "100000"] == [("bgp", "onlink")]


def test_a_next_hop_objects_routes_have_its_ways_and_number(wired):
    done = wired.run("ip", "nexthop", "add", "id", "5", "via", "192.0.2.7", "dev", "v0", check=False)
    if done.returncode:
        pytest.skip(f"no next hop objects: {done.stderr.strip()}")
    wired.run("ip", "route", "add", "10.9.0.0/16", "nhid", "5")
    row, = [row for row in rows("-r", netns=wired) if row["destination"] == "10.9.0.0/16"]
    assert (row["nexthop_id"], row["gateway"], row["interface"]) == (5, "192.0.2.7", "v0")
    assert "NEXTHOP ID" in connhist("netstat", "-r", netns=wired).stdout
    wired.run("ip", "route", "del", "10.9.0.0/16")
    assert "NEXTHOP ID" not in connhist("netstat", "-r", netns=wired).stdout


def test_routes_from_somewhere_tell_from_where(wired):
    done = wired.run("ip", "-6", "route", "add", "2001:db8:8::/48", "from", "2001:db8:9::/48", "via", "2001:db8::1",
                     check=False)
    if done.returncode:
        pytest.skip(f"this kernel has no IPv6 subtrees: {done.stderr.strip()}")
    row, = [row for row in rows("-r", netns=wired) if row["destination"] == "2001:db8:8::/48"]
    assert row["from"] == "2001:db8:9::/48"
    assert "FROM" in people(connhist("netstat", "-r", netns=wired).stdout)[0]


def test_the_route_that_the_kernel_takes_of_those_from_somewhere_stands_first(wired):
    if wired.run("ip", "-6", "route", "add", "2001:db8:8::/48", "via", "2001:db8::3", "metric", "7",
                 "from", "2001:db8::/64", check=False).returncode:
        pytest.skip("this kernel has no IPv6 subtrees")
    wired.run("ip", "-6", "route", "add", "2001:db8:8::/48", "via", "2001:db8::5", "metric", "5")
    wired.run("ip", "-6", "route", "add", "2001:db8:8::/48", "via", "2001:db8::4", "metric", "9", "from", "2001:db8::2/128")
    wired.run("ip", "-6", "address", "add", "2001:db8::22/64", "dev", "v0", "nodad")
    found = [(row["from"], row["gateway"]) for row in rows("-r", netns=wired) if row["destination"] == "2001:db8:8::/48"]
    assert found == [("2001:db8::2/128", "2001:db8::4"), ("2001:db8::/64", "2001:db8::3"), (None, "2001:db8::5")]
    for source, (_, gateway) in zip(("2001:db8::2", "2001:db8::22"), found):
        taken, = json.loads(wired.run("ip", "-j", "-6", "route", "get", "2001:db8:8::1", "from", source).stdout)
        assert taken["gateway"] == gateway


@pytest.mark.parametrize("family", ["ip", "ipv6"])
def test_routes_of_one_family_can_be_asked_for(wired, family):
    found = rows("-r", "-p", family, netns=wired)
    assert found and {row["family"] for row in found} == {{"ip": "ipv4"}.get(family, family)}


def test_many_routes_are_all_there(netns):
    """More than one of the kernel's messages holds."""
    batch = "".join(f"route add 10.{i // 256}.{i % 256}.0/24 dev lo table 42\n" for i in range(5000))
    netns.run("ip", "-batch", "-", input=batch)
    found = rows("-r", "--table", "42", netns=netns)
    assert [row["destination"] for row in found] == [f"10.{i // 256}.{i % 256}.0/24" for i in range(5000)]


def test_a_namespace_without_routes_says_so(make_netns):
    netns = make_netns()
    netns.run("ip", "link", "set", "lo", "down")
    done = connhist("netstat", "-r", netns=netns)
    assert "no route matches" in done.stderr and people(done.stdout)[1:] == []
    assert our_routes(rows("-r", "-a", netns=netns)) == ip_routes(netns, "table", "all")


# Together, and for programs

def test_tables_can_be_had_together_in_any_order(wired):
    alone = {"interfaces": "-e", "statistics": "-s", "routes": "-r"}
    for n in (2, 3):
        for names in itertools.permutations(alone, n):
            found = document("-" + "".join(alone[name][1] for name in names), netns=wired)
            assert [table["table"] for table in found["tables"]] == [name for name in alone if name in names]
            for table in found["tables"]:
                assert table["schema"] == found["schema"] and table["at_ms"] == found["at_ms"]
                one = document(alone[table["table"]], netns=wired)
                assert one["table"] == table["table"] and one.keys() == table.keys()
                # ICMP has a counter for a type once there was one of it.
                assert {tuple(row) for row in one["rows"]} == {tuple(row) for row in table["rows"]}
                assert {row["table"] for row in table["rows"]} == {table["table"]}
    text = connhist("netstat", "-es", "-p", "udp", netns=wired).stdout
    first, second = text.split("\n\n")
    assert "Bytes" in first and "Udp.OutDatagrams" in second and "Tcp" not in second


def test_json_lines_and_csv_have_the_same_rows(wired):
    def ask(form):
        return connhist("netstat", "-ra", "--format", form, netns=wired).stdout
    _, (wanted, lines, table) = while_still(
        lambda: ip_routes(wired, "table", "all"),
        lambda: (rows("-ra", netns=wired), ask("jsonl").splitlines(), list(csv.DictReader(io.StringIO(ask("csv"))))))
    assert [strict_json(line) for line in lines] == wanted
    assert table == [{name: "" if value is None else str(value) for name, value in row.items()} for row in wanted]
    both = connhist("netstat", "-er", "--format", "jsonl", netns=wired).stdout.splitlines()
    assert [strict_json(line)["table"] for line in both] == ["interfaces"] * 6 + ["routes"] * (len(both) - 6)


def test_the_table_for_people_has_each_way(wired):
    lines = people(connhist("netstat", "-rn", netns=wired).stdout)
    assert lines[0].split()[:4] == ["DESTINATION", "TYPE", "GATEWAY", "INTERFACE"]
    assert "WEIGHT" in lines[0] and "TABLE" not in lines[0]
    words = [line.split() for line in lines[1:]]
    assert ["default", "unicast", "192.0.2.1", "v0", "100"] in [line[:5] for line in words]
    assert ["::/0", "unicast", "2001:db8::1", "v0"] in [line[:4] for line in words]
    assert not {"TOS", "INCOMING", "ENCAP"} & set(lines[0].split())
    heads, *lines = [line.split() for line in people(connhist("netstat", "-r", "--table", "100000", netns=wired).stdout)]
    assert [line[heads.index("TOS")] for line in lines] == ["16"]
    assert ["10.3.0.0/16", "blackhole", "-", "-"] in [line[:4] for line in words]
    assert sum(line[0] == "10.0.0.0/8" for line in words) == 2
    assert people(connhist("netstat", "-ra", netns=wired).stdout)[0].startswith("TABLE")


# Wrong usage

@pytest.mark.parametrize("words, saying", [
    (["-r", "--port", "80"], "--port"),
    (["-s", "-o"], "--owner"),
    (["-eb"], "--program"),
    (["-e", "-a"], "--all"),
    (["-e", "-p", "tcp"], "--proto"),
    (["-s", "--state", "LISTEN"], "--state"),
    (["-r", "--pid", "1"], "--pid"),
    (["-s", "-p", "sctp"], "icmpv6"),
    (["-r", "-p", "tcp"], "ip and ipv6"),
    (["-rs", "-p", "icmp"], "ip and ipv6"),
    (["-r", "--table", "x"], "main, local, default, all"),
    (["-r", "--table", "0"], "main, local, default, all"),
    (["-r", "--table", "4294967296"], "main, local, default, all"),
    (["--table", "main"], "-r"),
    (["-s", "--table", "main"], "-r"),
    (["--by", "interface"], "-e"),
    (["-r", "--by", "interface"], "-e"),
    (["-e", "--by", "port"], "--by interface"),
    (["-es", "--format", "csv"], "csv"),
    (["-p", "icmp"], "icmp"),
    (["-e", "--netns", "inode:x"], "inode:x"),
])
def test_what_can_not_be_is_refused_in_one_line(words, saying):
    assert saying in refused(*words)


def test_a_namespace_that_is_not_there_can_not_be_answered():
    for letter in "ers":
        done = connhist("netstat", f"-{letter}", "--netns", "no-such-namespace", status=3)
        assert done.stdout == "" and "no-such-namespace" in done.stderr


def test_without_the_privilege_other_namespaces_are_not_looked_into(wired, as_nobody=("setpriv", "--reuid=65534",
                                                                                    "--clear-groups")):
    for letter in "ers":
        done = connhist("netstat", f"-{letter}", "--netns", wired.name, status=3, netns=Prefixed(as_nobody))
        assert done.stdout == "" and done.stderr.count("\n") == 1
        # What is one's own needs no privilege.
        assert strict_json(connhist("netstat", f"-{letter}", "--format", "json", netns=Prefixed(as_nobody)).stdout)["rows"]


class Prefixed(type(HERE)):
    """Programs run in this namespace behind other words."""

    def __init__(self, words):
        super().__init__(None)
        self.words = words

    def command(self, *args):
        return [*self.words, *map(str, args)]
