#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Makes corpus/netlink: real answers of this kernel about loopback sockets, and broken ones made of them.

Sequence number and port id become 1, as fuzz_netlink.c expects. Everything of this host but the sockets
made here stays out. Run: make_netlink_corpus.py FOLDER
"""
import pathlib
import socket
import struct
import sys
import time

NETLINK_SOCK_DIAG = 4
TCPDIAG_GETSOCK, SOCK_DIAG_BY_FAMILY = 18, 20
NLMSG_NOOP, NLMSG_ERROR, NLMSG_DONE = 1, 2, 3
NLM_F_REQUEST, NLM_F_MULTI, NLM_F_DUMP_INTR, NLM_F_DUMP = 1, 2, 0x10, 0x300
INFO = 2  # idiag_ext bit of INET_DIAG_INFO
HEADER = struct.Struct("=IHHII")
BODY_BYTES = 72  # struct inet_diag_msg


def message(kind, payload, flags=NLM_F_MULTI, seq=1, portid=1):
    head = HEADER.pack(HEADER.size + len(payload), kind, flags, seq, portid)
    return head + payload + b"\0" * (-len(payload) % 4)


def done(error=0, flags=NLM_F_MULTI):
    return message(NLMSG_DONE, struct.pack("=i", error), flags)


def failed(error):
    return message(NLMSG_ERROR, struct.pack("=iIHHII", error, 16, 20, 0, 1, 1), 0)


def ask(kind, family, protocol):
    """The payloads of all sockets that one dump tells, with every extension there is."""
    states, sockid = 0x2FFE, bytes(48)
    if kind == TCPDIAG_GETSOCK:
        request = struct.pack("=BBBB48sII", family, 0, 0, INFO, sockid, states, 0)
    else:
        request = struct.pack("=BBBBI48s", family, protocol, INFO, 0, states, sockid)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG) as link:
        link.send(message(kind, request, NLM_F_REQUEST | NLM_F_DUMP, 7, 0))
        while True:
            data = link.recv(65536)
            while data:
                length, found, *_ = HEADER.unpack_from(data)
                if found in (NLMSG_DONE, NLMSG_ERROR):
                    return
                yield data[HEADER.size:length]
                data = data[(length + 3) & ~3:]


def ports(payload):
    return struct.unpack_from("!HH", payload, 4)


def make_sockets():
    """Sockets of many kinds; returns them, to be held, and their ports."""
    held, ours = [], set()

    def hold(sock):
        held.append(sock)
        ours.add(sock.getsockname()[1])
        return sock

    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        listener = hold(socket.create_server((address, 0), family=family))
        port = listener.getsockname()[1]
        for ending in ("keep", "half", "time_wait"):
            client = hold(socket.create_connection((address, port)))
            server = hold(listener.accept()[0])
            if ending == "half":
                client.shutdown(socket.SHUT_WR)
            if ending == "time_wait":
                client.close()
                time.sleep(0.2)
                server.close()
        bound = hold(socket.socket(family))
        bound.bind((address, 0))
        ours.add(bound.getsockname()[1])
        for connected in (False, True):
            udp = socket.socket(family, socket.SOCK_DGRAM)
            udp.bind((address, 0))
            if connected:
                udp.connect((address, 9))
            hold(udp)
    dual = hold(socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True))
    hold(socket.create_connection(("127.0.0.1", dual.getsockname()[1])))
    hold(dual.accept()[0])
    time.sleep(0.2)
    return held, ours


def real_inputs(ours):
    tables = {
        "tcp_legacy": (TCPDIAG_GETSOCK, socket.AF_UNSPEC, 6, 0),
        "udp_ipv4": (SOCK_DIAG_BY_FAMILY, socket.AF_INET, 17, 1),
        "udp_ipv6": (SOCK_DIAG_BY_FAMILY, socket.AF_INET6, 17, 1),
    }
    for name, (kind, family, protocol, head) in tables.items():
        payloads = [p for p in ask(kind, family, protocol) if ports(p)[0] in ours]
        yield name, head, [message(kind, p) for p in payloads]


def by_state(messages):
    """One message for each family and state."""
    found = {}
    for m in messages:
        found.setdefault((m[HEADER.size], m[HEADER.size + 1]), m)
    return found


def broken_inputs(full):
    """full: an established IPv6 socket with all its attributes, asked by the legacy request."""
    body = full[HEADER.size:]
    attributes = HEADER.size + BODY_BYTES

    def patched(at, data):
        return full[:at] + data + full[at + len(data):]

    yield "cut_header", full[:10]
    yield "cut_body", full[:60]
    yield "cut_attribute", message(TCPDIAG_GETSOCK, body[:BODY_BYTES + 6])
    yield "length_zero", patched(0, struct.pack("=I", 0))
    yield "length_huge", patched(0, struct.pack("=I", 0xFFFFFFFF))
    yield "attribute_length_zero", patched(attributes, struct.pack("=H", 0))
    yield "attribute_length_huge", patched(attributes, struct.pack("=H", 0xFFFF))
    yield "family_unix", patched(HEADER.size, b"\x01")
    yield "state_14", patched(HEADER.size + 1, b"\x0e")
    yield "state_12", patched(HEADER.size + 1, b"\x0c")
    yield "info_short", message(TCPDIAG_GETSOCK, body[:BODY_BYTES] + struct.pack("=HH", 108, 2) + bytes(104))
    yield "cgroup_short", message(TCPDIAG_GETSOCK, body[:BODY_BYTES] + struct.pack("=HHI", 8, 21, 5))
    yield "other_seq", message(TCPDIAG_GETSOCK, body, seq=9) + full + done()
    yield "interrupted", message(TCPDIAG_GETSOCK, body, NLM_F_MULTI | NLM_F_DUMP_INTR) + done()
    yield "done_enoent", full + done(-2)
    yield "done_positive", done(5)
    yield "done_empty", message(NLMSG_DONE, b"")
    yield "error_eopnotsupp", failed(-95)
    yield "acknowledged", failed(0) + message(NLMSG_NOOP, b"") + full
    yield "type_unknown", message(99, body)


def main():
    folder = pathlib.Path(sys.argv[1])
    held, ours = make_sockets()
    inputs = {}
    for name, head, messages in real_inputs(ours):
        if name == "tcp_legacy":
            states = by_state(messages)
            for (family, state), m in states.items():
                inputs[f"tcp_family{family}_state{state}"] = (head, m + done())
            broken = broken_inputs(states[(socket.AF_INET6, 1)])
        else:
            inputs[name] = (head, b"".join(messages) + done())
    inputs.update({f"broken_{name}": (0, data) for name, data in broken})
    folder.mkdir(parents=True, exist_ok=True)
    for name, (head, data) in inputs.items():
        (folder / name).write_bytes(bytes([head, 0, 0, 0]) + data)
    for sock in held:
        sock.close()


if __name__ == "__main__":
    main()
