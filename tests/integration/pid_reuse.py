# SPDX-License-Identifier: MIT
"""Runs in a pid namespace of its own: gives a pid to two processes one after the other while connhistd records."""
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time

CONNHISTD, PATH = sys.argv[1:]
PATIENCE_S, TRIES = 60, 50
SERVER = """
import os, signal, socket, sys
with open("/proc/self/comm", "w") as comm: comm.write(sys.argv[1])
listener = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(listener.getsockname())
taken = listener.accept()[0]
heir = 0
if sys.argv[2] == "fork":
    heir = os.fork()
    if heir == 0:
        with open("/proc/self/comm", "w") as comm: comm.write(sys.argv[1] + "-heir")
        os.setsid(); signal.pause()
print(listener.getsockname()[1], client.getsockname()[1], heir, flush=True)
signal.pause()
"""


def start(name, how):
    process = subprocess.Popen([sys.executable, "-c", SERVER, name, how], stdout=subprocess.PIPE, text=True)
    port, peer, heir = map(int, process.stdout.readline().split())
    return process, (port, peer), heir


def start_as(pid, name):
    """A process with this very pid: forks give the next free one after ns_last_pid."""
    for _ in range(TRIES):
        with open("/proc/sys/kernel/ns_last_pid", "w", encoding="ascii") as last:
            last.write(str(pid - 1))
        process, ports, _ = start(name, "stay")
        if process.pid == pid:
            return process, ports
        process.kill()
        process.wait()
    sys.exit(f"pid {pid} was not given again")


def rows(ports):
    """Of this namespace: others on the machine may use the same ports."""
    database = sqlite3.connect(f"file:{PATH}?mode=ro", uri=True, timeout=30)
    try:
        return database.execute("SELECT pid, process, local_port, closed_ms FROM sockets WHERE netns = ''"
                                " AND local_port IN (?, ?)", ports).fetchall()
    except sqlite3.OperationalError:
        return []
    finally:
        database.close()


def wait_for(what):
    end = time.monotonic() + PATIENCE_S
    while not what() and time.monotonic() < end:
        time.sleep(0.05)
    return what()


def owned(ports, pid, name):
    """The listener and both ends of its connection, once each."""
    found = rows(ports)
    return len(found) >= 3 and all(row[:2] == (pid, name) for row in found)


recorder = subprocess.Popen([CONNHISTD, "--db", PATH, "--interval", "100ms", "--log-level", "error"])
wait_for(lambda: os.path.exists(PATH))
first, own, _ = start("first", "stay")
seen = wait_for(lambda: owned(own, first.pid, "first"))
first.kill()
first.wait()
second, reused = start_as(first.pid, "second")
seen_second = wait_for(lambda: owned(reused, first.pid, "second"))
parent, passed, heir = start("third", "fork")
seen_third = wait_for(lambda: owned(passed, parent.pid, "third"))
parent.kill()
parent.wait()
fourth, last = start_as(parent.pid, "fourth")
seen_fourth = wait_for(lambda: owned(last, parent.pid, "fourth"))
seen_heir = wait_for(lambda: owned(passed, heir, "third-heir"))
answer = {"seen": [seen, seen_second, seen_third, seen_fourth, seen_heir],
          "pids": [first.pid, second.pid, parent.pid, fourth.pid, heir],
          "rows": {name: rows(ports) for name, ports in
                   (("first", own), ("second", reused), ("third", passed), ("fourth", last))}}
database = sqlite3.connect(f"file:{PATH}?mode=ro", uri=True, timeout=30)
answer["owners"] = database.execute("SELECT local_port, pid, process FROM socket_owners WHERE netns = ''").fetchall()
answer["ports"] = {"first": own, "second": reused, "third": passed, "fourth": last}
database.close()
os.kill(heir, signal.SIGKILL)
for process in (second, fourth, recorder):
    process.terminate()
    process.wait()
print(json.dumps(answer))
