#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Shell scripts (shellcheck), Python (compiles), and the lists that scripts share."""
import ast
import re
import shutil

from lint import ROOT, Findings, files, run


def main():
    findings = Findings()
    scripts = [path for path in files("quickstart", "tests/run", "tests/**/*.sh", ".ci/run",
                                      "config/completions/*.bash")]
    for path in scripts:
        findings.checked += 1
        status, output = run(["bash", "-n", str(path)])
        if status == 0 and shutil.which("shellcheck"):
            status, output = run(["shellcheck", "--external-sources", "--format=gcc", str(path)])
        if status:
            findings.lines.extend(output.splitlines())
    for path in files("tests/**/*.py", "schema/*.py", "src/**/*.py"):
        findings.checked += 1
        try:
            ast.parse(path.read_text(), str(path))
        except SyntaxError as error:
            findings.add(path, error.lineno or 0, str(error))
    packages = (ROOT / "tests" / "packages.txt").read_text()
    for number, line in enumerate(packages.splitlines(), 1):
        if not re.fullmatch(r"|#.*|\[(build|test)\]|[a-z0-9.+-]+ +# .*", line):
            findings.add(ROOT / "tests" / "packages.txt", number, f"not understood: {line}")
    findings.finish()


if __name__ == "__main__":
    main()
