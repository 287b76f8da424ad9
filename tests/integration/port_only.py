# SPDX-License-Identifier: MIT
"""Runs in a pid and network namespace of its own: what is port 80, and what only has an 80 in it."""
import json
import os
import signal
import socket
import subprocess
import sys
import time

CONNHIST, CONNHISTD, PATH = sys.argv[1:]
TRIES = 50


def pair(port, address="127.0.0.1", peer="127.0.0.1"):
    """A listener, and a connection to it from the address of the peer."""
    listener = socket.create_server((address, port))
    client = socket.socket()
    client.bind((peer, 0))
    client.connect((address, port))
    return [listener, client, listener.accept()[0]]


def in_child(make):
    """Forks a process that holds what make() gives; its pid."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        kept = make()
        os.write(write, b"%d" % len(kept))
        signal.pause()
    os.close(write)
    ready = os.read(read, 8)
    os.close(read)
    if not ready:
        sys.exit("a holder of sockets failed")
    return pid


def end(pid):
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def bystander():
    """Pid, user, name, addresses and neighbours of 80 in all of its sockets, and port 80 in none."""
    with open("/proc/self/comm", "w", encoding="ascii") as comm:
        comm.write("80")
    os.seteuid(80)
    return pair(4242, "127.0.0.80", "127.0.0.80") + pair(8080) + pair(1180) + pair(8000)


def as_pid_80():
    """Forks give the next free pid after ns_last_pid."""
    for _ in range(TRIES):
        with open("/proc/sys/kernel/ns_last_pid", "w", encoding="ascii") as last:
            last.write("79")
        pid = in_child(bystander)
        if pid == 80:
            return pid
        end(pid)
    sys.exit("pid 80 was not given")


def run(*args):
    return subprocess.run(args, check=True, capture_output=True, text=True).stdout


def ask(*words):
    return json.loads(run(CONNHIST, "--db", PATH, *words, "--format", "json"))["rows"]


record = [CONNHISTD, "--db", PATH, "--once", "--log-level", "error", "--config", PATH + ".yaml"]
with open(PATH + ".yaml", "w", encoding="ascii") as config:
    config.write("namespaces: {include: []}\n")
run(*record)
began = f"@{time.time():.3f}"
holders = [as_pid_80(), in_child(lambda: pair(80) + pair(80, "127.0.0.80", "127.0.0.80"))]
run(*record)
words = ["netstat", "-ano"]
answer = {"ss": run("ss", "-Htan", "sport = :80 or dport = :80"), "holder": holders[1], "all": ask(*words),
          "text": run(CONNHIST, *words, "-p", "tcp"),
          "netstat": ask(*words, "--port", "80"), "at": ask(*words, "--port", "80", "--at", "now"),
          "diff": ask("diff", "--from", began, "--to", "now", "--port", "80"),
          "list": ask("list", "--port", "80"), "who": ask("who", "--port", "80")}
for holder in holders:
    end(holder)
print(json.dumps(answer))
