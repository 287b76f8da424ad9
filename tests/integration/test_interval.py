# SPDX-License-Identifier: MIT
"""`connhist netstat INTERVAL`: the table again and again, until SIGINT."""
import csv
import fcntl
import io
import json
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import time

import pytest
from conftest import CONNHIST, PATIENCE, connhist

LISTENER = """
import socket, sys
kept = []
for line in sys.stdin:
    kept.append(socket.create_server(("127.0.0.1", int(line))))
    print("done", flush=True)
"""
TIME = re.compile(r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\S*$")


@pytest.fixture
def listen(netns):
    process = netns.python(LISTENER)

    def port(number):
        process.stdin.write(f"{number}\n")
        process.stdin.flush()
        assert process.stdout.readline() == "done\n"
    yield port
    process.stdin.close()
    process.wait(PATIENCE)


@pytest.fixture
def start(netns):
    """Starts connhist in the namespace; it is ended after the test."""
    started = []

    def run(*args, **options):
        process = subprocess.Popen(netns.command(CONNHIST, *args), **options)
        started.append(process)
        return process
    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait(PATIENCE)


def documents(text):
    """JSON objects, one behind the other."""
    decoder, found, text = json.JSONDecoder(), [], text.strip()
    while text:
        document, end = decoder.raw_decode(text)
        found.append(document)
        text = text[end:].lstrip()
    return found


def test_each_table_has_its_time(netns, listen):
    listen(80)
    lines = connhist("netstat", "-an", "--count", "3", "0.1", netns=netns).stdout.splitlines()
    times = [line for line in lines if TIME.match(line)]
    assert len(times) == 3 and times == sorted(times)
    assert sum("127.0.0.1:80 " in line for line in lines) == 3 and lines.count("") == 2


def test_programs_can_tell_the_repetitions_apart(netns, listen):
    listen(80)
    listen(8080)
    often = ("netstat", "-a", "--count", "3", "100ms", "--format")
    found = documents(connhist(*often, "json", netns=netns).stdout)
    assert [document["schema"] for document in found] == ["connhist/netstat/1"] * 3
    assert len({document["at_ms"] for document in found}) == 3
    assert all([row["local_port"] for row in document["rows"]] == [80, 8080] for document in found)
    rows = [json.loads(line) for line in connhist(*often, "jsonl", netns=netns).stdout.splitlines()]
    assert [row["local_port"] for row in rows] == [80, 8080] * 3 and len({row["at_ms"] for row in rows}) == 3
    rows = list(csv.DictReader(io.StringIO(connhist(*often, "csv", netns=netns).stdout)))
    assert [row["local_port"] for row in rows] == ["80", "8080"] * 3 and len({row["at_ms"] for row in rows}) == 3


@pytest.mark.parametrize("options", ["-s", "-e", "-rn", "-es"])
def test_the_other_tables_repeat_too(netns, options):
    found = documents(connhist("netstat", options, "--count", "2", "0.1", "--format", "json", netns=netns).stdout)
    assert len(found) == 2 and found[0]["at_ms"] < found[1]["at_ms"]


def test_it_shows_what_is_then_until_sigint(listen, start):
    listen(80)
    process = start("netstat", "-an", "--format", "jsonl", "0.1", stdout=subprocess.PIPE, text=True)
    assert json.loads(process.stdout.readline())["local_port"] == 80  # each table is written out
    listen(443)
    while json.loads(process.stdout.readline())["local_port"] != 443:
        pass
    process.send_signal(signal.SIGINT)
    process.stdout.read()
    assert process.wait(PATIENCE) == 0


def test_it_ends_with_its_reader(listen, start):
    listen(80)
    process = start("netstat", "-an", "0.1", stdout=subprocess.PIPE, text=True)
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(PATIENCE) in (0, -signal.SIGPIPE)


def test_a_resize_is_survived(listen, start):
    listen(80)
    ours, theirs = pty.openpty()
    process = start("netstat", "-an", "--color", "never", "0.1", stdout=theirs, stderr=theirs)
    reader = os.fdopen(ours, "r", newline="", errors="replace")

    def another():
        """Reads up to the end of a table's row."""
        while not reader.readline().startswith("tcp "):
            pass
    another()
    for columns in (200, 40, 1):
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        process.send_signal(signal.SIGWINCH)
        for _ in range(3):
            another()
    process.send_signal(signal.SIGINT)
    assert process.wait(PATIENCE) == 0
    os.close(theirs)
    reader.close()


@pytest.mark.parametrize("args, words", [
    (["0"], "too short"), (["0.05"], "too short"), (["soon"], "neither seconds"), (["1.2.3"], "neither seconds"),
    (["."], "neither seconds"), (["1.."], "neither seconds"), (["..5"], "neither seconds"), ([""], "neither seconds"),
    ([".05"], "too short"), (["0."], "too short"),
    (["1", "2"], "unexpected word 2"), (["--count", "3"], "goes with INTERVAL"), (["--count", "x", "1"], "--count x"),
    (["--at", "now", "1"], "one instant"), (["9" * 40], "too long")])
def test_wrong_intervals_are_refused_in_one_line(args, words):
    done = connhist("netstat", *args, status=2)
    assert words in done.stderr and done.stderr.count("\n") == 1 and done.stdout == ""


@pytest.mark.parametrize("interval", [".2", "0.2", "1.", "1", ".1"])
def test_seconds_need_no_digit_on_both_sides_of_the_point(netns, interval):
    began = time.monotonic()
    found = documents(connhist("netstat", "-an", "--count", "2", "--format", "json", interval, netns=netns).stdout)
    assert len(found) == 2 and time.monotonic() - began >= float(interval)  # it may take longer, but not less


@pytest.mark.parametrize("args", [["--port", "nothing"], ["--state", "x"], ["--peer", "x"], ["-e", "-a"], ["-r", "--table", "x"],
                                  ["--role", "server"], ["-p", "x"], ["-s", "-p", "x"], ["-l", "--state", "LISTEN"]])
def test_what_is_asked_wrongly_is_refused_before_a_first_table(args):
    done = connhist("netstat", *args, "1", status=2)
    assert done.stdout == "" and done.stderr.count("\n") == 1


def on_terminal(command, **environment):
    """What a program shows on a terminal."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs,
                               env={**os.environ, "TERM": "xterm", **environment})
    os.close(theirs)
    shown = b""
    while True:
        try:
            chunk = os.read(ours, 65536)
        except OSError:  # no end of that terminal is open any more
            chunk = b""
        if not chunk:
            break
        shown += chunk
    os.close(ours)
    assert process.wait(PATIENCE) == 0
    return shown.decode()


def test_tables_on_a_terminal_go_through_the_pager(netns, listen, tmp_path):
    listen(80)
    command, paged = netns.command(CONNHIST, "netstat", "-an"), tmp_path / "paged"
    pager = {"PAGER": f"cat > {paged}"}
    assert "127.0.0.1:80" not in on_terminal(command, **pager)
    assert "127.0.0.1:80" in paged.read_text()
    paged.unlink()
    for args, environment in ((["--no-pager"], pager), (["--count", "1", "1"], pager), (["--format", "json"], pager),
                              ([], {"PAGER": ""}), ([], {"PAGER": "cat"}), ([], {**pager, "TERM": "dumb"})):
        assert "80" in on_terminal([*command, *args], **environment) and not paged.exists()
    done = connhist("netstat", "-an", netns=netns, env={**os.environ, "TERM": "xterm", **pager})
    assert "127.0.0.1:80" in done.stdout and not paged.exists()


@pytest.mark.parametrize("pager, complaints", [
    ("nosuchpager", 1), ("nosuchpager -R +G", 1), ("{script}", 1), ("X=1 nosuchpager", 1), ("'{script}' -R", 1), ("  ", 0)])
def test_a_pager_that_cannot_be_run_costs_no_answer(netns, listen, tmp_path, pager, complaints):
    listen(80)
    script = tmp_path / "pager"  # which nobody may execute
    script.write_text("#!/bin/sh\ncat > /dev/null\n")
    for command in ("netstat", "-an"), ("netstat", "-es"):
        shown = on_terminal(netns.command(CONNHIST, *command), PAGER=pager.format(script=script))
        assert ("127.0.0.1:80" in shown) == (command[1] == "-an") and shown.count("can't be run") == complaints
        assert ("RECEIVED" in shown.upper()) == (command[1] == "-es")


def test_a_pager_that_fails_is_told(netns, listen):
    listen(80)
    shown = on_terminal(netns.command(CONNHIST, "netstat", "-an"), PAGER="exit 3;")
    assert "status 3" in shown and "--no-pager" in shown and "127.0.0.1:80" not in shown


MANY = """
import resource, socket, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (4000, 4000))
kept = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(3000)]
for i, one in enumerate(kept):
    one.bind(("127.0.0.1", 10000 + i))
print("ready", flush=True)
sys.stdin.read()
"""


def test_who_leaves_the_pager_early_hears_no_complaint(netns):
    """What is left to be written is more than a pipe holds."""
    process = netns.python(MANY)
    assert process.stdout.readline() == "ready\n"
    command = netns.command(CONNHIST, "netstat", "-an", "--color", "never")
    assert len(on_terminal([*command, "--no-pager"])) > 2 * 65536
    for pager in "head -n 2", "head -n 2 | cat", "true":
        shown = on_terminal(command, PAGER=pager).splitlines()
        assert len(shown) == (0 if pager == "true" else 2), pager
    process.stdin.close()
    process.wait(PATIENCE)
