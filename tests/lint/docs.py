#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Local links and paths that the documents name exist."""
import re

from lint import ROOT, Findings, files

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
# `src/...`, `tests/run` and so on in code spans and in fenced text.
PATH = re.compile(r"(?<![\w/.$-])((?:src|include|tests|man|config|schema|\.ci)/[\w./-]*\w|quickstart)(?![\w*{<])")
MADE_UP = re.compile(r"NAME|NNNN|ROOM|MODULE|\*")


def headings(text):
    """Anchors of a document's headings, as the forges make them."""
    for line in re.findall(r"^#+ (.*)$", text, re.M):
        yield re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-")


def check_link(findings, path, line, target):
    if re.match(r"[a-z]+:", target):
        return
    file, _, anchor = target.partition("#")
    there = (path.parent / file) if file else path
    if not there.exists():
        findings.add(path, line, f"the link {target} leads nowhere")
    elif anchor and anchor not in set(headings(there.read_text())):
        findings.add(path, line, f"{there.name} has no heading #{anchor}")


def main():
    findings = Findings()
    for path in files("*.md", "tests/**/*.md", "src/**/*.md"):
        for number, line in enumerate(path.read_text().splitlines(), 1):
            for target in LINK.findall(line):
                findings.checked += 1
                check_link(findings, path, number, target)
            for named in PATH.findall(line):
                findings.checked += 1
                if not MADE_UP.search(named) and not (ROOT / named).exists():
                    findings.add(path, number, f"{named} does not exist")
    findings.finish()


if __name__ == "__main__":
    main()
