# SPDX-License-Identifier: MIT
"""Questions that have no plain answer are refused or answered with what is not known, never as if nothing was there."""
import os
import signal
import subprocess
import time

import pytest

from conftest import CONNHIST, CONNHISTD, connhist, strict_json, wait_until
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
