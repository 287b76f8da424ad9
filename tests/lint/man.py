#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Man pages: mandoc's lint, options held together with the programs' own help, completions and the
configuration's example, and the SQL examples, which run: man.py ROOT [CONNHIST [CONNHISTD]]."""
import os
import re
import shutil
import sqlite3
import sys

from lint import ROOT, Findings, files, name, run

PAGES = ["connhist.1", "connhistd.8", "connhist.yaml.5", "connhist-schema.5"]
COMPLETIONS = ["connhist.bash", "_connhist", "connhist.fish"]
# "  -a, --all" or "  --port PORTS": a line of the programs' help.
OPTION = re.compile(r"^ {2,}(?:-(\w), )?--([a-z][a-z-]*)", re.M)


def commands():
    """The commands of connhist: a file each."""
    return sorted(path.stem[len("cmd_"):] for path in files("src/connhist/cmd_*.c"))


def options_of_page(text):
    """Names of long options in a page or a part of it."""
    return set(re.findall(r"\bFl Fl ([a-z][a-z-]*)", text.replace("\\-", "-")))


def check_mandoc(findings):
    for page in PAGES:
        path = ROOT / "man" / page
        findings.checked += 1
        if not path.exists():
            findings.add(path, 0, "does not exist")
        elif shutil.which("mandoc"):
            # STYLE is below a warning; "outdated mandoc.db" and the like are not asked for.
            _, output = run(["mandoc", "-T", "lint", "-W", "warning", str(path)])
            findings.lines.extend(output.splitlines())
    if not shutil.which("mandoc"):
        print("no mandoc: pages were not checked by it")


def check_yaml_keys(findings):
    """Every key of config/connhist.yaml stands in its page."""
    example, page = ROOT / "config" / "connhist.yaml", ROOT / "man" / "connhist.yaml.5"
    if not example.exists() or not page.exists():
        return
    text = page.read_text()
    for number, line in enumerate(example.read_text().splitlines(), 1):
        if match := re.match(r"#? ?\s*([a-z_]+):(?: |$)", line):
            findings.checked += 1
            if not re.search(rf"\b{match.group(1)}\b", text):
                findings.add(example, number, f"{match.group(1)} is not in {page.name}")


def check_help(findings, program, command, page):
    """What the program says of itself is in the page and in the completions."""
    status, output = run([program, *([command] if command else []), "--help"])
    what = program.rpartition("/")[2] + (f" {command}" if command else "")
    if status:
        findings.add(what, 0, f"--help ends with status {status}: {output}")
        return set()
    options = {long for _, long in OPTION.findall(output)}
    findings.checked += len(options)
    for option in sorted(options - options_of_page(page.read_text())):
        findings.add(page, 0, f"lacks --{option}, which {what} has")
    if not options:
        findings.add(what, 0, "--help names no option")
    return options


def check_completions(findings, options):
    for file in COMPLETIONS:
        path = ROOT / "config" / "completions" / file
        text = path.read_text() if path.exists() else ""
        for word in commands():
            if not re.search(rf"\b{word}\b", text):
                findings.add(path, 0, f"lacks the command {word}")
        for option in sorted(options):
            if not re.search(rf"(?<![\w-])(?:--|-l ){option}(?![\w-])", text):
                findings.add(path, 0, f"lacks --{option}")


def check_programs(findings, connhist, connhistd):
    page, daemon_page = ROOT / "man" / "connhist.1", ROOT / "man" / "connhistd.8"
    options = check_help(findings, connhist, "", page)
    for command in commands():
        options |= check_help(findings, connhist, command, page)
        if not re.search(rf"^\.Ss .*\b{command}\b", page.read_text(), re.M):
            findings.add(page, 0, f"has no subsection on {command}")
    for option in sorted(options_of_page(page.read_text()) - options):
        findings.add(page, 0, f"tells of --{option}, which connhist does not have")
    check_completions(findings, options)
    if connhistd:
        known = check_help(findings, connhistd, "", daemon_page)
        for option in sorted(options_of_page(daemon_page.read_text()) - known):
            findings.add(daemon_page, 0, f"tells of --{option}, which connhistd does not have")
        check_completions(findings, known)


def displays(text):
    """The literal displays of a page: what stands between .Bd -literal and .Ed."""
    for match in re.finditer(r"^\.Bd -literal.*?\n(.*?)^\.Ed", text, re.M | re.S):
        yield text.count("\n", 0, match.start()) + 2, match.group(1).replace("\\&", "").replace("\\e", "\\")


def check_sql(findings):
    """Each SQL example runs on an empty file, made as the recorder makes it."""
    database = sqlite3.connect(":memory:")
    for path in files("schema/*.sql"):
        database.executescript(path.read_text())
    examples = 0
    for page in PAGES:
        path = ROOT / "man" / page
        for line, text in displays(path.read_text()) if path.exists() else []:
            if not re.match(r"\s*(--|SELECT|WITH)\b", text):
                continue
            examples += 1
            findings.checked += 1
            try:
                database.execute(text)
            except (sqlite3.Error, sqlite3.Warning) as error:
                findings.add(path, line, f"SQL example: {error}")
    print(f"{examples} SQL examples")


def main():
    findings = Findings()
    check_mandoc(findings)
    check_yaml_keys(findings)
    check_sql(findings)
    programs = [os.path.abspath(program) for program in sys.argv[2:4]]
    if programs:
        check_programs(findings, programs[0], programs[1] if len(programs) > 1 else None)
    else:
        print(f"no programs yet: {name(ROOT / 'man')} was not held against them")
    findings.finish()


if __name__ == "__main__":
    main()
