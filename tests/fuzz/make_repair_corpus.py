#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Makes corpus/repair: small files with some of our tables, whole, cut, and damaged where it matters.
Run: make_repair_corpus.py FOLDER-OF-CORPORA
"""
import pathlib
import random
import re
import shutil
import sqlite3
import struct
import sys
import tempfile

TABLES = ("boots", "recordings", "epochs", "snapshots", "netns", "services", "processes", "owners", "closed", "open",
          "holders", "queues", "tallies", "program", "tiers", "losses", "cover_rollups", "counter_names")
SIZE = 512  # bytes of a page
T0 = 1_700_000_000_000


def schema():
    """The tables, without comments and views: a file shall be small."""
    folder = pathlib.Path(__file__).resolve().parents[2] / "schema"
    text = "".join(re.sub(r"--.*", "", path.read_text()) for path in sorted(folder.glob("*.sql")))
    for statement in re.split(r";\s*\n", text):
        statement = re.sub(r"\s+", " ", statement).strip()
        words = statement.split()
        if words[:2] in (["CREATE", "TABLE"], ["ALTER", "TABLE"], ["INSERT", "INTO"]) and words[2] in TABLES:
            yield statement


def fill(database):
    dice = random.Random(1)
    run = database.execute
    run("INSERT INTO boots VALUES (1, 'some-boot', ?)", (T0 - 1000,))
    run("INSERT INTO recordings (id, boot, started_ms, interval_ms, detail, version, pid, uid)"
        " VALUES (1, 1, ?, 10000, 'on', '0.1', 77, 0)", (T0,))
    run("INSERT INTO epochs VALUES (0, 0)")
    run("INSERT INTO netns (id, inode, name, boot) VALUES (1, 4026531840, '', 1)")
    run("INSERT INTO services VALUES (1, 1, 6, 1, 80), (2, 1, 17, 2, 53)")
    for i in range(12):
        at = T0 + 10_000 * i
        run("INSERT INTO snapshots (start_ms, recording, status, anchor, sockets, took_us, doubles, unkept)"
            " VALUES (?, 1, 0, ?, ?, 100, 0, 0)", (at, i == 0, 2 + i))
        run("INSERT INTO tallies VALUES (1, 1, ?, ?)", (at, 2 + i))
        run("INSERT INTO processes VALUES (?, 1, ?, ?)", (i + 1, 500 + i, T0 + i))
        run("INSERT INTO owners VALUES (?, 1000, ?, NULL, NULL)", (i + 1, i + 1))
        run("INSERT INTO queues VALUES (1, ?, ?, 128)", (at, i))
        run("INSERT INTO holders VALUES (1, ?)", (i + 1,))
        duration = dice.choice([0, 5, 1000])
        run("INSERT INTO closed (key, service, local, remote, duration_ms, late_ms, traits, states, remote_port)"
            " VALUES (?, 1, 1, ?, ?, 0, 1, x'01', 99)",
            (duration.bit_length() << 58 | at << 16 | i, dice.choice([77, dice.randbytes(16)]), duration))
    run("INSERT INTO open (life, cookie, inode, service, local, remote, since_ms, traits, states)"
        " VALUES (1, -5, 9, 1, 1, x'00', ?, 10, ?)", (T0, b"\x0a" + b"\x01\x01" * 300))  # goes on in other pages
    run("UPDATE program SET next_life = 9, last_ms = ?", (T0 + 200_000,))
    run("INSERT INTO losses VALUES (1, ?, ?, 1, 3, 'asleep')", (T0, T0 + 5))


def make(path, vacuum=True):
    database = sqlite3.connect(path, isolation_level=None)
    database.execute(f"PRAGMA page_size = {SIZE}")
    database.execute(f"PRAGMA auto_vacuum = {2 if vacuum else 0}")
    for statement in schema():
        database.execute(statement)
    database.execute(f"PRAGMA application_id = {0x636e6873}")
    database.execute("PRAGMA user_version = 4")
    fill(database)
    return database


def packed(data, wal=b""):
    return struct.pack(">I", len(data)) + data + wal


def without(data, *pages, content=bytes(SIZE)):
    for page in pages:
        data = data[:(page - 1) * SIZE] + content + data[page * SIZE:]
    return data


def corpus(folder):
    path = folder / "made.db"
    make(path).close()
    data = path.read_bytes()
    dice = random.Random(2)
    yield "whole", packed(data)
    yield "cut", packed(data[:len(data) * 2 // 3 + 100])
    yield "short", packed(data[:700])
    yield "no-first", packed(without(data, 1))
    yield "no-map", packed(without(data, 2))
    yield "no-first-no-map", packed(without(data, 1, 2))
    yield "noise", packed(without(data, *dice.sample(range(1, len(data) // SIZE), 12), content=dice.randbytes(SIZE)))
    ring = b"".join(b"\5" + struct.pack(">I", 3 + (i + 1) % 100) for i in range(SIZE // 5))
    yield "ring-of-parents", packed(without(data, 2, content=ring.ljust(SIZE, b"\0")))
    yield "wild-length", packed(data[:28] + b"\xff\xff\xff\x00" + data[32:92] + data[24:28] + data[96:])
    path = folder / "plain.db"
    database = make(path, vacuum=False)
    database.execute("DELETE FROM queues")
    database.close()
    yield "plain-with-free-pages", packed(without(path.read_bytes(), 1))
    path = folder / "log.db"
    database = make(path)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("UPDATE snapshots SET took_us = 5")
    database.execute("DELETE FROM queues")
    data, wal = path.read_bytes(), pathlib.Path(f"{path}-wal").read_bytes()
    database.close()
    yield "wal", packed(data, wal)
    yield "wal-cut", packed(without(data, 1), wal[:-700])


def main():
    folder = pathlib.Path(sys.argv[1]) / "repair"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as scratch:
        for name, content in corpus(pathlib.Path(scratch)):
            (folder / name).write_bytes(content)


if __name__ == "__main__":
    main()
