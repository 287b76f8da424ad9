# SPDX-License-Identifier: MIT
"""The rows of a database file by the page that they stand on, read by the format that SQLite documents
(https://www.sqlite.org/fileformat2.html). Which page belongs to which table is SQLite's own word (dbstat)."""
import sqlite3
import struct

SIZES = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}


def number(data, at):
    value = 0
    for i in range(9):
        byte = data[at + i]
        if i == 8:
            return value << 8 | byte, at + 9
        value = value << 7 | byte & 127
        if byte < 128:
            return value, at + i + 1
    raise AssertionError


def row(data, at, end):
    """The values of a record."""
    head, place = number(data, at)
    body, values = at + head, []
    while place < at + head:
        kind, place = number(data, place)
        if kind in SIZES:
            values.append(int.from_bytes(data[body:body + SIZES[kind]], "big", signed=True))
            body += SIZES[kind]
        elif kind in (8, 9):
            values.append(kind - 8)
        elif kind == 7:
            values.append(struct.unpack(">d", data[body:body + 8])[0])
            body += 8
        elif kind >= 12:
            size = (kind - 12) // 2
            values.append(bytes(data[body:body + size]))
            body += size
        else:
            values.append(None)
    assert body == end
    return tuple(values)


def rows_of(page):
    """[(rowid or None, values)]; rows that go on in other pages have no values."""
    kind, cells = page[0], int.from_bytes(page[3:5], "big")
    rows = []
    for i in range(cells):
        first = (8 if kind in (10, 13) else 12) + 2 * i
        at = int.from_bytes(page[first:first + 2], "big")
        at += 4 if kind == 2 else 0
        size, at = number(page, at)
        rowid = None
        if kind == 13:
            rowid, at = number(page, at)
        most = len(page) - 35 if kind == 13 else (len(page) - 12) * 64 // 255 - 23
        rows.append((rowid, row(page, at, at + size) if size <= most else None))
    return rows


def tables(path):
    """{page number: (table, rows)} of the pages that have rows of a table; checkpointed files alone."""
    database = sqlite3.connect(path)
    try:
        assert database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
        size = database.execute("PRAGMA page_size").fetchone()[0]
        names = {name for name, in database.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
        stat = database.execute("SELECT name, pageno FROM dbstat WHERE pagetype <> 'overflow'").fetchall()
    finally:
        database.close()
    data = path.read_bytes()
    found = {}
    for name, page in stat:
        content = data[(page - 1) * size:page * size]
        if name in names and page > 1 and content[0] != 5:
            found[page] = (name, rows_of(content))
    return found, size, len(data) // size
