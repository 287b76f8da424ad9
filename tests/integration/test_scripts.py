# SPDX-License-Identifier: MIT
"""The scripts around the programs: what they refuse, what they count, and that lint finds what it is for."""
import json
import shutil
import subprocess
import sys

import pytest

from conftest import SOURCE

CMOCKA = "[==========] 3 test(s) run.\n[  PASSED  ] 2 test(s).\n[  FAILED  ] 1 test(s), listed below:\n"
PYTEST = "FAILED test_x.py::test_y\n1 failed, 4 passed, 2 skipped in 0.10s\n"


def script(*args):
    return subprocess.run([str(arg) for arg in args], text=True, capture_output=True, check=False,
                          stdin=subprocess.DEVNULL, timeout=120)


@pytest.mark.parametrize("name", ["quickstart", "tests/run"])
def test_scripts_tell_their_usage_and_refuse_what_they_do_not_know(name):
    told = script(SOURCE / name, "--help")
    assert told.returncode == 0 and told.stdout.startswith("usage: ")
    refused = script(SOURCE / name, "--no-such-thing")
    assert refused.returncode == 2 and "usage: " in refused.stderr and not refused.stdout


@pytest.mark.parametrize("seconds", ["0", "-1", "1.5", "1 2", "123456"])
def test_quickstart_refuses_a_time_that_is_none(seconds):
    assert script(SOURCE / "quickstart", seconds).returncode == 2


def tally(tmp_path, status, *tests):
    """What tally.py makes of a run of meson: its numbers and its words."""
    log, output, sums = tmp_path / "testlog.json", tmp_path / "output", tmp_path / "sums"
    output.write_text("what meson said")
    if tests:
        log.write_text("".join(json.dumps({"name": "a", "duration": 0.1, "stdout": "", **test}) + "\n"
                               for test in tests))
    done = script(sys.executable, SOURCE / "tests" / "tally.py", log, output, status, sums)
    assert done.returncode == 0, done.stderr
    return tuple(map(int, sums.read_text().split())), done.stdout


@pytest.mark.parametrize("tests, numbers", [
    ([{"result": "OK"}], (1, 0, 0)),
    ([{"result": "FAIL"}], (0, 1, 0)),
    ([{"result": "TIMEOUT"}], (0, 1, 0)),
    ([{"result": "SKIP"}], (0, 0, 1)),
    ([{"result": "FAIL", "stdout": CMOCKA}], (2, 1, 0)),
    ([{"result": "FAIL", "stdout": PYTEST}], (4, 1, 2)),
    # A program that crashed after its tests had passed has failed.
    ([{"result": "FAIL", "stdout": "[==========] 2 test(s) run.\n", "stderr": "[  PASSED  ] 2 test(s).\n"}], (2, 1, 0)),
    ([{"result": "OK"}, {"result": "FAIL", "stdout": CMOCKA}, {"result": "SKIP"}], (3, 1, 1)),
])
def test_single_tests_are_counted(tmp_path, tests, numbers):
    status = int(any(test["result"] in ("FAIL", "TIMEOUT") for test in tests))
    assert tally(tmp_path, status, *tests)[0] == numbers


def test_a_run_without_tests_or_with_a_silent_error_has_failed(tmp_path):
    numbers, words = tally(tmp_path, 0)
    assert numbers == (0, 1, 0) and "what meson said" in words
    (tmp_path / "sums").unlink()
    assert tally(tmp_path, 1, {"result": "OK"})[0] == (1, 1, 0)


@pytest.fixture
def tree(tmp_path):
    """A copy of what lint looks at, to spoil."""
    for name in ("src", "include", "schema", "man", "config", "tests/lint"):
        shutil.copytree(SOURCE / name, tmp_path / name)
    shutil.copy(SOURCE / "tests" / "packages.txt", tmp_path / "tests")
    return tmp_path


def lint(tree, name, *args):
    return script(sys.executable, SOURCE / "tests" / "lint" / f"{name}.py", tree, *args)


@pytest.mark.parametrize("name, path, line, finding", [
    ("floors", "include/connhist/base/err.h", '#include "connhist/model/state.h"', "base may not know model"),
    ("floors", "src/model/state.c", '#include "connhist/record/ledger.h"', "model may not know record"),
    ("floors", "include/connhist/store/store.h", '#include "connhist/config/config.h"', "store may not know config"),
    ("floors", "include/connhist/record/ledger.h", '#include "connhist/report/trend.h"', "record may not know report"),
    ("floors", "src/model/state.c", "#include <sqlite3.h>", "<sqlite3.h> stays in src/store"),
    ("floors", "src/base/err.c", "#include <libmnl/libmnl.h>", "<libmnl/libmnl.h> stays in src/kernel"),
    ("floors", "src/base/err.c", '#include "../model/x.h"', "is no header of base"),
    ("floors", "include/connhist/base/err.h", '#include "connhist/base/err.h"', "includes itself"),
    ("style", "src/base/err.c", "int f(const char *s) { return atoi(s); }", "atoi() takes anything"),
    ("style", "src/base/err.c", "void f(void) { exit(1); }", "only programs exit"),
    ("style", "src/base/err.c", "/* TO" + "DO */", "unfinished"),
    ("style", "src/base/err.c", "void f(void)\n{\n" + "    ;\n" * 61 + "}", "f() has 61 lines"),
    ("style", "src/base/err.c", "void f(void)\n{\nagain:\n    goto again;\n}", "goto again leads back"),
    ("schema", "schema/0001-first.sql", "CREATE TABLE extra ( -- more\n    one INTEGER\n) STRICT;", "extra.one has no comment"),
    ("schema", "schema/0099-late.sql", "-- late", "without holes"),
    ("man", "man/connhist-schema.5", ".Bd -literal\nSELECT lacking FROM sockets\n.Ed", "no such column: lacking"),
])
def test_lint_finds(tree, name, path, line, finding):
    with (tree / path).open("a") as file:
        file.write(line + "\n")
    done = lint(tree, name)
    assert done.returncode == 1 and finding in done.stdout, done.stdout + done.stderr


def test_lint_finds_state_in_a_room(tree, tmp_path):
    source, library = tmp_path / "state.c", tmp_path / "state.o"
    code = 'static int counter; int f(void); int f(void) { return ++counter; }\n'
    constant = 'static const char *const names[] = {"a", "b"}; const char *g(int i); const char *g(int i) { return names[i]; }\n'
    for text, state in ((constant, False), (code, True)):
        source.write_text(text)
        subprocess.run(["gcc", "-fPIC", "-c", "-o", str(library), str(source)], check=True)
        done = lint(tree, "style", library)
        assert ("counter is writable state" in done.stdout) == state, done.stdout
        assert "names" not in done.stdout
