# SPDX-License-Identifier: MIT
"""A made-up kernel: sockets with cookies that open, change, move to TIME_WAIT and go, as steps say, and clocks that
do as they like. It writes commands for tests/replay and remembers what it showed."""
from collections import Counter
from dataclasses import dataclass, field, replace

INTERVAL_MS = 10_000
TIME_WAIT_MS = 60_000

NEXT = {  # what a TCP socket may become while nobody looks
    "CLOSE": ["LISTEN"],
    "LISTEN": ["CLOSE"],
    "SYN_SENT": ["ESTABLISHED", "CLOSE_WAIT", "FIN_WAIT1"],
    "SYN_RECV": ["ESTABLISHED", "CLOSE_WAIT"],
    "ESTABLISHED": ["FIN_WAIT1", "CLOSE_WAIT", "FIN_WAIT2", "TIME_WAIT"],
    "FIN_WAIT1": ["FIN_WAIT2", "CLOSING", "TIME_WAIT"],
    "FIN_WAIT2": ["TIME_WAIT"],
    "CLOSING": ["TIME_WAIT"],
    "CLOSE_WAIT": ["LAST_ACK"],
}
OWNERLESS = {"SYN_RECV", "TIME_WAIT", "FIN_WAIT2"}
UNTOLD = OWNERLESS | {"CLOSE"}  # of these the kernel does not tell what holds them
CARRYING = {"ESTABLISHED", "FIN_WAIT1", "CLOSE_WAIT", "LAST_ACK", "CLOSING"}
FAMILIES = [
    (4, "192.0.2.1", "198.51.100.{}"),
    (6, "2001:db8::1", "2001:db8:1:{}::7"),
    (6, "::ffff:192.0.2.1", "::ffff:198.51.100.{}"),
]
SERVER_PORTS = [80, 443, 8080]


@dataclass
class Socket:
    proto: str
    family: int
    local: str
    lport: int
    remote: str
    rport: int
    state: str
    cookie: int
    uid: int
    opener: int = 0
    scope: int = 0
    entered_ms: int = 0  # boot time at which TIME_WAIT began
    timer_ms: int = 0  # boot time up to which its timer counts from 60 s
    queue: tuple = (0, 0)
    seen_uid: bool = False  # a snapshot saw the owner in this life
    rearmed_unseen: bool = False  # the timer was set again before a snapshot saw the TIME_WAIT
    seen_time_wait: bool = False
    pid: int = 0  # who holds it
    life: dict = field(default_factory=lambda: {"found": False, "held": set()})  # shared by all states of a life
    carried: int = 0  # payload bytes sent
    active_ms: int = 0  # boot time of the last one, or of the opening
    place: int = 0  # its network namespace: 0 is the recorder's own
    offload: int = 1  # what holds it, enum offload
    offloads: set = field(default_factory=lambda: {1})  # all that ever did

    def carries(self):
        return self.proto == "tcp" and self.state in CARRYING

    def shown_uid(self):
        return -1 if self.state in OWNERLESS else self.uid

    def endpoints(self):
        return (self.proto, self.family, self.local, self.lport, self.remote, self.rport)


class Kernel:
    def __init__(self, events=False, places=1):
        self.events = events  # whether destroy events are told
        self.places = places  # network namespaces
        self.offloads = False  # whether it is told what holds connections
        self.short = []  # endpoints of connections that no snapshot can see
        self.ms_since_tick = 0
        self.boot, self.boot_ms, self.wall_offset_ms = 1, 5_000_000, 1_700_000_000_000
        self.commands = []
        self.sockets, self.gone = [], []
        self.cookie = 0x1000
        self.port = 32768
        self.failing = set()  # places whose next dump fails
        self.without = set()  # places that are not recorded now
        self.doubles = []
        self.shown = []  # for each complete snapshot: what it showed, for the comparison
        self.shown_in = [[] for _ in range(places)]  # the same for each place, where it was complete
        self.last_complete = [None] * places  # boot and boot time of the last complete snapshot
        self.servers = {port: 600 + 20 * i for i, port in enumerate(SERVER_PORTS)}
        self.uids, self.held, self.late = {}, set(), False
        for pid in [*self.servers.values(), 700, 701, 702]:
            self.start_process(pid)

    # -- what happens between snapshots

    def start_process(self, pid):
        self.uids[pid] = 1000 + pid
        self.commands.append(f"process {pid} {pid // 10} {1000 + pid} p{pid} /usr/bin/p{pid} p{pid}.service - /p{pid}")

    def restart_server(self, n):
        """Another process serves a port from now on; what the old one has accepted stays with it."""
        port = SERVER_PORTS[n % 3]
        self.servers[port] += 1
        self.start_process(self.servers[port])
        for s in [s for s in self.sockets if s.lport == port and s.proto == "tcp"
                  and s.state in ("LISTEN", "CLOSE", "SYN_RECV")]:
            self.sockets.remove(s)
            self.gone.append(s)

    def pass_on(self, n):
        """A process hands a socket to another one and closes its own descriptor."""
        socket = self.pick(n, lambda s: s.state == "ESTABLISHED")
        if socket:
            inode = socket.cookie + 5
            for pid in [pid for pid, held in self.held if held == inode]:
                self.held.remove((pid, inode))
                self.commands.append(f"lets {pid} {inode}")
            socket.pid = 700 + n % 3

    def delay(self, _):
        """The next look for owners comes to no end."""
        self.late = True
        self.commands.append("late")

    def find_owners(self):
        """Who holds what is known to the made-up /proc; what is looked for now is found unless it is late."""
        for s in self.sockets:
            inode = 0 if s.state in OWNERLESS else s.cookie + 5
            if inode and (s.pid, inode) not in self.held:
                self.held.add((s.pid, inode))
                self.commands.append(f"holds {s.pid} {inode}")
            s.life["held"].add(s.pid)

    def new_cookie(self):
        self.cookie += 1
        return self.cookie

    def open(self, kind, n):
        family, local, remote = FAMILIES[n % 3]
        self.port = 32768 + (self.port + 7 - 32768) % 20000
        service = SERVER_PORTS[n // 3 % 3]
        server = n // 9 % 2
        ports = (service, self.port) if server else (self.port, service)
        any_address = "0.0.0.0" if family == 4 else "::"
        peer = remote.format(n % 200 + 1)
        base = Socket("tcp", family, local, ports[0], peer, ports[1], "ESTABLISHED",
                      self.new_cookie(), 0, 2 if server else 1, active_ms=self.boot_ms, place=n // 2 % self.places)
        serves = server or kind in ("LISTEN", "CLOSE", "udp-bound")
        base.pid = self.servers[service] if serves else 700 + n % 3
        base.uid = self.uids[base.pid]
        if kind in ("SYN_SENT", "SYN_RECV", "ESTABLISHED", "FIN_WAIT2", "CLOSE_WAIT", "LAST_ACK"):
            self.sockets.append(replace(base, state=kind))
        elif kind == "TIME_WAIT":
            ago = n * 37 % INTERVAL_MS
            self.sockets.append(replace(base, state=kind, entered_ms=self.boot_ms - ago,
                                        timer_ms=self.boot_ms - ago))
        elif kind in ("LISTEN", "CLOSE"):
            if any(s.state in ("LISTEN", "CLOSE") and s.lport == service and s.family == family
                   and s.proto == "tcp" for s in self.sockets):
                return
            self.sockets.append(replace(base, state=kind, local=any_address, lport=service,
                                        remote=any_address, rport=0, opener=0, queue=(n % 5, 128)))
        elif kind == "udp":
            self.sockets.append(replace(base, proto="udp", state="ESTABLISHED", opener=0))
        else:
            self.sockets.append(replace(base, proto="udp", state="CLOSE", local=any_address, opener=0,
                                        remote=any_address, rport=0, lport=ports[n % 2]))

    def pick(self, n, condition=lambda s: True):
        fitting = [s for s in self.sockets if condition(s)]
        return fitting[n % len(fitting)] if fitting else None

    def advance(self, n):
        socket = self.pick(n, lambda s: s.proto == "tcp" and s.state in NEXT and not (s.state == "CLOSE" and s.rport))
        if not socket:
            return
        choices = NEXT[socket.state]
        self.become(socket, choices[n // 7 % len(choices)])

    def event(self, s, cookie=None, n=0, wiped=False):
        """The full socket is freed: an event, read at once or some drains later. Time goes on a little."""
        if not self.events:
            return
        self.ms_since_tick = min(self.ms_since_tick + 1, INTERVAL_MS - 1)
        now = self.boot_ms + self.ms_since_tick
        self.commands.append(f"clock {now * 1_000_000} {(now + self.wall_offset_ms) * 1_000_000}")
        unconnected = s.rport == 0
        proto, family, local, lport, remote, rport = s.endpoints()
        if wiped:
            local, rport = ("0.0.0.0" if family == 4 else "::"), 0
        self.commands.append(f"into {s.place}")
        self.commands.append(
            f"event {n % 4} {proto} {family} {local} {lport} {remote} {rport} {cookie or s.cookie} {s.opener} "
            f"{int(proto == 'tcp' and not wiped)} {int(not wiped)} {int(wiped)} {int(unconnected)} 100 1000")

    def connect_and_close(self, n):
        """A connection that begins and ends between two snapshots, closed by the peer: the event is all there is."""
        self.open("ESTABLISHED", n)
        socket = self.sockets.pop()
        self.gone.append(socket)
        self.event(socket, n=n)
        self.short.append(socket.endpoints())

    def lose(self, _):
        self.commands.append("lose")

    def become(self, socket, state):
        if state in ("TIME_WAIT", "FIN_WAIT2") and socket.state not in ("TIME_WAIT", "FIN_WAIT2"):
            self.event(socket, n=self.cookie)
        if state == "LISTEN" and socket.state == "CLOSE":
            socket.queue = (0, 128)
            socket.life = {"found": False, "held": set()}
        socket.state = state
        if state == "TIME_WAIT":
            # after the last snapshot, which saw another state, and before the next
            socket.entered_ms = socket.timer_ms = self.boot_ms + 1 + self.cookie * 13 % (INTERVAL_MS - 1)

    def vanish(self, n):
        socket = self.pick(n)
        if socket:
            self.sockets.remove(socket)
            self.gone.append(socket)
            if socket.state not in ("TIME_WAIT", "FIN_WAIT2", "SYN_RECV"):
                self.event(socket, n=n, wiped=n % 11 == 0 and socket.rport != 0)

    def reuse_tuple(self, n):
        """A new socket with the endpoints of one that is gone."""
        taken = {s.endpoints() for s in self.sockets}
        free = [s for s in self.gone if s.endpoints() not in taken and s.rport]
        if free:
            old = free[n % len(free)]
            state = ["ESTABLISHED", "SYN_SENT", "TIME_WAIT"][n // 5 % 3] if old.proto == "tcp" else "ESTABLISHED"
            life = {"found": False, "held": set()}
            pid = self.servers[old.lport] if old.lport in self.servers else old.pid
            self.sockets.append(replace(old, state=state, cookie=self.new_cookie(), seen_uid=False, life=life,
                                        pid=pid, uid=self.uids[pid],
                                        seen_time_wait=False, rearmed_unseen=False, offload=1, offloads={1},
                                        entered_ms=self.boot_ms, timer_ms=self.boot_ms, carried=0,
                                        active_ms=self.boot_ms))

    def carry(self, n):
        socket = self.pick(n, Socket.carries)
        if socket:
            socket.carried += 1 + n
            socket.active_ms = self.boot_ms

    def unseen_origin(self, n):
        """A connection that no snapshot showed leaves a TIME_WAIT with a cookie of its own."""
        self.open("TIME_WAIT", n)
        self.event(self.sockets[-1], cookie=self.new_cookie(), n=n)

    def reconnect(self, n):
        """connect(AF_UNSPEC) and connect() elsewhere: the cookie stays, no event."""
        socket = self.pick(n, lambda s: s.rport and s.state not in ("TIME_WAIT", "SYN_RECV", "FIN_WAIT2"))
        if socket and not (socket.state == "CLOSE" and n % 3 == 0):  # its TIME_WAIT may still have that peer
            peer = socket.remote
            if n % 3:
                peer = FAMILIES[0][2] if socket.family == 4 else FAMILIES[2 if "ffff" in socket.local else 1][2]
                peer = peer.format(n % 200 + 1)
            state = "ESTABLISHED" if socket.proto == "udp" else ["SYN_SENT", "ESTABLISHED"][n % 2]
            index = self.sockets.index(socket)
            same = peer == socket.remote and state in (socket.state, "ESTABLISHED")  # nobody can tell
            self.sockets[index] = replace(socket, remote=peer, state=state, seen_uid=False,
                                          life=socket.life if same else {"found": False, "held": set()})

    def hold(self, n):
        """shutdown() without close(): what is left stays, CLOSE, beside the TIME_WAIT, with the same cookie."""
        socket = self.pick(n, lambda s: s.proto == "tcp" and s.state in ("ESTABLISHED", "FIN_WAIT1", "CLOSING"))
        if socket:
            left = replace(socket, state="CLOSE", seen_uid=False, opener=0, life={"found": False, "held": set()})
            self.become(socket, "TIME_WAIT")
            self.sockets.insert(n % (len(self.sockets) + 1), left)

    def relisten(self, n):
        socket = self.pick(n, lambda s: s.state in ("LISTEN", "CLOSE") and s.proto == "tcp" and not s.rport)
        if socket:
            self.become(socket, "CLOSE" if socket.state == "LISTEN" else "LISTEN")

    def rearm(self, n):
        socket = self.pick(n, lambda s: s.state == "TIME_WAIT")
        if socket:
            socket.timer_ms = self.boot_ms
            socket.rearmed_unseen = not socket.seen_time_wait

    def requeue(self, n):
        socket = self.pick(n, lambda s: s.state == "LISTEN")
        if socket:
            socket.queue = (n % 130, 128 + n % 2)

    def double(self, n):
        socket = self.pick(n)
        if socket:
            self.doubles.append(replace(socket))

    def is_double(self, double):
        """Whether the copy of a socket that was taken before is still that socket's: not beside a TIME_WAIT of the
        same cookie, which is another one, unless that is what it became."""
        kin = [s for s in self.sockets if s.cookie == double.cookie]
        return any(s.endpoints() == double.endpoints() and "CLOSE" not in (s.state, double.state) for s in kin) or (
            kin and "TIME_WAIT" not in [s.state for s in [*kin, double]])

    def jump_wall(self, n):
        self.wall_offset_ms += (n - 500) * 60_000

    def fail(self, n):
        """The dump of one place fails, or of all."""
        place = n % (self.places + 1)
        self.failing |= {place} if place < self.places else set(range(self.places))

    def leave(self, n):
        """A place but the own one is not recorded any more, or is again."""
        if self.places == 1:
            return
        place = 1 + n % (self.places - 1)
        for s in self.sockets:  # what is seen there next are lives of their own
            if s.place == place:
                s.life, s.seen_uid, s.seen_time_wait = {"found": False, "held": set()}, False, False
        if place in self.without:
            self.without.remove(place)
            self.commands.append(f"with {place}")
            self.last_complete[place] = None
        else:
            self.without.add(place)
            self.commands.append(f"without {place} {2 + n % 3}")

    def reboot(self, n):
        self.commands.append("crash" if n % 2 else "stop")
        self.boot += 1
        self.wall_offset_ms += self.boot_ms + (n - 500) * 1000
        self.boot_ms, self.ms_since_tick = 3000 + n, 0
        self.sockets, self.gone = [], []
        self.commands.append(self.clock())
        self.commands.append(f"start boot-{self.boot}")

    def restart(self, n):
        self.commands.append("crash" if n % 2 else "stop")
        self.pass_time(n * 50)
        self.commands.append(self.clock())
        self.commands.append(f"start boot-{self.boot}")

    # -- snapshots

    def clock(self):
        return f"clock {self.boot_ms * 1_000_000} {(self.boot_ms + self.wall_offset_ms) * 1_000_000}"

    def pass_time(self, ms):
        self.boot_ms += ms
        self.ms_since_tick = 0
        over = [s for s in self.sockets
                if s.state == "TIME_WAIT" and s.timer_ms + TIME_WAIT_MS <= self.boot_ms]
        for socket in over:
            self.sockets.remove(socket)
            self.gone.append(socket)

    def sample(self, s):
        timer, expires = (3, s.timer_ms + TIME_WAIT_MS - self.boot_ms) if s.state == "TIME_WAIT" else (0, 0)
        inode = 0 if s.state in OWNERLESS else s.cookie + 5
        opener = s.opener if s.state in ("ESTABLISHED", "CLOSE_WAIT", "FIN_WAIT1") and s.proto == "tcp" else 0
        line = (f"sample {s.proto} {s.family} {s.local} {s.lport} {s.remote} {s.rport} {s.state} {s.cookie} "
                f"{inode} {s.shown_uid()} {s.scope} {timer} {expires} {s.queue[0]} {s.queue[1]} {opener}")
        if s.carries():
            ago = self.boot_ms - s.active_ms
            line += f"\nfacts {s.carried} {2 * s.carried} 5 {60 + s.carried} {ago} {ago + 500}"
        if self.offloads and s.proto == "tcp" and s.state not in UNTOLD:
            line += f"\noffload {s.offload}"
        return line

    def load(self, n):
        """The program puts something on a connection or listener, or it falls back: MPTCP, kTLS, TCP."""
        socket = self.pick(n, lambda s: s.proto == "tcp" and s.state not in UNTOLD)
        if socket:
            socket.offload = [2, 3, 0x89, 0x92, 1][n // 5 % 5] if socket.offload != 1 else [2, 0x89][n % 2]
            socket.offloads = {*socket.offloads, socket.offload}

    def tick(self, n):
        self.pass_time(INTERVAL_MS + (n * 7000 if n > 950 else 0))
        self.commands.append(self.clock())
        doubles = [d for d in self.doubles if self.is_double(d)]
        for place in range(self.places):
            self.commands.append(f"into {place}")
            self.commands += [self.sample(s) for s in [*self.sockets, *doubles] if s.place == place]
            if place in self.failing:
                self.commands.append("fail")
        self.doubles = []
        self.find_owners()
        self.commands.append("tick")
        for s in self.sockets:
            s.life["found"] = s.life["found"] or (not self.late and s.state not in OWNERLESS and s.place not in self.without)
        self.late = False
        failing = self.failing - self.without
        shown = [replace(s) for s in self.sockets if s.place not in self.without]
        if not failing:
            self.shown.append((self.boot, self.boot_ms, self.last_complete[0], shown))
        for place in range(self.places):
            if place not in failing and len(failing) + len(self.without) < self.places:
                here = [s for s in shown if s.place == place]
                self.shown_in[place].append((self.boot, self.boot_ms, self.last_complete[place], here))
                self.last_complete[place] = (self.boot, self.boot_ms)
        for s in self.sockets:
            s.seen_uid = s.seen_uid or (s.shown_uid() >= 0 and s.place not in self.without)
            if s.state not in UNTOLD and s.place not in self.without:
                s.life["told"] = True
            if s.state == "TIME_WAIT" and s.place not in failing:
                s.seen_time_wait = True
        self.failing = set()

    def states(self, index):
        return Counter((s.proto, s.state) for s in self.shown[index][3])


STEPS = ["open:SYN_SENT", "open:SYN_RECV", "open:ESTABLISHED", "open:FIN_WAIT2", "open:CLOSE_WAIT", "open:LAST_ACK",
         "open:TIME_WAIT", "open:LISTEN", "open:CLOSE", "open:udp", "open:udp-bound", "advance", "advance", "advance",
         "vanish", "reuse_tuple", "unseen_origin", "reconnect", "hold", "relisten", "rearm", "requeue", "double",
         "jump_wall", "fail", "reboot", "restart", "connect_and_close", "connect_and_close", "lose", "restart_server", "pass_on", "delay", "carry", "carry", "tick", "tick", "tick", "tick", "tick"]


LOADS_STEPS = [*STEPS, "load", "load", "load"]  # where connections are held by something else than TCP
PLACES_STEPS = [*STEPS, "leave", "fail"]  # where there are several namespaces


def play(steps, events=False, sampling=0, places=1, names=None):
    """The kernel after steps of (index into STEPS, number)."""
    kernel = Kernel(events, places)
    kernel.offloads = names is not None
    kernel.commands.append(f"namespaces {places}")
    if events:
        kernel.commands.append("events")
    kernel.commands.append(f"sampling {sampling}")
    kernel.commands.append(kernel.clock())
    kernel.commands.append("start boot-1")
    for step, n in steps:
        name, _, kind = (names or PLACES_STEPS)[step].partition(":")
        getattr(kernel, name)(*([kind] if kind else []), n)
    kernel.tick(0)
    return kernel
