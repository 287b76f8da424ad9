# SPDX-License-Identifier: MIT
"""Names of route tables: `connhist netstat -r` has them from where `ip route` has them, and shows as much."""
import collections
import json
import os
import subprocess

import pytest

from conftest import CONNHIST, connhist, strict_json
from test_tables import ROUTES, ip_routes, our_routes, while_still

NAMES = """#
# reserved
255\tlocal
254\tmain
253\tdefault
0\tunspec
  100 \tvpn
0x7 seven # in hexadecimal
1000 twice
not a line
-5 negative
42
43x wrong
"""
CONF = {"backup.conf": "100000 backup\n1000 again\n", "ignored.txt": "300 ignored\n", ".hidden.conf": "300 hidden\n"}


class Covered:
    """A namespace whose programs see an /etc/iproute2 of the test's."""

    def __init__(self, netns, folder):
        self.netns, self.folder = netns, folder

    def run(self, *args, check=True, **options):
        script = f'mount --bind {self.folder} /etc/iproute2 && exec "$@"'
        command = self.netns.command("unshare", "--mount", "sh", "-c", script, "sh", *args)
        return subprocess.run(command, check=check, **{"text": True, "capture_output": True, "timeout": 300, **options})


@pytest.fixture
def named(netns, tmp_path):
    if not os.path.isdir("/etc/iproute2"):
        pytest.skip("no /etc/iproute2 to cover")
    folder = tmp_path / "iproute2"
    (folder / "rt_tables.d").mkdir(parents=True)
    (folder / "rt_tables").write_text(NAMES)
    for name, text in CONF.items():
        (folder / "rt_tables.d" / name).write_text(text)
    for line in (*ROUTES.strip().splitlines(), "route add 10.8.0.0/16 dev v0 table 1000"):
        netns.run("ip", *line.split())
    covered = Covered(netns, folder)
    done = covered.run("true", check=False)
    if done.returncode:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")
    return covered


def shown(named, *args):
    done = named.run(CONNHIST, "netstat", "-r", "--format", "json", *args)
    return strict_json(done.stdout)["rows"]


def test_tables_have_the_names_that_ip_shows(named):
    told, found = while_still(lambda: ip_routes(named, "table", "all"), lambda: shown(named, "-a"))
    assert our_routes(found) == told
    ids = {row["route_table"]: row["route_table_id"] for row in found}
    assert ids == {"main": 254, "local": 255, "default": 253, "vpn": 100, "seven": 7, "again": 1000, "backup": 100000,
                   "300": 300}


@pytest.mark.parametrize("name, number", [("vpn", 100), ("seven", 7), ("backup", 100000), ("again", 1000), ("main", 254),
                                          ("twice", 1000)])
def test_a_table_can_be_asked_for_by_its_name(named, name, number):
    """A number has one name that is shown, and is found by each."""
    found = shown(named, "--table", name)
    assert found == shown(named, "--table", str(number)) and {row["route_table_id"] for row in found} == {number}
    told = json.loads(named.run("ip", "-j", "-4", "route", "show", "table", name).stdout)
    assert [row["destination"].removesuffix("/32").replace("0.0.0.0/0", "default") for row in found
            if row["family"] == "ipv4" and row["way"] in (1, None)] == sorted(
                (route["dst"] for route in told), key=lambda text: (text != "default", text))
    title = named.run(CONNHIST, "netstat", "-rn", "--table", name).stdout.splitlines()[0]
    assert title == "Routes of table " + {"twice": "again"}.get(name, name)


@pytest.mark.parametrize("name", ["unspec", "ignored", "hidden", "negative", "not", "wrong", "VPN", "nosuch"])
def test_what_names_no_table_is_refused(named, name):
    done = named.run(CONNHIST, "netstat", "-r", "--table", name, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert name in done.stderr and "rt_tables" in done.stderr


def test_routes_of_the_past_are_those_that_ip_showed_then(named, netns, record, db):
    """Also many ways, routes that lead nowhere, IPv6, and tables that have gone since."""
    told = while_still(lambda: ip_routes(named, "table", "all"), lambda: record(netns, "--once").wait())[0]
    netns.run("ip", "route", "flush", "table", "100")
    netns.run("ip", "route", "del", "10.0.0.0/8")
    netns.run("ip", "-6", "route", "flush", "table", "main")
    past = our_routes(shown(named, "--table", "all", "--at", "now", "--db", db))
    assert past == told
    gone = past - collections.Counter(our_routes(shown(named, "-a")))
    assert {row[0] for row in gone} >= {"vpn", "main"} and {row[1] for row in gone} == {"ipv4", "ipv6"}
    for args in (["-rn"], ["-nr", "--table", "vpn"], ["-rna"]):
        lines = named.run(CONNHIST, "--db", db, "netstat", *args, "--at", "now").stdout.splitlines()
        assert lines[0].startswith("Reading of ") and len(lines) > 3
    assert connhist("--db", db, "netstat", "-r", "--table", "main", "--at", "now", netns=netns).stdout
