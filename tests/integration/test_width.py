# SPDX-License-Identifier: MIT
"""Tables keep within the terminal, say what they left out for it, and leave nothing out of a pipe."""
import fcntl
import os
import pty
import re
import struct
import subprocess
import termios

import pytest

from conftest import CONNHIST, PATIENCE, connhist, query

# The program's path is long, its ports are, too.
SOCKETS = """
import socket, sys
kept = []
for port in (80, 44380, 54321):
    listener = socket.create_server(("127.0.0.1", port))
    kept += [listener, socket.create_connection(("127.0.0.1", port)), listener.accept()[0]]
print("ready", flush=True)
sys.stdin.read()
"""
LINKS = """
link add very-long-eth0 type veth peer name v1
link set very-long-eth0 up
address add 198.51.100.102/24 dev very-long-eth0
route add default via 198.51.100.101 dev very-long-eth0 metric 1000 proto static
route add 203.0.113.128/25 via 198.51.100.101 dev very-long-eth0 src 198.51.100.102 metric 4000000000 onlink
route add unreachable 192.0.2.0/24
"""


@pytest.fixture
def host(netns, record):
    for line in LINKS.strip().splitlines():
        netns.run("ip", *line.split())
    recorder = record(netns, "--interval", "200ms")
    recorder.wait_snapshots(2)
    process = netns.python(SOCKETS)
    assert process.stdout.readline() == "ready\n"
    recorder.wait_snapshots(2)
    recorder.stop()
    yield netns
    process.stdin.close()
    process.wait(60)


def on_terminal(command, columns):
    """What a program writes to stdout, a terminal of that many columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=theirs, stderr=subprocess.DEVNULL,
                               env={**os.environ, "TERM": "xterm", "LC_ALL": "C.UTF-8"})
    os.close(theirs)
    shown = b""
    while True:
        try:
            chunk = os.read(ours, 65536)
        except OSError:  # the terminal's other end is closed
            chunk = b""
        if not chunk:
            break
        shown += chunk
    os.close(ours)
    assert process.wait(PATIENCE) == 0
    return shown.decode().replace("\r", "").splitlines()


# Each with the columns that a table without them would be useless for.
TABLES = [
    (["who", "--port", "80"], "FROM UNTIL LOCAL PROCESS PID"),
    (["netstat", "-an"], "PROTO LOCAL REMOTE STATE"),
    (["netstat", "-anob"], "PROTO LOCAL REMOTE STATE PID PROGRAM"),
    (["netstat", "-anotbf"], "PROTO LOCAL REMOTE STATE PID PROGRAM OFFLOAD"),
    (["netstat", "-ln"], "PROTO LOCAL REMOTE STATE"),
    (["netstat", "-an", "--at", "now"], "PROTO LOCAL REMOTE STATE"),
    (["netstat", "-e"], "STATISTIC RECEIVED SENT"),
    (["netstat", "-e", "--by", "interface"], "INTERFACE TRAFFIC BYTES PACKETS DISCARDS ERRORS"),
    (["netstat", "-e", "--by", "interface", "--at", "now"], "INTERFACE TRAFFIC BYTES PACKETS DISCARDS ERRORS"),
    (["netstat", "-rn"], "DESTINATION TYPE GATEWAY INTERFACE"),
    (["netstat", "-rna"], "TABLE DESTINATION TYPE GATEWAY INTERFACE"),
    (["netstat", "-rn", "--at", "now"], "DESTINATION TYPE GATEWAY INTERFACE"),
    (["netstat", "-s"], "COUNTER VALUE"),
    (["list"], "PROTO LOCAL REMOTE STATE PROCESS"),
    (["list", "--open", "--port", "80"], "PROTO LOCAL REMOTE STATE PROCESS"),
    (["report", "--format", "table", "--by", "process"], "TIME PROCESS MAX LAST"),
    (["diff", "--listen", "--from", "FIRST"], "CHANGE PROTO LOCAL REMOTE STATE PROCESS"),
]


def table_of(lines, words):
    """The lines of a table: up to what stands below it."""
    first = next(i for i, line in enumerate(lines) if set(words) <= set(line.split()))
    end = next((i for i, line in enumerate(lines) if i > first and line.startswith(("No room", "coverage"))), len(lines))
    return lines[first:end]


# How narrow a terminal may be for all its tables; what asks for more columns has its own bound.
LEAST = {"netstat -an": 40, "netstat -ln": 40, "netstat -an --at now": 40, "netstat -s": 40, "netstat -e": 40, "netstat -rn": 40,
         "netstat -rn --at now": 40, "netstat -anob": 60, "netstat -anotbf": 80}


@pytest.mark.parametrize("columns", [40, 60, 80, 200])
def test_tables_keep_within_the_terminal(host, db, columns):
    first = f"@{query(db, 'SELECT min(start_ms) FROM snapshots')[0][0] / 1000:.3f}"
    for args, wanted in TABLES:
        look_at(host, db, columns, [first if word == "FIRST" else word for word in args], wanted)


def look_at(host, db, columns, args, wanted):
    lines = on_terminal(host.command(CONNHIST, "--db", db, "--color", "never", *args), columns)
    table, whole = (table_of(text, wanted.split()) for text in (
        lines, connhist("--db", db, *args, netns=host).stdout.splitlines()))
    # What stands above and beneath the table, too: coverage, for one.
    if columns >= LEAST.get(" ".join(args), 60):
        assert max(map(len, lines)) <= columns, "\n".join(lines)
    assert len(whole) == len(table) or args[0] == "report"  # its steps depend on when it is asked
    assert set(wanted.split()) <= set(table[0].split())
    # What a pipe gets and the terminal lacks is told, unless it is empty.
    told = " ".join(lines).partition("No room here for ")[2]
    for word in re.finditer(r"\S+", whole[0]):
        if word.group() not in table[0].split() and word.group() not in told:
            assert {line[word.start():word.end()].strip() for line in whole[1:]} <= {"-", ""}, word
    if columns == 200:
        assert not told and table[0].split() == whole[0].split()


def test_where_there_is_little_room_ports_stay(host):
    """Each socket has a row of its own, in which both ports, or both their ends, can still be read."""
    lines = on_terminal(host.command(CONNHIST, "--color", "never", "netstat", "-anp", "tcp"), 40)
    rows = [line.split() for line in table_of(lines, ["LOCAL", "REMOTE"])[1:]]
    found = sorted((re.search(r"\d+$", row[1]).group(), re.search(r"(\d+|\*)$", row[2]).group()) for row in rows)
    ss = [line.split() for line in host.run("ss", "-Htan").stdout.splitlines()]
    assert found == sorted(tuple(end.rpartition(":")[2] for end in row[3:5]) for row in ss)
    assert {row[3] for row in rows} == {"LISTEN", "ESTA\u2026HED"}


def test_a_pipe_is_not_cut(host, db):
    text = connhist("--db", db, "netstat", "-anob", netns=host, env={**os.environ, "COLUMNS": "40"}).stdout
    path = os.path.realpath("/usr/bin/python3")
    assert text.count(path) == 9 and "SEND-Q" in text and "No room" not in text
