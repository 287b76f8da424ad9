# SPDX-License-Identifier: MIT
"""--port 80 finds port 80: not 8080, 1180, 8000, and not a pid, user, program or address that is 80."""
import collections
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import CONNHIST, CONNHISTD
from socket_tables import SS_STATES, endpoint, table

APART = ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]


@pytest.fixture(name="answer", scope="module")
def make_answer(tmp_path_factory):
    if os.geteuid() != 0 or subprocess.run(
            [*APART, "sh", "-c", "echo 50 > /proc/sys/kernel/ns_last_pid && ip link set lo up"], check=False,
            capture_output=True).returncode != 0:
        pytest.skip("a pid namespace that tells which pid comes next needs root and ns_last_pid")
    path = tmp_path_factory.mktemp("port") / "port.db"
    done = subprocess.run([*APART, "sh", "-c", 'ip link set lo up && exec "$@"', "sh", sys.executable,
                           Path(__file__).with_name("port_only.py"), CONNHIST, CONNHISTD, path], text=True,
                          capture_output=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def told_by_ss(text):
    rows = collections.Counter()
    for line in text.splitlines():
        state, _, _, local, remote = line.split()
        rows["tcp", SS_STATES.get(state, state), *endpoint(local), *endpoint(remote)] += 1
    return rows


def test_others_have_an_80_in_all_but_the_port(answer):
    """A search for "80" in the text, as one would pipe it, finds every line."""
    others = [row for row in answer["all"] if 80 not in (row["local_port"], row["remote_port"])]
    assert {(row["pid"], row["process"], row["uid"]) for row in others} == {(80, "80", 80)}
    assert {8080, 1180, 8000, 4242} <= {row["local_port"] for row in others}
    assert "127.0.0.80" in {row["local_address"] for row in others}
    assert len(answer["text"].splitlines()) == 19 and all("80" in line for line in answer["text"].splitlines()[1:])


@pytest.mark.parametrize("question", ["netstat", "at", "list", "diff"])
def test_the_port_is_found_and_nothing_else(answer, question):
    wanted = told_by_ss(answer["ss"])
    assert sum(wanted.values()) == 6
    assert table(answer[question]) == wanted
    assert {row["pid"] for row in answer[question]} == {answer["holder"]}


def test_what_opened_is_told_of_the_port_alone(answer):
    assert {row["change"] for row in answer["diff"]} == {"opened"}


def test_nobody_else_held_the_port(answer):
    assert answer["who"] and {row["pid"] for row in answer["who"]} == {answer["holder"]}
    assert {row["port"] for row in answer["who"]} == {80}
