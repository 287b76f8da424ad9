# SPDX-License-Identifier: MIT
"""A pid that is given to another process, which has nothing to do with the sockets of the first."""
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import BUILD

CONNHISTD = BUILD / "src" / "connhistd" / "connhistd"
APART = ["unshare", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"]


@pytest.fixture(name="answer", scope="module")
def make_answer(tmp_path_factory):
    if os.geteuid() != 0 or subprocess.run(
            [*APART, "sh", "-c", "echo 50 > /proc/sys/kernel/ns_last_pid && ip link set lo up"], check=False,
            capture_output=True).returncode != 0:
        pytest.skip("a pid namespace that tells which pid comes next needs root and ns_last_pid")
    path = tmp_path_factory.mktemp("reuse") / "reuse.db"
    done = subprocess.run([*APART, "sh", "-c", 'ip link set lo up && exec "$@"', "sh", sys.executable,
                           Path(__file__).with_name("pid_reuse.py"), CONNHISTD, path], text=True, capture_output=True,
                          check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_pids_were_given_twice(answer):
    first, second, third, fourth, heir = answer["pids"]
    assert first == second and third == fourth != heir


def test_each_socket_has_the_process_that_made_it(answer):
    assert answer["seen"] == [True] * 5, answer
    for i, name in enumerate(("first", "second")):
        assert {tuple(row[:2]) for row in answer["rows"][name]} == {(answer["pids"][i], name)}
    assert {tuple(row[:2]) for row in answer["rows"]["fourth"]} == {(answer["pids"][3], "fourth")}


def test_who_got_the_pid_gets_none_of_the_sockets_that_its_first_bearer_passed_on(answer):
    assert {tuple(row[:2]) for row in answer["rows"]["third"]} == {(answer["pids"][4], "third-heir")}
    names = {name for port, _, name in answer["owners"] if port in answer["ports"]["third"]}
    assert "third" in names and names <= {"third", "third-heir", None}
