#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Style that can be counted (CONTRIBUTING.md, "Style"): style.py ROOT [STATIC-LIBRARY...].

The static libraries are those of the rooms below the programs: they may hold no state of their own."""
import os
import re
import sys

from lint import ROOT, Findings, files, run, sources, without_comments

FILE_LINES = 500
HEADER_LINES = 150
FUNCTION_LINES = 60
BANNED = {name: why for names, why in [
    ("atoi atol atoll", "takes anything for a number: parse_u64()"),
    ("sprintf vsprintf gets", "knows no bound: snprintf()"),
    ("strcpy strcat stpcpy", "knows no bound: snprintf(), memcpy()"),
    ("strtok inet_ntoa inet_addr ctime asctime gmtime localtime strerror",
     "gives a static buffer, or is not for threads"),
    ("alloca", "no bound on the stack"),
] for name in names.split()}
BELOW = {"exit": "only programs exit", "_exit": "only programs exit", "abort": "only programs exit",
         "perror": "only programs print", "printf": "only programs print", "puts": "only programs print",
         "syslog": "only programs log"}
MARK = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
CALL = re.compile(r"\b(" + "|".join(sorted({*BANNED, *BELOW}, key=len, reverse=True)) + r")\s*\(")


def functions(code):
    """(name, first line, lines) of each function: a `{` in column 0 after a `)`, up to `}` in column 0."""
    lines = code.splitlines()
    start = None
    for number, line in enumerate(lines, 1):
        before = lines[number - 2].rstrip() if number > 1 else ""
        if line.startswith("{") and before.endswith(")"):
            start = number
        elif line.startswith("}") and start:
            head = " ".join(lines[max(0, start - 4):start - 1])
            names = re.findall(r"(\w+)\(", head)
            yield names[-1] if names else "?", start, number - start - 1
            start = None


def check_lengths(findings, path, code):
    count = code.count("\n")
    limit = HEADER_LINES if path.is_relative_to(ROOT / "include") else FILE_LINES
    if count > limit:
        findings.add(path, 0, f"{count} lines, at most {limit}")
    for name, line, length in functions(code):
        if length > FUNCTION_LINES:
            findings.add(path, line, f"{name}() has {length} lines, at most {FUNCTION_LINES}")


def check_calls(findings, path, code):
    parts = path.relative_to(ROOT).parts
    below = parts[0] == "src" and parts[1] not in ("connhist", "connhistd")
    for match in CALL.finditer(code):
        line = code.count("\n", 0, match.start()) + 1
        name = match.group(1)
        if name == "strcpy" and re.match(r"strcpy\([^,]+, \"", match.string[match.start():]):
            continue  # of a literal: its length is plain to see
        if parts[0] == "tests" and not re.match(r"ato|.*sprintf|gets", name):
            continue  # a test knows what it puts in, and runs under sanitizers
        if name in BANNED:
            findings.add(path, line, f"{name}() {BANNED[name]}")
        elif below:
            findings.add(path, line, f"{name}() in a room: {BELOW[name]}")
    if below:
        for match in re.finditer(r"\b(stdout|stderr)\b", code):
            findings.add(path, code.count("\n", 0, match.start()) + 1, "only programs print")


def check_gotos(findings, path, code):
    """goto leads forward alone, and to one place in a function."""
    lines = code.splitlines()
    for name, start, length in functions(code):
        body = lines[start:start + length]
        labels = {match.group(1): n for n, line in enumerate(body)
                  if (match := re.match(r"\s*(\w+):(?!:)\s*$", line)) and match.group(1) != "default"}
        targets = set()
        for n, line in enumerate(body):
            for target in re.findall(r"\bgoto (\w+);", line):
                targets.add(target)
                if labels.get(target, n) < n:
                    findings.add(path, start + n + 1, f"goto {target} leads back")
        if len(targets) > 1:
            findings.add(path, start, f"{name}() has more than one goto target")


def check_conditions(findings, path, code):
    for match in re.finditer(r"^\s*#\s*if(?:n?def|)\b.*\bTEST", code, re.M):
        findings.add(path, code.count("\n", 0, match.start()) + 1, "no code for tests alone")


def check_state(findings, library):
    """No writable data. `.data.rel.ro` is constant but for the loader."""
    findings.checked += 1
    status, output = run(["nm", "--format=sysv", library])
    if status:
        findings.add(library, 0, output)
    for line in output.splitlines():
        columns = [column.strip() for column in line.split("|")]
        if len(columns) == 7 and columns[3] == "OBJECT":
            section = columns[6]
            if re.match(r"\.(data|bss)|\*COM\*", section) and not section.startswith(".data.rel.ro"):
                findings.add(library.rpartition("/")[2], 0,
                             f"{columns[0]} is writable state ({section}) in a room below the programs")
        elif len(columns) == 7 and columns[3] == "TLS":
            findings.add(library.rpartition("/")[2], 0, f"{columns[0]} is a thread's own state")


def main():
    findings = Findings()
    for path in sources() + files("tests/**/*.py", "quickstart", "tests/run"):
        findings.checked += 1
        text = path.read_text()
        for number, line in enumerate(text.splitlines(), 1):
            if MARK.search(line) and path.name != "style.py":
                findings.add(path, number, "unfinished: " + line.strip())
        if path.suffix in (".c", ".h"):
            code = without_comments(text)
            check_lengths(findings, path, code)
            check_calls(findings, path, code)
            check_gotos(findings, path, code)
            check_conditions(findings, path, code)
    for library in map(os.path.abspath, sys.argv[2:]):
        check_state(findings, library)
    findings.finish()


if __name__ == "__main__":
    main()
