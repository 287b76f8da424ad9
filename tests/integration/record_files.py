# SPDX-License-Identifier: MIT
"""What tests of the file share: sockets that come and go, and what must hold of any file that was recorded."""
import sqlite3

from conftest import query

# Holds one connection for ever and N others, which it replaces as fast as told: lines "churn N PAUSE" and "rest".
TRAFFIC = """
import resource, select, socket, struct, sys, time
most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
listener = socket.create_server(("127.0.0.1", 8080), backlog=4096)
def pair():
    client = socket.create_connection(("127.0.0.1", 8080))
    return client, listener.accept()[0]
def reset(ends):
    for end in ends:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        end.close()
lasting, others, wanted, pause = pair(), [], 0, 0.0
print(lasting[0].getsockname()[1])
while True:
    if select.select([sys.stdin], [], [], pause if wanted else None)[0]:
        words = sys.stdin.readline().split()
        if not words:
            break
        wanted, pause = (int(words[1]), float(words[2])) if words[0] == "churn" else (0, 0.0)
        print("done")
    for n in range(min(wanted, 50)):
        others.append(pair())
        if len(others) > wanted:
            ends = others.pop(0)
            if n % 8:
                reset(ends)
            else:
                for end in ends:
                    end.close()
"""


class Traffic:
    """Connections to 127.0.0.1:8080 inside a namespace; `port` is the lasting one's at its client."""

    def __init__(self, netns):
        self.process = netns.python(TRAFFIC)
        self.port = int(self.process.stdout.readline())

    def tell(self, words):
        self.process.stdin.write(words + "\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "done\n"

    def churn(self, connections, pause=0.01):
        self.tell(f"churn {connections} {pause}")

    def rest(self):
        self.tell("rest")

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


def hold_whole(path):
    """SQLite finds nothing wrong with the file."""
    assert query(path, "PRAGMA integrity_check") == [("ok",)]


def hold_exact(path):
    """As of each complete snapshot the file has as many sockets alive, and counted by state, as came in."""
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)
    database.execute("BEGIN")
    snapshots = database.execute("SELECT start_ms, sockets - unkept, anchor FROM snapshots WHERE status = 0"
                                 " ORDER BY start_ms").fetchall()
    alive = database.execute("SELECT since_ms, ended_ms FROM lives").fetchall()
    changes = {}
    for service, state, at, number in database.execute("SELECT service, state, at_ms, count FROM tallies"):
        changes.setdefault(at, []).append((service, state, number))
    database.close()
    assert snapshots and snapshots[0][2], "the first snapshot has all counts"
    counts = {}
    for start, sockets, anchor in snapshots:
        there = sum(1 for since, ended in alive if since <= start and (ended is None or ended > start))
        assert there == sockets, f"as of {start} {there} sockets instead of {sockets}"
        if anchor:
            counts = {}
        counts.update({(service, state): number for service, state, number in changes.get(start, [])})
        assert sum(counts.values()) == sockets, f"at {start} tallies have {sum(counts.values())} of {sockets}"


def hold_lasting(path, port):
    """The connection that was there all the time is one life at each end, still open."""
    ends = query(path, "SELECT local_port, remote_port, closed_ms FROM sockets"
                       " WHERE (local_port = ?1 AND remote_port = 8080) OR (local_port = 8080 AND remote_port = ?1)"
                       " ORDER BY local_port", port)
    assert ends == sorted([(8080, port, None), (port, 8080, None)])


def table(path):
    """The TCP sockets that the file holds as open."""
    return sorted(query(path, "SELECT state, local_address, local_port, remote_address, remote_port FROM sockets"
                              " WHERE closed_ms IS NULL AND protocol = 'tcp'"))


def ss_table(netns):
    """The same as ss has it."""
    names = {"ESTAB": "ESTABLISHED"}
    rows = []
    for line in netns.run("ss", "-4Htan").stdout.splitlines():
        state, _, _, local, remote = line.split()[:5]
        ends = [end.rpartition(":") for end in (local, remote)]
        rows.append((names.get(state, state.replace("-", "_")), *(
            value for address, _, port in ends for value in (address, 0 if port == "*" else int(port)))))
    return sorted(rows)
