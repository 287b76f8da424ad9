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
