# SPDX-License-Identifier: MIT
"""Words of ours and names of others are told apart, and what can't be looked into is said."""
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import BUILD, HERE, connhist, query, wait_until

CONNHISTD = BUILD / "src" / "connhistd" / "connhistd"
NOBODY = 65534
SERVER = """
import socket, sys
with open("/proc/self/comm", "w") as comm: comm.write(sys.argv[1])
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
sys.stdin.read()
"""


@pytest.fixture(name="serve")
def make_servers():
    started = []

    def start(name, **options):
        process = subprocess.Popen([sys.executable, "-c", SERVER, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   text=True, **options)
        started.append(process)
        return int(process.stdout.readline()), process.pid

    yield start
    for process in started:
        process.communicate("")


@pytest.mark.parametrize("name", ["(kernel)", "(unknown)", '"x"'])
def test_a_process_named_like_our_words_is_shown_in_quotes(serve, record, db, ask, name):
    port, pid = serve(name)
    record(HERE, "--once").wait()
    quoted = f'"{name}"'
    listed = connhist("--db", db, "list", "--port", str(port)).stdout
    assert f"{quoted}/{pid}" in listed
    for command in (("who", "--port", str(port)), ("report", "--port", str(port), "--by", "process", "--step", "1h")):
        assert quoted in connhist("--db", db, *command).stdout.split()
    assert [row["process"] for row in ask("who", "--port", str(port))["rows"]] == [name]
    assert [row["process"] for row in ask("list", "--port", str(port))["rows"]] == [name]
    rows = ask("report", "--port", str(port), "--by", "process", "--step", "1h")["rows"]
    assert {(row["process"], row["owner_source"]) for row in rows} == {(name, None)}


def test_an_empty_namespace_is_refused(record, db):
    record(HERE, "--once").wait()
    for command in ("list", "netstat", "report"):
        said = connhist("--db", db, command, "--netns=", status=2).stderr
        assert len(said.splitlines()) == 1 and "--netns" in said and "inode:" in said


def test_a_proc_that_hides_processes_is_counted_and_said(serve, tmp_path):
    """The recorder is another user's, in a mount namespace where /proc hides the processes of others."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount")
    mounts = "mount -t proc -o hidepid=2 proc /proc"
    if subprocess.run(["unshare", "-m", "sh", "-c", mounts], capture_output=True, check=False).returncode:
        pytest.skip("no mount namespace, or no /proc of one's own")
    port, _ = serve("hidden")
    home = Path("/tmp") / f"connhist-words-{os.getpid()}"
    home.mkdir(mode=0o755)
    try:
        shutil.copy(CONNHISTD, home / "connhistd")
        os.chown(home, NOBODY, NOBODY)
        path = home / "db"
        recorder = f"exec setpriv --reuid {NOBODY} --regid {NOBODY} --clear-groups {home}/connhistd --db {path} --interval 200ms"
        process = subprocess.Popen(["unshare", "-m", "sh", "-c", f"{mounts} && {recorder}"], stderr=subprocess.DEVNULL)
        try:
            wait_until(lambda: path.exists() and query_or_none(path, port), "a socket that is denied")
        finally:
            process.terminate()
            assert process.wait(60) == 0
        assert query(path, f"SELECT process, owner_source FROM sockets WHERE local_port = {port}") == [(None, "unknown")]
        said = connhist("--db", path, "status").stdout
        assert "of processes that can't be looked into" in said
        assert "CAP_SYS_PTRACE" in said
        assert " 0 of processes that can't" not in said
    finally:
        shutil.rmtree(home)


def query_or_none(path, port):
    """Whether the socket is there and some are counted as denied."""
    try:
        denied = query(path, "SELECT max(owners_denied) FROM recordings")[0][0]
        return denied and query(path, f"SELECT 1 FROM sockets WHERE local_port = {port}")
    except sqlite3.OperationalError:  # not there yet
        return False


@pytest.mark.parametrize("given, meant", [
    ("--st", {"--state", "--statistics"}), ("--n", {"--netns", "--no-pager", "--numeric"}), ("--un=7", {"--unit", "--until"}),
    ("--pro", {"--program", "--proto", "--process"}), ("--t", {"--table"})])
def test_an_abbreviation_of_several_options_is_answered_with_them(given, meant):
    if len(meant) == 1:
        assert "no table" not in connhist("netstat", "-rn", given, "main").stderr
        return
    said = connhist("netstat", "-an", given, status=2).stderr
    assert said.count("\n") == 1 and f"{given.partition('=')[0]} is ambiguous: " in said
    assert meant <= set(said.partition(": ")[2].replace(";", ",").replace(":", ",").replace(",", " ").split())
    assert "did you mean" not in said and "unknown" not in said


def test_a_word_in_capitals_has_neighbours_too():
    assert "did you mean tcpv6?" in connhist("netstat", "-an", "-p", "TCPV5", status=2).stderr.replace("tcpv4", "tcpv6")
    assert "did you mean --netns?" in connhist("netstat", "--NETNSS", "x", status=2).stderr


def test_a_namespace_is_asked_for_as_readlink_shows_it(netns, tmp_path, db, record):
    """Whatever name it has, now and of the record."""
    there = netns.python(SERVER.replace('open("/proc/self/comm", "w")', 'open("/dev/null", "w")'), "x")
    port = there.stdout.readline().strip()
    link = os.readlink(f"/proc/{there.pid}/ns/net")
    while link == os.readlink("/proc/self/ns/net"):  # until ip(8) is in it; the port is printed from there
        link = os.readlink(f"/proc/{there.pid}/ns/net")
    config = tmp_path / "words.yaml"
    config.write_text(f"namespaces: {{include: [{netns.name}]}}\n")
    record(HERE, "--config", config, "--once").wait()
    number = link.strip("net:[]")
    for args in ([], ["--at", "now"]):
        for wanted in link, f"inode:{number}", netns.name:
            done = connhist("--db", db, "netstat", "-an", *args, "--netns", wanted, "--format", "jsonl")
            assert [row for row in done.stdout.splitlines() if f'"local_port":{port},' in row.replace(" ", "")], (args, wanted)
    assert connhist("--db", db, "list", "--netns", link, "--format", "csv").stdout.count(f",{port},") == 1
    own = os.readlink("/proc/self/ns/net")
    assert "net:[" in own and connhist("netstat", "-an", "--netns", own).stderr in ("", "connhist: no socket matches\n")
    for wrong in "net:[", "net:[x]", f"{link}]", "inode:x":
        said = connhist("netstat", "-an", "--netns", wrong, status=2).stderr
        assert said.count("\n") == 1 and "net:[4026531840]" in said
    there.communicate("")
