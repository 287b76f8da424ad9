#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""bench_events.py TRAFFIC BARE_EVENTS CONNHISTD [COUNT [PER-SECOND]]: the recorder's CPU for each short connection
beside the bare receiving of the same events, and what such a connection takes on disk. Beside it, too, the floor
under any recorder of this kind: receiving, the kernel's dumps thrown away, and SQLite copying the finished rows."""
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SKIPPED = 77
INTERVAL = 10  # s
SIZE = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
SERVER, CLIENT = "connhist-bench-server", "connhist-bench-client"


def ip(*args):
    subprocess.run(["ip", *args], check=True)


def make_namespaces():
    ip("netns", "add", SERVER)
    ip("netns", "add", CLIENT)
    ip("-n", SERVER, "link", "add", "veth0", "type", "veth", "peer", "name", "veth0", "netns", CLIENT)
    for netns, host in (SERVER, 1), (CLIENT, 2):
        ip("-n", netns, "address", "add", f"10.9.0.{host}/24", "dev", "veth0")
        ip("-n", netns, "address", "add", f"fd09::{host}/64", "dev", "veth0", "nodad")
        ip("-n", netns, "link", "set", "veth0", "up")
        ip("-n", netns, "link", "set", "lo", "up")


def cpu_ms(pid):
    """Of all threads, to 10 us."""
    ns = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        ns += int((task / "schedstat").read_text().split()[0])
    return ns / 1e6


def ask(db, sql):
    return int(subprocess.run(["sqlite3", f"file:{db}?mode=ro", sql], check=True, text=True,
                              capture_output=True).stdout)


def tell(name, value, unit, budget=None):
    print(f"{name}: {value:.2f} {unit}" + (f" (budget: {budget})" if budget else ""), flush=True)


def copying_ms(db, folder):
    """What SQLite alone takes to write the rows of `closed` once more, in their order, in one transaction."""
    with sqlite3.connect(f"file:{db}?mode=ro", uri=True, isolation_level=None) as copy:
        copy.execute("ATTACH ? AS bare", (f"{folder}/bare.db",))
        copy.execute("PRAGMA bare.journal_mode = wal")
        copy.execute("PRAGMA bare.synchronous = normal")
        made = copy.execute("SELECT sql FROM main.sqlite_master WHERE name = 'closed'").fetchone()[0]
        copy.execute(made.replace("TABLE ", "TABLE bare.", 1))
        before = time.process_time()
        # with a condition: else it copies the records as they are, byte by byte
        copy.execute("INSERT INTO bare.closed SELECT * FROM main.closed WHERE key > 0")
        return (time.process_time() - before) * 1000


def measure(traffic, bare_events, connhistd, folder, count, per_second):
    db = folder / "connhist.db"
    inside = ["ip", "netns", "exec", SERVER]
    bare = subprocess.Popen([*inside, bare_events, str(INTERVAL)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    own_only = folder / "own.yaml"
    own_only.write_text("namespaces: {include: []}\n")
    recorder = subprocess.Popen([*inside, connhistd, "--config", own_only, "--db", db, "--interval", f"{INTERVAL}s"],
                                stderr=subprocess.DEVNULL)
    time.sleep(INTERVAL + 1)
    idle_ms, size = cpu_ms(recorder.pid), ask(db, SIZE)
    done = subprocess.run([traffic, f"/run/netns/{SERVER}", f"/run/netns/{CLIENT}", str(count), str(per_second)],
                          check=True, text=True, stdout=subprocess.PIPE)
    took = int(done.stdout.split()[-1])
    time.sleep(2 * INTERVAL + 1)
    ours = cpu_ms(recorder.pid) - idle_ms
    events, theirs, losses, dumps = bare.communicate("")[0].split()
    rows = ask(db, "SELECT count(*) FROM closed")
    size = ask(db, SIZE) - size
    recorder.terminate()
    recorder.wait()
    floor = float(theirs) + float(dumps) + copying_ms(db, folder)
    tell("connections made in a second", count / took * 1000, "")
    tell("recorded of 1", rows / count, "")
    tell("lost by the bare receiver", float(losses), "times")
    tell("bare receiving, CPU for each", float(theirs) * 1000 / int(events), "us")
    tell("recorder, CPU for each", ours * 1000 / count, "us")
    tell("recorder / bare receiving", ours / float(theirs), "x", "2")
    tell("floor: receiving, dumps, copying the rows", floor * 1000 / count, "us")
    tell("recorder / floor", ours / floor, "x")
    tell("on disk, each, all in", size / rows, "bytes", "60")


def main(traffic, bare_events, connhistd, count="20000", per_second="2000"):
    if os.geteuid():
        sys.exit(SKIPPED)
    with tempfile.TemporaryDirectory() as folder:
        try:
            make_namespaces()
            measure(traffic, bare_events, connhistd, Path(folder), int(count), int(per_second))
        finally:
            for netns in SERVER, CLIENT:
                subprocess.run(["ip", "netns", "del", netns], check=False)


main(*sys.argv[1:])
