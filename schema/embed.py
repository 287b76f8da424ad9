#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes the migrations as C: embed.py OUTPUT.c 0001-NAME.sql 0002-NAME.sql ...

As arrays of bytes, because string literals beyond 4,095 bytes are not portable. The comments stay:
SQLite keeps them in sqlite_schema, where people read them.
"""
import os
import re
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


def main():
    output, *paths = sys.argv[1:]
    migrations = [read(path, number) for number, path in enumerate(paths, 1)]
    parts = ["/* Made by schema/embed.py from the migrations. */\n", '#include "schema.h"\n\n']
    parts += [array(number, text) + "\n" for number, (_, text) in enumerate(migrations, 1)]
    parts.append("const struct migration schema_migrations[] = {\n")
    parts += [f'    {{"{name}", sql_{number:04d}}},\n' for number, (name, _) in enumerate(migrations, 1)]
    parts.append("};\n\n")
    parts.append("const int schema_migrations_n = sizeof(schema_migrations) / sizeof(schema_migrations[0]);\n")
    with open(output, "w", encoding="ascii") as file:
        file.write("".join(parts))


if __name__ == "__main__":
    main()
