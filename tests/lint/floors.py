#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""The floors of the house: who may include whom (CONTRIBUTING.md, "The house")."""
import re

from lint import ROOT, Findings, files, name

# From below. Rooms of one floor don't know each other; a file sees its own room and lower floors.
FLOORS = [["base"], ["model"], ["kernel", "store", "config"], ["record", "report"], ["render"],
          ["connhistd", "connhist"]]
FLOOR_OF = {room: n for n, rooms in enumerate(FLOORS) for room in rooms}
PROGRAMS = FLOORS[-1]

# What is behind one room alone.
KEPT = [
    (re.compile(r"libmnl/|linux/(?:sock_diag|inet_diag|netlink|rtnetlink|unix_diag)\.h"), "kernel"),
    (re.compile(r"sqlite3(?:ext)?\.h"), "store"),
    (re.compile(r"yaml\.h"), "config"),
    (re.compile(r"libsmartcols(?:/libsmartcols)?\.h"), "render"),
    (re.compile(r"cap-ng\.h"), "connhistd"),
]
INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]', re.M)


def room_of(path):
    """The room that a file belongs to, by where it lies."""
    parts = path.relative_to(ROOT).parts
    return parts[1] if parts[0] == "src" else parts[2]


def includes(path):
    """(line, bracket, header) of each include."""
    text = path.read_text()
    for match in INCLUDE.finditer(text):
        yield text.count("\n", 0, match.start()) + 1, match.group(1), match.group(2)


def check_public(findings, path, line, room, header):
    """An include of connhist/ROOM/NAME.h."""
    parts = header.split("/")
    if not (ROOT / "include" / header).exists():
        findings.add(path, line, f"{header} does not exist")
    elif len(parts) != 3 or parts[1] not in FLOOR_OF:
        findings.add(path, line, f"{header} belongs to no room")
    elif parts[1] != room and FLOOR_OF[parts[1]] >= FLOOR_OF[room]:
        findings.add(path, line, f"{room} may not know {parts[1]} ({header})")


def check_private(findings, path, line, room, header):
    """An include in quotes that is not public: a header of the room's own folder."""
    if header == "build_config.h":
        if room not in PROGRAMS:
            findings.add(path, line, "build_config.h is for programs alone")
        return
    inside = (ROOT / "src" / room).resolve()
    if not any((base / header).exists() and (base / header).resolve().is_relative_to(inside)
               for base in (path.parent, inside)):
        findings.add(path, line, f'"{header}" is no header of {room}')
    if path.is_relative_to(ROOT / "include"):
        findings.add(path, line, f'a public header includes the private "{header}"')


def check_file(findings, path):
    room = room_of(path)
    if room not in FLOOR_OF:
        findings.add(path, 0, f"{room} is no room")
        return
    for line, bracket, header in includes(path):
        for pattern, keeper in KEPT:
            if pattern.fullmatch(header) or pattern.match(header) and header.startswith("libmnl/"):
                if room != keeper or path.is_relative_to(ROOT / "include"):
                    findings.add(path, line, f"<{header}> stays in src/{keeper}")
        if header.startswith("connhist/"):
            check_public(findings, path, line, room, header)
        elif bracket == '"':
            check_private(findings, path, line, room, header)


def check_cycles(findings, headers):
    """No public header includes itself over others."""
    graph = {name(path)[len("include/"):]: [header for _, _, header in includes(path)]
             for path in headers}
    done = set()

    def visit(header, way):
        if header in way:
            findings.add("include/" + header, 0, "includes itself: " + " > ".join(way + [header]))
        elif header in graph and header not in done:
            for other in graph[header]:
                visit(other, way + [header])
            done.add(header)

    for header in graph:
        visit(header, [])


def main():
    findings = Findings()
    headers = files("include/**/*.h")
    for path in files("src/**/*.[ch]") + headers:
        findings.checked += 1
        check_file(findings, path)
    check_cycles(findings, headers)
    findings.finish()


if __name__ == "__main__":
    main()
