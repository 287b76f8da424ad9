#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Makes corpus/counters and corpus/rtnetlink: what this kernel tells of a network namespace made here, and
broken inputs made of it. Needs root. Run: make_tables_corpus.py FOLDER-OF-CORPORA
"""
import ctypes
import os
import pathlib
import socket
import struct
import subprocess
import sys

CLONE_NEWNET = 0x40000000
RTM_NEWLINK, RTM_GETLINK, RTM_NEWROUTE, RTM_GETROUTE = 16, 18, 24, 26
RTA_VIA, RTA_MULTIPATH, RTA_METRICS, RTA_PREF = 18, 9, 8, 20
HEADER = struct.Struct("=IHHII")

ROUTES = """
link set lo up
link add d0 type veth peer name d1
link set d0 up
link set d1 up
address add 192.0.2.2/24 dev d0
address add 2001:db8::2/64 dev d0 nodad
route add default via 192.0.2.1 metric 100
route add 10.0.0.0/8 nexthop via 192.0.2.1 weight 3 nexthop via 192.0.2.9 weight 256
route add 10.1.0.0/16 via inet6 2001:db8::1 dev d0
route add 10.2.0.0/16 via 192.0.2.1 dev d0 table 100000 proto bgp src 192.0.2.2 tos 0x10 onlink
route add blackhole 10.3.0.0/16
route add unreachable 10.4.0.0/16
route add prohibit 2001:db8:1::/48
route add throw 10.5.0.0/16 table 7
route add 2001:db8:2::/48 nexthop via 2001:db8::1 nexthop via 2001:db8::9
route add 2001:db8:3::/48 from 2001:db8:4::/48 via 2001:db8::1
nexthop add id 5 via 192.0.2.7 dev d0
route add 10.6.0.0/16 nhid 5
"""


def dump(kind, family):
    """The payloads of one dump."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as link:
        body = struct.pack("=B15x", family) if kind == RTM_GETLINK else struct.pack("=B11x", family)
        link.send(HEADER.pack(HEADER.size + len(body), kind, 0x301, 1, 0) + body)
        while True:
            data = link.recv(65536)
            while data:
                length, found, *_ = HEADER.unpack_from(data)
                if found in (2, 3):
                    return
                yield data[HEADER.size:length]
                data = data[(length + 3) & ~3:]


def attribute(kind, data):
    return struct.pack("=HH", 4 + len(data), kind) + data + b"\0" * (-len(data) % 4)


def rtnetlink_inputs():
    for i, payload in enumerate(dump(RTM_GETLINK, 0)):
        yield f"link_{i}", 0, payload
        yield f"link_{i}_cut", 0, payload[:-3]
    for family in (socket.AF_INET, socket.AF_INET6):
        for i, payload in enumerate(dump(RTM_GETROUTE, family)):
            yield f"route_family{family}_{i}", 1, payload
    head = struct.pack("=BBBBBBBBI", socket.AF_INET, 8, 0, 0, 254, 4, 0, 1, 0)
    way = struct.pack("=HBBi", 16, 0, 0, 1) + attribute(5, bytes(4))
    yield "broken_head", 1, head[:11]
    yield "broken_bits", 1, bytes([2, 200]) + head[2:]
    yield "broken_way_length_zero", 1, head + attribute(RTA_MULTIPATH, way + bytes(8))
    yield "broken_way_length_huge", 1, head + attribute(RTA_MULTIPATH, way + b"\xff\xff" + way[2:])
    yield "broken_way_inside", 1, head + attribute(RTA_MULTIPATH, way[:8] + b"\x20\0\5\0" + way[12:])
    yield "broken_way_cut", 1, head + attribute(RTA_MULTIPATH, way[:-2])
    yield "broken_via", 1, head + attribute(RTA_VIA, struct.pack("=H", 10) + bytes(4))
    metrics = b"".join(attribute(kind, struct.pack("=I", 1 << kind)) for kind in range(1, 18))
    yield "metrics", 1, head + attribute(RTA_METRICS, metrics) + attribute(RTA_PREF, b"\x03")
    yield "broken_metrics", 1, head + attribute(RTA_METRICS, metrics[:-2])
    yield "broken_metric", 1, head + attribute(RTA_METRICS, attribute(2, b"\x01\x02"))
    yield "broken_pref", 1, head + attribute(RTA_PREF, b"")
    yield "many_ways", 1, head + attribute(RTA_MULTIPATH, struct.pack("=HBBi", 8, 0, 255, 1) * 600)


def counters_inputs():
    net = pathlib.Path("/proc/thread-self/net")
    for kind, names in enumerate((("snmp", "netstat"), ("snmp6",), ("sockstat", "sockstat6"))):
        for name in names:
            yield name, kind, (net / name).read_bytes()
    yield "broken_groups", 0, b"A: x\nB: y\nB: 1\n\nA: 1\n: x\n: 1\nnothing\n"
    yield "broken_columns", 0, b"A: x y\nA: 1 2 3\nB: x y\nB: 1\nC:\nC:\nD: x x x\nD: 1 2 3\n"
    yield "broken_numbers", 0, b"A: a b c d e f\nA: -1 - 1x 9223372036854775808 -9223372036854775808 \xff\n"
    yield "broken_no_newline", 0, b"A: x\nA: 1"
    yield "broken_lines", 1, b"Ip6\t1\n6 6\nIp6X\n\nIp6\x1b[31m 4\nifIndex 1\n"
    yield "broken_sockstat", 2, b"TCP: inuse\nTCP6: inuse 1 mem\n" + b"L" * 100 + b": a 1\n:\n"
    yield "long_names", 0, b"G: " + b"n" * 70 + b"\nG: 1\n"


def write(folder, inputs, pad):
    folder.mkdir(parents=True, exist_ok=True)
    for name, first, data in inputs:
        (folder / name).write_bytes(bytes([first]) + bytes(pad) + data)


def main():
    folder = pathlib.Path(sys.argv[1])
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET):
        sys.exit("unshare: " + os.strerror(ctypes.get_errno()))
    for line in ROUTES.strip().splitlines():
        six = ["-6"] if "2001:db8" in line and "inet6" not in line and "route" in line else []
        subprocess.run(["ip", *six, *line.split()], check=True)
    write(folder / "rtnetlink", rtnetlink_inputs(), 3)
    write(folder / "counters", counters_inputs(), 0)


if __name__ == "__main__":
    main()
