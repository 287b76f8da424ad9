# SPDX-License-Identifier: MIT
"""What the lint scripts share: the tree, and how findings are told."""
import re
import subprocess
import sys
from pathlib import Path

SKIP = 77  # meson's status of a test that could not run

ROOT = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parents[2]).resolve()


def files(*patterns):
    """Files of the tree (not of build folders) that match, in order."""
    found = set()
    for pattern in patterns:
        found.update(path for path in ROOT.glob(pattern) if path.is_file())
    return sorted(path for path in found if not path.relative_to(ROOT).parts[0].startswith("build"))


def sources():
    return files("src/**/*.[ch]", "include/**/*.h", "tests/**/*.[ch]")


def name(path):
    return str(Path(path).relative_to(ROOT))


def without_comments(text):
    """C with comments and the insides of literals blanked; lines stay where they are."""
    def blank(match):
        found = match.group(0)
        if found[0] in "\"'":
            return found[0] + re.sub(r"[^\n]", " ", found[1:-1]) + found[-1]
        return re.sub(r"[^\n]", " ", found)
    pattern = r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\''
    return re.sub(pattern, blank, text, flags=re.S)


def run(command, text=None, cwd=ROOT):
    """(status, output and errors)"""
    done = subprocess.run(command, input=text, text=True, cwd=cwd, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    return done.returncode, done.stdout


class Findings:
    """Collects what is wrong; finish() tells it and ends the script."""

    def __init__(self):
        self.lines = []
        self.checked = 0

    def add(self, path, line, text):
        where = name(path) if Path(path).is_absolute() else str(path)
        self.lines.append(f"{where}:{line}: {text}" if line else f"{where}: {text}")

    def finish(self):
        for line in self.lines:
            print(line)
        print(f"{self.checked} checked, {len(self.lines)} findings")
        if not self.checked:
            print("skipped: there is nothing to check")
            sys.exit(SKIP)
        sys.exit(1 if self.lines else 0)
