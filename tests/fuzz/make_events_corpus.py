#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Makes corpus/events: destroy events of this kernel about loopback sockets, and broken ones made of them.

Run it in a network namespace of its own, so that nobody else's sockets get in:
unshare --net sh -c 'ip link set lo up && make_events_corpus.py FOLDER'
"""
import pathlib
import socket
import struct
import sys
import time

SOL_NETLINK, ADD_MEMBERSHIP, NETLINK_SOCK_DIAG = 270, 1, 4
GROUPS = (1, 2, 3, 4)
HEADER_BYTES, BODY_BYTES = 16, 72
ABORT = struct.pack("ii", 1, 0)  # struct linger


class Events:
    def __init__(self):
        self.link = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG)
        self.link.bind((0, 0))
        for group in GROUPS:
            self.link.setsockopt(SOL_NETLINK, ADD_MEMBERSHIP, group)

    def drain(self):
        time.sleep(0.2)
        found = []
        while True:
            try:
                found.append(self.link.recv(65536, socket.MSG_DONTWAIT))
            except BlockingIOError:
                return found


def pair(family, address):
    with socket.create_server((address, 0), family=family) as listener:
        client = socket.create_connection((address, listener.getsockname()[1]))
        server = listener.accept()[0]
    client.sendall(b"x" * 1000)
    server.recv(1000, socket.MSG_WAITALL)
    server.sendall(b"y" * 100)
    client.recv(100, socket.MSG_WAITALL)
    return client, server


def orderly(client, server):
    client.close()
    server.recv(1)
    server.close()


def slow(client, server):
    server.close()
    time.sleep(0.2)
    client.close()


def aborted(client, server):
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABORT)
    client.close()
    server.close()


def unread(client, server):
    server.sendall(b"zz")
    time.sleep(0.05)
    client.close()
    server.close()


def others(family, address):
    socket.socket(family).close()
    with socket.socket(family) as refused:
        refused.connect_ex((address, 1))
    with socket.socket(family, socket.SOCK_DGRAM) as udp:
        udp.connect((address, 9))


def broken_inputs(full):
    def patched(at, form, value):
        data = bytearray(full)
        struct.pack_into(form, data, at, value)
        return bytes(data)

    attributes = HEADER_BYTES + BODY_BYTES
    yield "empty", b""
    yield "cut_header", full[:10]
    yield "cut_body", full[:60]
    yield "cut_info", full[:200]
    yield "length_short", patched(0, "=I", 100)
    yield "length_zero", patched(0, "=I", 0)
    yield "length_huge", patched(0, "=I", 0xFFFFFFFF)
    yield "type_error", patched(4, "=H", 2)
    yield "family_unix", patched(HEADER_BYTES, "=B", 1)
    yield "attribute_length_zero", patched(attributes, "=H", 0)
    yield "attribute_length_huge", patched(attributes, "=H", 0xFFFF)
    yield "protocol_sctp", patched(attributes + 4, "=B", 132)
    yield "protocol_udp_with_info", patched(attributes + 4, "=B", 17)


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    events = Events()
    for name, family, address in (("ipv4", socket.AF_INET, "127.0.0.1"), ("ipv6", socket.AF_INET6, "::1")):
        for end in (orderly, slow, aborted, unread):
            end(*pair(family, address))
            for i, data in enumerate(events.drain()):
                (folder / f"{name}_{end.__name__}_{i}").write_bytes(data)
                if (name, end, i) == ("ipv4", orderly, 1):
                    whole = data
        others(family, address)
        for i, data in enumerate(events.drain()):
            (folder / f"{name}_others_{i}").write_bytes(data)
    for name, data in broken_inputs(whole):
        (folder / f"broken_{name}").write_bytes(data)


if __name__ == "__main__":
    main()
