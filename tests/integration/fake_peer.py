# SPDX-License-Identifier: MIT
"""A far end of TCP connections that says just what a test wants, so that the kernel's own sockets stop in any state.

It lives behind a TUN device in the network namespace that this program runs in: what the kernel sends to
192.0.2.2, 2001:db8::2 or fe80::2 comes here, and nothing is answered but on purpose. Run as a program it makes
sockets (`zoo`: one or more in each state; `walk`: one that goes through its states), and tells on stdout, as a line
of JSON each, what there is now; each line on stdin takes it a step further.
"""
import fcntl
import ipaddress
import json
import os
import select
import socket
import struct
import subprocess
import sys
import time

FIN, SYN, ACK = 1, 2, 16
DEVICE = "ch-peer0"
OURS = {"ipv4": "192.0.2.1", "ipv6": "2001:db8::1", "mapped": "::ffff:192.0.2.1", "link": "fe80::1"}
PEER = {"ipv4": "192.0.2.2", "ipv6": "2001:db8::2", "mapped": "::ffff:192.0.2.2", "link": "fe80::2"}
STATE_NUMBERS = {"ESTABLISHED": 1, "SYN_SENT": 2, "SYN_RECV": 3, "FIN_WAIT1": 4, "FIN_WAIT2": 5, "TIME_WAIT": 6,
                 "CLOSE": 7, "CLOSE_WAIT": 8, "LAST_ACK": 9, "LISTEN": 10, "CLOSING": 11}
PATIENCE = 10  # s; the kernel answers at once, but the machine may be busy


def unmapped(address):
    """The address that packets carry."""
    address = ipaddress.ip_address(address)
    return getattr(address, "ipv4_mapped", None) or address


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


class Tun:
    """The device, its addresses, and the packets on it."""

    def __init__(self):
        self.fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        iff_tun, iff_no_pi, tunsetiff = 0x0001, 0x1000, 0x400454ca
        fcntl.ioctl(self.fd, tunsetiff, struct.pack("16sH22x", DEVICE.encode(), iff_tun | iff_no_pi))
        for line in (f"link set {DEVICE} addrgenmode none up",
                     f"addr add {OURS['ipv4']}/24 dev {DEVICE}",
                     f"addr add {OURS['ipv6']}/64 dev {DEVICE} nodad",
                     f"addr add {OURS['link']}/64 dev {DEVICE} nodad"):
            subprocess.run(["ip", *line.split()], check=True)

    def read(self, deadline):
        """The next TCP segment of the kernel: (from, to, ports and all that follows)."""
        while True:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.fd], [], [], left)[0]:
                raise TimeoutError("the kernel did not send what was waited for")
            packet = os.read(self.fd, 65536)
            if packet[0] >> 4 == 4 and packet[9] == 6:
                return packet[12:16], packet[16:20], packet[(packet[0] & 15) * 4:]
            if packet[0] >> 4 == 6 and packet[6] == 6:
                return packet[8:24], packet[24:40], packet[40:]

    def write(self, source, target, segment):
        source, target = source.packed, target.packed
        if len(source) == 4:
            pseudo = source + target + struct.pack("!HH", 6, len(segment))
            header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(segment), 0, 0, 64, 6, 0, source, target)
            header = header[:10] + struct.pack("!H", checksum(header)) + header[12:]
        else:
            pseudo = source + target + struct.pack("!II", len(segment), 6)
            header = struct.pack("!IHBB16s16s", 6 << 28, len(segment), 6, 64, source, target)
        sum_ = struct.pack("!H", checksum(pseudo + segment))
        os.write(self.fd, header + segment[:16] + sum_ + segment[18:])


class Connection:
    """The far end of one connection: `ours` is the kernel's end, as its socket names it."""

    def __init__(self, tun, family, our_port, peer_port):
        self.tun, self.our_port, self.peer_port = tun, our_port, peer_port
        self.ours, self.peer = unmapped(OURS[family]), unmapped(PEER[family])
        self.sequence, self.acknowledged = 1000, 0

    def send(self, flags):
        self.tun.write(self.peer, self.ours, struct.pack(
            "!HHIIBBHHH", self.peer_port, self.our_port, self.sequence, self.acknowledged if flags & ACK else 0,
            5 << 4, flags, 65535, 0, 0))
        self.sequence += bool(flags & (SYN | FIN))

    def expect(self, flags, number=None, patience=PATIENCE):
        """Waits for a segment with these flags (that acknowledges `number`); gives its sequence number."""
        deadline = time.monotonic() + patience
        while True:
            source, target, segment = self.tun.read(deadline)
            ports = struct.unpack_from("!HH", segment)
            sequence, acknowledged = struct.unpack_from("!II", segment, 4)
            if ((source, target) == (self.ours.packed, self.peer.packed)
                    and ports == (self.our_port, self.peer_port)
                    and segment[13] & flags == flags and number in (None, acknowledged)):
                return sequence

    def answer(self):
        """The kernel connects, the peer accepts."""
        self.acknowledged = self.expect(SYN) + 1
        self.send(SYN | ACK)
        self.expect(ACK, self.sequence)

    def begin(self):
        """The peer connects; without finish() the kernel stays in SYN_RECV. As any peer it asks again: a kernel that
        is busy may drop a SYN."""
        for attempts_left in reversed(range(PATIENCE)):
            self.send(SYN)
            try:
                self.acknowledged = self.expect(SYN | ACK, self.sequence, 1) + 1
                return
            except TimeoutError:
                if not attempts_left:
                    raise
                self.sequence -= 1

    def finish(self):
        self.send(ACK)

    def close(self):
        """The peer closes."""
        self.send(FIN | ACK)
        self.expect(ACK, self.sequence)

    def take_fin(self):
        """The kernel closed: acknowledge that with the next segment."""
        self.expect(FIN)
        self.acknowledged += 1


def go(connection, sock, state, orphan):
    """Takes an established connection to a state. orphan: the program closes the socket, else it shuts it down."""
    def close():
        if orphan:
            sock.close()
        else:
            sock.shutdown(socket.SHUT_WR)
    if state in ("CLOSE_WAIT", "LAST_ACK"):
        connection.close()
    if state in ("FIN_WAIT1", "CLOSING", "LAST_ACK"):
        close()
        connection.expect(FIN)
    if state == "CLOSING":
        connection.close()
    if state in ("FIN_WAIT2", "TIME_WAIT"):
        close()
        connection.take_fin()
        connection.send(ACK)
    if state == "TIME_WAIT":
        connection.close()


class Zoo:
    """Sockets in all states, and the list of them: protocol, state, local and remote address and port."""

    def __init__(self, tun):
        self.tun, self.rows, self.kept = tun, [], []
        self.next_port, self.listening = 20000, 0

    def port(self):
        self.next_port += 1
        return self.next_port

    def note(self, protocol, state, family, our_port, peer_port, ours=None, peer=None):
        self.rows.append([protocol, state, ours or OURS[family], our_port, peer or PEER[family], peer_port])

    def note_unconnected(self, protocol, state, sock):
        ours, port = sock.getsockname()[:2]
        nobody = "0.0.0.0" if sock.family == socket.AF_INET else "::"
        self.note(protocol, state, None, port, 0, ours, nobody)

    def socket(self, family, kind=socket.SOCK_STREAM):
        sock = socket.socket(socket.AF_INET if family == "ipv4" else socket.AF_INET6, kind)
        if family in ("ipv6", "link"):
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        self.kept.append(sock)
        return sock

    def endpoint(self, family, address, port):
        if family == "ipv4":
            return address, port
        return address, port, 0, socket.if_nametoindex(DEVICE) if family == "link" else 0

    def listener(self, family):
        sock = self.socket(family)
        # Dual-stack and bound to all addresses is what most servers do.
        where = "::" if family == "mapped" else OURS[family]
        sock.bind(self.endpoint(family, where, self.port()))
        sock.listen(16)
        self.note_unconnected("tcp", "LISTEN", sock)
        self.listening = sock.getsockname()[1]
        return sock

    def client(self, family):
        """A socket of the kernel that connects, and the peer's end, which has not answered yet."""
        sock, our_port, peer_port = self.socket(family), self.port(), self.port()
        sock.bind(self.endpoint(family, OURS[family], our_port))
        sock.setblocking(False)
        sock.connect_ex(self.endpoint(family, PEER[family], peer_port))
        return sock, Connection(self.tun, family, our_port, peer_port)

    def server(self, family, listener):
        """A socket that the kernel accepted."""
        connection = Connection(self.tun, family, listener.getsockname()[1], self.port())
        connection.begin()
        connection.finish()
        sock = listener.accept()[0]
        self.kept.append(sock)
        return sock, connection

    def add(self, family, state, pair, orphan):
        sock, connection = pair
        go(connection, sock, state, orphan)
        self.note("tcp", state, family, connection.our_port, connection.peer_port)
        if state == "TIME_WAIT" and not orphan and connection.our_port != self.listening:
            self.note_left(family, connection)

    def note_left(self, family, connection):
        """While a mini-socket is in TIME_WAIT, the socket that a program bound itself and still holds is listed too."""
        self.note("tcp", "CLOSE", family, connection.our_port, connection.peer_port)

    def established(self, family, listener):
        """Connections that went on from ESTABLISHED, opened by either end, closed by close() and by shutdown()."""
        for state in ("ESTABLISHED", "FIN_WAIT1", "FIN_WAIT2", "CLOSING", "TIME_WAIT", "CLOSE_WAIT", "LAST_ACK"):
            for orphan in (True, False):
                sock, connection = self.client(family)
                connection.answer()
                self.add(family, state, (sock, connection), orphan)
                self.add(family, state, self.server(family, listener), orphan)

    def half_open(self, family, listener):
        _, connection = self.client(family)
        connection.expect(SYN)
        self.note("tcp", "SYN_SENT", family, connection.our_port, connection.peer_port)
        connection = Connection(self.tun, family, listener.getsockname()[1], self.port())
        connection.begin()
        self.note("tcp", "SYN_RECV", family, connection.our_port, connection.peer_port)
        # Complete, but the program does not accept it.
        connection = Connection(self.tun, family, listener.getsockname()[1], self.port())
        connection.begin()
        connection.finish()
        self.note("tcp", "ESTABLISHED", family, connection.our_port, connection.peer_port)

    def bound(self, family):
        for address in {OURS[family], "0.0.0.0" if family == "ipv4" else "::"}:
            sock = self.socket(family)
            sock.bind(self.endpoint(family, address, self.port()))
            self.note_unconnected("tcp", "CLOSE", sock)

    def udp(self, family):
        for address in {OURS[family], "0.0.0.0" if family == "ipv4" else "::"}:
            sock = self.socket(family, socket.SOCK_DGRAM)
            sock.bind(self.endpoint(family, address, self.port()))
            self.note_unconnected("udp", "CLOSE", sock)
        sock, our_port, peer_port = self.socket(family, socket.SOCK_DGRAM), self.port(), self.port()
        sock.bind(self.endpoint(family, OURS[family], our_port))
        sock.connect(self.endpoint(family, PEER[family], peer_port))
        self.note("udp", "ESTABLISHED", family, our_port, peer_port)

    def fill(self):
        for family in OURS:
            listener = self.listener(family)
            self.established(family, listener)
            self.half_open(family, listener)
            self.bound(family)
            self.udp(family)

    def settle(self):
        """Waits until the kernel lists all TCP sockets as they should be (it lists none that are only bound)."""
        wanted = {(row[3], row[5], STATE_NUMBERS[row[1]]) for row in self.rows if row[0] == "tcp" and row[1] != "CLOSE"}
        deadline = time.monotonic() + PATIENCE
        while wanted != (found := listed()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"lacking: {wanted - found}, too many: {found - wanted}")
            time.sleep(0.01)

    def tell(self):
        self.settle()
        print(json.dumps(self.rows), flush=True)


def listed():
    """What /proc/net/tcp and tcp6 tell: local port, remote port, state."""
    found = set()
    for name in ("/proc/net/tcp", "/proc/net/tcp6"):
        with open(name, encoding="ascii") as file:
            for line in list(file)[1:]:
                _, ours, peer, state = line.split()[:4]
                found.add((int(ours.rsplit(":", 1)[1], 16), int(peer.rsplit(":", 1)[1], 16), int(state, 16)))
    return found


def walk(zoo):
    """For each family a server's connection, from SYN_RECV to TIME_WAIT, and a client's, from SYN_SENT to its end;
    and a client that shuts down, does not close, and has been seen before."""
    pairs, held = [], []
    for family in OURS:
        listener = zoo.listener(family)
        server = Connection(zoo.tun, family, listener.getsockname()[1], zoo.port())
        server.begin()
        sock, client = zoo.client(family)
        pairs.append((family, listener, server, sock, client))
    listeners = list(zoo.rows)

    def now(server_state, client_state, held_state=None):
        zoo.rows = list(listeners)
        for family, _, server, _, client in pairs:
            zoo.note("tcp", server_state, family, server.our_port, server.peer_port)
            if client_state:
                zoo.note("tcp", client_state, family, client.our_port, client.peer_port)
        for family, _, client in held:
            zoo.note("tcp", held_state, family, client.our_port, client.peer_port)
            if held_state == "TIME_WAIT":
                zoo.note_left(family, client)
        zoo.tell()
        sys.stdin.readline()
    now("SYN_RECV", "SYN_SENT")
    accepted = []
    for _, listener, server, _, client in pairs:
        client.answer()
        server.finish()
        accepted.append(listener.accept()[0])
    for family in OURS:
        held.append((family, *zoo.client(family)))
        held[-1][2].answer()
    now("ESTABLISHED", "ESTABLISHED", "ESTABLISHED")
    for (_, _, server, _, client), sock in zip(pairs, accepted):
        sock.close()
        server.expect(FIN)
        client.close()
    for _, sock, client in held:
        go(client, sock, "FIN_WAIT2", orphan=False)
    now("FIN_WAIT1", "CLOSE_WAIT", "FIN_WAIT2")
    for _, _, server, sock, client in pairs:
        server.acknowledged += 1
        server.send(ACK)
        sock.close()
        client.expect(FIN)
    for _, _, client in held:
        client.close()
    now("FIN_WAIT2", "LAST_ACK", "TIME_WAIT")
    for _, _, server, _, client in pairs:
        server.close()
        client.acknowledged += 1
        client.send(ACK)
    now("TIME_WAIT", None, "TIME_WAIT")


def main():
    zoo = Zoo(Tun())
    if sys.argv[1] == "walk":
        walk(zoo)
    else:
        zoo.fill()
        zoo.tell()
    sys.stdin.read()


if __name__ == "__main__":
    main()
