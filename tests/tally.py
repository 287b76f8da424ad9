#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Counts the individual tests of one run of meson: tally.py TESTLOG.JSON MESON-OUTPUT MESON-STATUS TALLY-FILE.

Prints a line for each meson test, and what a failed one said. Appends "PASSED FAILED SKIPPED" to the
tally. A meson test that fails without telling which of its tests did counts as one failure; so does a run of
meson that failed, or ran nothing, while no test did."""
import json
import re
import sys
from pathlib import Path

TAIL_LINES = 60
PYTEST_SUMMARY = re.compile(r"^=* ?((?:\d+ \w+(?:, )?)+) in [\d.]+s.*$", re.M)
CMOCKA = {
    "passed": re.compile(r"^\[  PASSED  \] (\d+) test", re.M),
    "failed": re.compile(r"^\[  FAILED  \] (?:\w+: )?(\d+) test", re.M),
    "skipped": re.compile(r"^\[  SKIPPED \] (?:\w+: )?(\d+) test", re.M),
}


def counts_of_pytest(text):
    """The closing line of pytest as numbers, or None."""
    lines = PYTEST_SUMMARY.findall(text)
    if not lines:
        return None
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    names = {"passed": "passed", "xfailed": "passed", "failed": "failed", "error": "failed",
             "errors": "failed", "xpassed": "failed", "skipped": "skipped"}
    for number, word in re.findall(r"(\d+) (\w+)", lines[-1]):
        if word in names:
            counts[names[word]] += int(number)
    return counts


def counts_of_cmocka(text):
    """The closing lines of cmocka's groups, summed, or None."""
    if "[==========]" not in text:
        return None
    return {word: sum(int(n) for n in pattern.findall(text)) for word, pattern in CMOCKA.items()}


def counts_of(test):
    """How many passed, failed and were skipped inside one meson test."""
    text = test.get("stdout", "") + "\n" + test.get("stderr", "")
    counts = counts_of_pytest(text) or counts_of_cmocka(text)
    result = test["result"]
    if result == "SKIP":
        return {"passed": 0, "failed": 0, "skipped": max(1, counts["skipped"] if counts else 1)}
    good = result in ("OK", "EXPECTEDFAIL")
    if counts is None:
        return {"passed": int(good), "failed": int(not good), "skipped": 0}
    if not good and counts["failed"] == 0:
        counts["failed"] = 1
    return counts


def report(test, counts):
    """One line for a test; its output's tail when it failed, its reasons when it skipped."""
    words = ", ".join(f"{n} {word}" for word, n in counts.items() if n)
    print(f"{test['result']:>8}  {test['name']:<44} {words or 'nothing ran'} ({test['duration']:.1f} s)")
    text = test.get("stdout", "") + "\n" + test.get("stderr", "")
    if counts["failed"]:
        lines = text.strip().splitlines()
        print("          | " + "\n          | ".join(lines[-TAIL_LINES:] or ["(no output)"]))
    elif counts["skipped"]:
        for line in dict.fromkeys(text.splitlines()):
            # pytest's, cmocka's and lint's way to say it
            if re.match(r"SKIPPED \[|skipped: |\[  SKIPPED \] \w+$", line):
                print("          | " + line)


def main():
    log, output, tally = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[4])
    total = {"passed": 0, "failed": 0, "skipped": 0}
    tests = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    for test in sorted(tests, key=lambda test: test["name"]):
        counts = counts_of(test)
        report(test, counts)
        for word in total:
            total[word] += counts[word]
    if not tests or (sys.argv[3] != "0" and total["failed"] == 0):
        print(output.read_text()[-4000:])
        print(f"meson ended with status {sys.argv[3]}, {len(tests)} tests ran")
        total["failed"] += 1
    with tally.open("a") as file:
        print(total["passed"], total["failed"], total["skipped"], file=file)


if __name__ == "__main__":
    main()
