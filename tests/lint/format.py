#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Formatting of the C files (clang-format), and what holds for every text file (.editorconfig)."""
import shutil
import sys

from lint import SKIP, Findings, files, run, sources

TEXTS = ["src/**/*", "include/**/*.h", "tests/**/*.py", "tests/**/*.[ch]", "tests/**/meson.build",
         "schema/*", "man/*", "config/*", "config/completions/*", "*.md", "meson*", "quickstart", "tests/run"]


def check_texts(findings):
    for path in files(*TEXTS):
        findings.checked += 1
        if "__pycache__" in path.parts:
            continue
        text = path.read_bytes()
        if text and not text.endswith(b"\n"):
            findings.add(path, 0, "no newline at the end")
        for number, line in enumerate(text.splitlines(), 1):
            if line != line.rstrip():
                findings.add(path, number, "white space at the end of the line")
            if b"\t" in line:
                findings.add(path, number, "a tab")


def main():
    findings = Findings()
    check_texts(findings)
    if not shutil.which("clang-format"):
        print("skipped: no clang-format")
        sys.exit(1 if findings.lines else SKIP)
    status, output = run(["clang-format", "--dry-run", "-Werror", *map(str, sources())])
    if status:
        print("clang-format -i would change:")
        findings.lines.extend(line for line in output.splitlines() if "clang-format-violations" in line)
    findings.finish()


if __name__ == "__main__":
    main()
