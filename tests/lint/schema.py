#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The migrations: numbered without holes, ASCII, each column told in a comment and in connhist-schema(5)."""
import re
import sqlite3

from lint import ROOT, Findings, files

COLUMN = re.compile(r"^    ([a-z_]+)\s+(?:INTEGER|TEXT|BLOB|REAL|ANY)\b")
TABLE = re.compile(r"^CREATE (TABLE|VIEW) (\w+)")


def told_elsewhere(database, table):
    """Columns of `closed` are those of `open` where the names are the same; comments stand there."""
    return {row[1] for row in database.execute("PRAGMA table_info(open)")} if table == "closed" else set()


def check_file(findings, path, database):
    table, before = "", ""
    text = path.read_text()
    for number, line in enumerate(text.splitlines(), 1):
        findings.checked += 1
        if not line.isascii():
            findings.add(path, number, "not ASCII: " + ascii(line.strip()))
        if match := TABLE.match(line):
            table = match.group(2)
            if "--" not in line and not before.startswith("--"):
                findings.add(path, number, f"{table} has no comment")
        elif (match := COLUMN.match(line)) and table:
            commented = "--" in line or before.strip().startswith("--")
            if not commented and match.group(1) not in told_elsewhere(database, table):
                findings.add(path, number, f"{table}.{match.group(1)} has no comment")
        before = line


def check_page(findings, database):
    """Every table, view and column stands in the man page."""
    page = ROOT / "man" / "connhist-schema.5"
    if not page.exists():
        findings.add(page, 0, "does not exist")
        return
    sections = {}
    for part in re.split(r"^\.Ss ", page.read_text(), flags=re.M)[1:]:
        title, _, body = part.partition("\n")
        sections[title.split()[0]] = re.split(r"^\.Sh ", body, flags=re.M)[0]
    for (table,) in database.execute(
            "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%'"):
        if table not in sections:
            findings.add(page, 0, f"has no subsection on {table}")
            continue
        words = set(re.findall(r"^\.It (.*)$", sections[table], re.M))
        named = {word for line in words for word in re.findall(r"\b[a-z_]+\b", line)}
        for row in database.execute(f"PRAGMA table_xinfo({table})"):
            findings.checked += 1
            if row[1] not in named:
                findings.add(page, 0, f"{table}.{row[1]} is not described")
        columns = {row[1] for row in database.execute(f"PRAGMA table_xinfo({table})")}
        for word in sorted(named - columns):
            findings.add(page, 0, f"{table} has no column {word}")


def main():
    findings = Findings()
    migrations = files("schema/*.sql")
    database = sqlite3.connect(":memory:")
    for number, path in enumerate(migrations, 1):
        if not re.fullmatch(rf"{number:04}-[a-z0-9-]+\.sql", path.name):
            findings.add(path, 0, f"should be number {number:04}, without holes, as NNNN-name.sql")
        database.executescript(path.read_text())
        check_file(findings, path, database)
    listed = (ROOT / "schema" / "meson.build").read_text()
    for path in migrations:
        if path.name not in listed:
            findings.add(path, 0, "is not in schema/meson.build")
    check_page(findings, database)
    findings.finish()


if __name__ == "__main__":
    main()
