#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes the migrations as C: embed.py OUTPUT.c 0001-NAME.sql 0002-NAME.sql ...

As arrays of bytes, because string literals beyond 4,095 bytes are not portable. The comments stay:
SQLite keeps them in sqlite_schema, where people read them.
"""
import os
import re
import sqlite3
import sys


def read(path, number):
    name = os.path.basename(path)
    if not re.fullmatch(r"%04d-[a-z0-9-]+\.sql" % number, name):
        sys.exit(f"embed.py: {path}: expected %04d-NAME.sql: migrations are numbered without gaps" % number)
    with open(path, "rb") as file:
        text = file.read()
    for line_number, line in enumerate(text.split(b"\n"), 1):
        if any(byte > 126 or (byte < 32 and byte != 9) for byte in line):
            sys.exit(f"embed.py: {path}:{line_number}: only printable ASCII may stand in a migration")
    return name[: -len(".sql")], text


def array(number, text):
    rows = [text[i : i + 20] for i in range(0, len(text), 20)]
    body = "".join("    " + " ".join(f"{byte}," for byte in row) + "\n" for row in rows)
    return f"static const char sql_{number:04d}[] = {{\n{body}    0,\n}};\n"


def parts(migrations):
    """What each edition has: {(table or view, column or None): (first edition, last edition)}."""
    if sqlite3.sqlite_version_info < (3, 37):
        sys.exit(f"embed.py: Python's SQLite is {sqlite3.sqlite_version}: the migrations need 3.37 or newer")
    database, found = sqlite3.connect(":memory:"), {}
    for edition, (_, text) in enumerate(migrations, 1):
        database.executescript(text.decode("ascii"))
        columns = database.execute("SELECT m.name, c.name FROM sqlite_schema AS m, pragma_table_xinfo(m.name) AS c"
                                   " WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite!_%' ESCAPE '!'").fetchall()
        views = database.execute("SELECT name, NULL FROM sqlite_schema WHERE type = 'view'").fetchall()
        for part in columns + views:
            first, last = found.get(part, (edition, edition))
            if last < edition - 1:
                sys.exit(f"embed.py: {part} went and came again: it has two spans of editions")
            found[part] = first, edition
    return found


def part_row(part, editions):
    name, column = part
    quoted = f'"{column}"' if column else "NULL"
    return f'    {{"{name}", {quoted}, {editions[0]}, {editions[1]}}},\n'


def main():
    output, *paths = sys.argv[1:]
    migrations = [read(path, number) for number, path in enumerate(paths, 1)]
    made = ["/* Made by schema/embed.py from the migrations. */\n", '#include "schema.h"\n\n#include <stddef.h>\n\n']
    made += [array(number, text) + "\n" for number, (_, text) in enumerate(migrations, 1)]
    made.append("const struct migration schema_migrations[] = {\n")
    made += [f'    {{"{name}", sql_{number:04d}}},\n' for number, (name, _) in enumerate(migrations, 1)]
    made.append("};\n\n")
    made.append("const int schema_migrations_n = sizeof(schema_migrations) / sizeof(schema_migrations[0]);\n\n")
    made.append("const struct schema_part schema_parts[] = {\n")
    made += [part_row(part, editions) for part, editions in parts(migrations).items()]
    made.append("};\n\n")
    made.append("const int schema_parts_n = sizeof(schema_parts) / sizeof(schema_parts[0]);\n")
    with open(output, "w", encoding="ascii") as file:
        file.write("".join(made))


if __name__ == "__main__":
    main()
