# SPDX-License-Identifier: MIT
"""Questions that have no plain answer are refused or answered with what is not known, never as if nothing was there."""
import os
import signal
import subprocess

import pytest

from conftest import CONNHIST, CONNHISTD, connhist, query, strict_json, wait_until
from test_cli_usage import refused, small  # noqa: F401


# Namespaces

@pytest.mark.parametrize("command", [["report"], ["list"], ["netstat"], ["netstat", "--at", "-1s"]])
def test_a_namespace_that_is_not_there_is_no_empty_table(small, command):
    assert "inode:zz" in refused("--db", small, *command, "--netns", "inode:zz")
    for name in "nosuch", "inode:5":
        assert name in refused("--db", small, *command, "--netns", name, "--format", "json", status=3)


# What was last is not what is

def test_a_chart_of_the_past_does_not_say_now(small):
    chart = ["--db", small, "report", "--port", "8000", "--format", "chart"]
    assert ", last " in connhist(*chart, "--until", "-5m").stdout
    assert ", now " not in connhist(*chart, "--until", "-5m").stdout


# SQL

@pytest.mark.parametrize("form", ["json", "csv"])
def test_several_tables_are_no_json_or_csv_document(small, form):
    assert "jsonl" in refused("--db", small, "sql", "--format", form, "SELECT 1; SELECT 2")


def test_columns_of_one_name_and_text_with_nul_lose_nothing(small):
    done = connhist("--db", small, "sql", "--format", "json", "SELECT 1 a, 2 a, 'x' || char(0) || 'y' t;")
    assert strict_json(done.stdout)["rows"] == [{"a": 1, "a_2": 2, "t": "x\ufffdy"}]


def test_a_dash_is_standard_input(small):
    assert connhist("--db", small, "sql", "-", input="SELECT 7 AS a").stdout.split() == ["a", "7"]


def test_a_heading_is_shown_safely_in_any_locale(small):
    for locale in "C", "C.UTF-8":
        done = subprocess.run([CONNHIST, "--db", small, "sql", b"SELECT 'gr\xc3\xb6' AS \"\xff\x1b[31m\""],
                              env={**os.environ, "LC_ALL": locale}, capture_output=True, timeout=20, check=True)
        assert done.stdout.startswith(b"\\xff\\x1b[31m\n")


def test_sql_that_waits_for_its_reader_can_be_interrupted(small):
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n"
    process = subprocess.Popen([CONNHIST, "--db", small, "sql", "--timeout", "0", "--format", "csv", endless],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def waits():
        with open(f"/proc/{process.pid}/wchan") as wchan:
            return "pipe" in wchan.read()
    wait_until(waits, "the pipe to be full")
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 3
    assert "interrupted" in process.stderr.read()
    process.stdout.close()
    process.stderr.close()


# The recorder

@pytest.mark.parametrize("args, words", [
    (["--once", "--count", "3"], "contradict"),
    (["--config", "GROUP"], "conf.yaml:2:8: group: there is no group nosuch"),
    (["--config", "FIFO"], "not a regular file"),
])
def test_the_recorder_refuses_what_cannot_be_meant(args, words, tmp_path):
    (tmp_path / "conf.yaml").write_text("interval: 1s\ngroup: nosuch\n")
    os.mkfifo(tmp_path / "fifo")
    places = {"GROUP": tmp_path / "conf.yaml", "FIFO": tmp_path / "fifo"}
    done = subprocess.run([CONNHISTD, "--db", tmp_path / "x.db", *(places.get(arg, arg) for arg in args)],
                          capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 2 and words in done.stderr
    assert not (tmp_path / "x.db").exists()


def test_one_file_has_one_recorder_whatever_it_is_called(tmp_path):
    path = tmp_path / "x.db"
    record = [CONNHISTD, "--once", "--db"]
    subprocess.run([*record, path], capture_output=True, timeout=20, check=True)
    holder = subprocess.Popen([CONNHISTD, "--db", path], stderr=subprocess.PIPE)
    try:
        wait_until(lambda: (tmp_path / "x.db-recorder").read_text(), "the recorder's lock")
        for name in "file:x.db", f"file:{path}":
            subprocess.run([*record, name], capture_output=True, cwd=tmp_path, timeout=20, check=False)
        os.link(path, tmp_path / "hard.db")
        done = subprocess.run([*record, tmp_path / "hard.db"], capture_output=True, text=True, timeout=20, check=False)
        assert done.returncode == 3 and "hard link" in done.stderr
    finally:
        holder.terminate()
        holder.communicate(timeout=20)
    assert (tmp_path / "file:x.db").exists()  # a file of that very name, and no other
    assert len({row[0] for row in query(path, "SELECT id FROM recordings")}) == 2


def test_steps_below_a_second_have_different_times(small):
    rows = connhist("--db", small, "report", "--port", "8000", "--since", "-2m", "--until", "-100s", "--step", "200ms",
                    "--by", "port", "--utc").stdout.splitlines()[1:]
    times = [row.split()[0] for row in rows if row[:2] == "20"]
    assert len(times) >= 2 and len(set(times)) == len(times)
