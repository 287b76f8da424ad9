#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Each header compiles alone with both compilers; licence lines and `#pragma once` are there."""
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from lint import ROOT, Findings, files, name, run, sources

FLAGS = ["-std=gnu17", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Wpedantic", "-Werror",
         "-Wno-missing-field-initializers", "-fsyntax-only", "-x", "c", "-"]
CLANG_FLAGS = ["-Wno-gnu-statement-expression", "-Wno-gnu-zero-variadic-macro-arguments"]
SPDX = "SPDX-License-Identifier: MIT"


def compile_alone(task):
    """Includes a header twice and nothing else; gives (header, compiler, what the compiler said)."""
    compiler, header = task
    place = "include" if header.is_relative_to(ROOT / "include") else str(header.parent)
    line = f'#include "{header.relative_to(ROOT / place)}"\n'
    flags = (CLANG_FLAGS if compiler == "clang" else []) + [f"-I{place}", "-Iinclude"]
    status, output = run([compiler, *flags, *FLAGS], text=line * 2 + "typedef int not_empty;\n")
    return header, compiler, "" if status == 0 else output


def main():
    findings = Findings()
    headers = files("include/**/*.h", "src/**/*.h", "tests/**/*.h")
    for path in sources() + files("schema/*.sql", "tests/**/*.py", "src/**/*.py", "schema/*.py"):
        findings.checked += 1
        if SPDX not in "\n".join(path.read_text().splitlines()[:4]):
            findings.add(path, 1, f"no line with {SPDX}")
    for path in headers:
        if not any(line == "#pragma once" for line in path.read_text().splitlines()):
            findings.add(path, 0, "no #pragma once")
    compilers = [name for name in ("gcc", "clang") if shutil.which(name)]
    tasks = [(compiler, Path(header)) for compiler in compilers for header in headers]
    with ThreadPoolExecutor(2) as pool:
        for header, compiler, output in pool.map(compile_alone, tasks):
            if output:
                findings.add(header, 0, f"does not compile alone with {compiler}:\n{output}")
    print(f"{len(headers)} headers with {', '.join(compilers)}; {name(ROOT / 'include')}, src, tests")
    findings.finish()


if __name__ == "__main__":
    main()
