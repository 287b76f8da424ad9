#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""clang-tidy over src/ by the root's .clang-tidy: tidy.py ROOT BUILD (with compile_commands.json)."""
import json
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lint import ROOT, SKIP, Findings, name, run


def commands(build):
    """The compile commands of src/ alone, without what only gcc knows."""
    for entry in json.loads((build / "compile_commands.json").read_text()):
        path = (Path(entry["directory"]) / entry["file"]).resolve()
        if path.is_relative_to(ROOT / "src"):
            yield {**entry, "file": str(path)}


def main():
    build = Path(sys.argv[2]) if len(sys.argv) > 2 else ROOT / "build"
    if not shutil.which("clang-tidy") or not (build / "compile_commands.json").exists():
        print("skipped: no clang-tidy, or no compile_commands.json")
        sys.exit(SKIP)
    findings = Findings()
    entries = {entry["file"]: entry for entry in commands(build)}
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:
        (Path(folder) / "compile_commands.json").write_text(json.dumps(list(entries.values())))
        def tidy(path):
            try:
                return path, run(["clang-tidy", "-p", folder, "--quiet", "--extra-arg=-Wno-unknown-warning-option",
                                  path])
            except subprocess.SubprocessError as error:
                return path, (1, str(error))
        for path, (status, output) in pool.map(tidy, sorted(entries)):
            findings.checked += 1
            if status:
                findings.add(path, 0, "clang-tidy:\n" + output)
    print(f"{len(entries)} files of {name(ROOT / 'src')}")
    findings.finish()


if __name__ == "__main__":
    main()
