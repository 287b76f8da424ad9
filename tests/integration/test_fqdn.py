# SPDX-License-Identifier: MIT
"""netstat -f: names of remote addresses, asked for in parallel and never waited for long, from a name server of the test's."""
import csv
import io
import os
import re
import subprocess
import time

import pytest

from conftest import CONNHIST, SANITIZER

pytestmark = pytest.mark.skipif(SANITIZER == "tsan", reason="the C library's resolver has locks that TSan does not see")


# Answers PTR questions for 127.0.0.N by what N asks for; counts them on stdout.
SERVER = r"""
import socket, struct, sys, threading, time
names = {2: b"web.example.org", 3: b"db-1.example.org", 4: b"evil\x1b[31m.example.org", 5: b"10.1.2.3",
         6: b"two words.example.org", 7: b"-rf.example.org",
         20: b"inv\xff\xfealid.example.org", 21: b".".join([b"x" * 61] * 4), 22: b"\xe2\x80\xae.example.org",
         23: b"=cmd.example.org", 24: b"a\nb\ttcp.example.org", 25: b"a\0b.example.org", 26: b"::1", 27: b"[evil]",
         28: b"%n%s.example.org", 29: b"\x9b31m.example.org", 30: b".".join([b"y" * 63] * 4),
         12: b"second.example.org", 13: b"third.example.org",
         31: b"1234", 32: b"0x7f000001", 33: b"0x7f.1", 34: b"1234.example.org"}
asked_for, times = [0], {}
udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
udp.bind(("127.0.0.1", 53))
print("ready", flush=True)

def reply(question, peer):
    labels, at = [], 12
    while question[at]:
        labels.append(question[at + 1:at + 1 + question[at]])
        at += 1 + question[at]
    asked = question[12:at + 5]
    last = int(labels[0]) if labels[0].isdigit() else 0
    if last == 9 or last >= 100:
        return  # never an answer
    if last in (12, 13):  # not to the first question, or the first two
        times[last] = times.get(last, 0) + 1
        if times[last] < last - 10:
            return
    if last == 8:
        time.sleep(0.3)
    if last == 11:
        asked_for[0] += 1
    name = b"asked-%d.example.org" % asked_for[0] if last == 11 else names.get(last, b"slow.example.org" if last == 8 else None)
    head = question[:2] + struct.pack("!HHHHH", 0x8180 if name else 0x8183, 1, 1 if name else 0, 0, 0)
    if not name:
        udp.sendto(head + asked, peer)
        return
    if last in (5, 26):
        parts = [name]  # one label with dots in it
    else:
        parts = name.split(b".")
    data = b"".join(bytes([len(part)]) + part for part in parts) + b"\0"
    udp.sendto(head + asked + b"\xc0\x0c" + struct.pack("!HHIH", 12, 1, 60, len(data)) + data, peer)

while True:
    question, peer = udp.recvfrom(4096)
    threading.Thread(target=reply, args=(question, peer), daemon=True).start()
"""

# Listens on a port, connects to itself from 127.0.0.N for each N, and waits.
SOCKETS = r"""
import socket, sys
listener = socket.create_server(("127.0.0.1", 4711), backlog=256)
held = []
for n in map(int, sys.argv[1:]):
    client = socket.socket()
    client.bind((f"127.0.0.{n}", 0))
    client.connect(("127.0.0.1", 4711))
    held += [client, listener.accept()[0]]
print("ready", flush=True)
sys.stdin.read()
"""


def put_resolv_conf(netns, tmp_path, nameserver, hosts):
    """A shell prefix under which programs see a resolv.conf and, if there are `hosts`, an /etc/hosts of the test's, in a
    mount namespace of their own."""
    conf, switch, known = (tmp_path / name for name in ("resolv.conf", "nsswitch.conf", "hosts"))
    conf.write_text(f"nameserver {nameserver}\n")
    switch.write_text("hosts: files dns\n" if hosts else "hosts: dns\n")
    known.write_text(hosts)
    script = f'mount --bind {conf} /etc/resolv.conf && mount --bind {switch} /etc/nsswitch.conf && '
    if hosts:
        script += f'mount --bind {known} /etc/hosts && '
    script += 'exec "$@"'
    return netns.command("unshare", "--mount", "sh", "-c", script, "sh")


@pytest.fixture
def ask_names(netns, tmp_path):
    """Runs connhist in the namespace with a name server at 127.0.0.1, or at an address where none is."""
    def run(*args, nameserver="127.0.0.1", hosts="", **environment):
        if not os.path.exists("/etc/resolv.conf") or not os.path.exists("/etc/nsswitch.conf"):
            pytest.skip("no /etc/resolv.conf or /etc/nsswitch.conf to cover")
        done = subprocess.run([*put_resolv_conf(netns, tmp_path, nameserver, hosts), CONNHIST, *args], text=True,
                              capture_output=True, env={**os.environ, **environment}, timeout=120, check=False)
        if "mount" in done.stderr and done.returncode:
            pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")
        assert done.returncode == 0, done.stderr
        return done
    return run


@pytest.fixture
def held(netns):
    """Sockets with 127.0.0.N as remote ends."""
    started = []

    def hold(*numbers):
        program = netns.python(SOCKETS, *numbers)
        started.append(program)
        assert program.stdout.readline() == "ready\n"
    yield hold
    for program in started:
        program.stdin.close()
        program.wait(timeout=60)


@pytest.fixture
def server(netns):
    program = netns.python(SERVER)
    assert program.stdout.readline() == "ready\n"
    yield program
    program.kill()
    program.wait(timeout=60)


def remote(text):
    """Shown remote addresses and names of what was accepted, by the last number of the address."""
    rows = [row for row in csv.DictReader(io.StringIO(text)) if row["local_port"] == "4711"]
    return {int(row["remote_address"].rpartition(".")[2]): row["remote_name"] for row in rows}


def test_names_are_found_and_what_is_none_is_left_out(ask_names, held, server):
    held(2, 3, 4, 5, 6, 7, 8, 10)
    done = ask_names("netstat", "-f", "--format", "csv", "--port", "4711")
    assert remote(done.stdout) == {2: "web.example.org", 3: "db-1.example.org", 4: "", 5: "", 6: "", 7: "",
                                   8: "slow.example.org", 10: ""}
    assert "\x1b" not in done.stdout
    table = ask_names("netstat", "-nf", "--port", "4711").stdout
    assert " web.example.org:" in table and " 127.0.0.4:" in table and "\x1b" not in table


@pytest.mark.parametrize("form", ["csv", "json", "table"])
def test_a_hostile_name_is_no_name(ask_names, held, server, form):
    """Escape codes, invalid UTF-8, names as long as can be or longer, what begins a formula or looks like an address."""
    held(*range(20, 35), 2)
    text = ask_names("netstat", "-nf", "--format", form, "--port", "4711").stdout
    assert all(character.isprintable() or character == "\n" for character in text)
    assert text.isascii() and "web.example.org" in text and not {"evil", "alid", "cmd", "31m"} & set(text.split("."))
    if form == "csv":
        longest = ".".join(["x" * 61] * 4)
        assert remote(text) == {2: "web.example.org", 21: longest, 34: "1234.example.org",
                                **{n: "" for n in range(20, 34) if n != 21}}
    if form == "table":
        # each row has its columns in spite of the name
        lines = text.splitlines()
        assert {len(line.split()) for line in lines[1:]} == {len(lines[0].split())}


def test_without_f_nobody_is_asked(ask_names, held, server):
    held(2)
    assert remote(ask_names("netstat", "--format", "csv").stdout) == {2: ""}


def test_one_that_never_answers_does_not_hide_the_others(ask_names, held, server):
    held(2, 9)
    began = time.monotonic()
    done = ask_names("netstat", "-f", "--format", "csv")
    assert remote(done.stdout) == {2: "web.example.org", 9: ""}
    # the resolver's own patience is 10 s for each; that is told apart without looking at milliseconds
    assert time.monotonic() - began < 9


def test_a_dead_name_server_delays_all_rows_together(ask_names, held, netns):
    silent = netns.python("import socket, sys\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
                          "s.bind(('127.0.0.99', 53))\nprint('ready', flush=True)\nsys.stdin.read()")
    assert silent.stdout.readline() == "ready\n"
    held(*range(2, 82))
    began = time.monotonic()
    done = ask_names("netstat", "-f", "--format", "csv", nameserver="127.0.0.99")
    assert set(remote(done.stdout).values()) == {""} and len(remote(done.stdout)) == 80
    assert time.monotonic() - began < 9
    # what asks for the names has sockets, too, which still wait: nobody asked for those
    rows = list(csv.DictReader(io.StringIO(done.stdout)))
    assert rows and not [row for row in rows if row["remote_port"] == "53"]
    silent.stdin.close()
    silent.wait(timeout=60)


def test_what_the_record_has_is_named_too(ask_names, held, server, record, netns, db):
    held(2, 3)
    recorder = record(netns, "--interval", "200ms")
    recorder.wait_snapshots(2)
    recorder.stop()
    done = ask_names("--db", str(db), "netstat", "-f", "--at", "now", "--format", "csv")
    assert remote(done.stdout) == {2: "web.example.org", 3: "db-1.example.org"}


def test_repetitions_ask_once(ask_names, held, server):
    held(11)
    text = ask_names("netstat", "-f", "--format", "csv", "--port", "4711", "--count", "4", "0.1").stdout
    rows = [row for row in csv.DictReader(io.StringIO(text)) if row["local_port"] == "4711"]
    assert len(rows) == len({row["at_ms"] for row in rows}) == 4
    assert len({row["remote_name"] for row in rows} - {""}) == 1 and rows[-1]["remote_name"].startswith("asked-")


def remote_at_last(text):
    """What remote() gives for the last of several tables."""
    rows = list(csv.DictReader(io.StringIO(text)))
    last = max(int(row["at_ms"]) for row in rows)
    return {int(row["remote_address"].rpartition(".")[2]): row["remote_name"] for row in rows
            if row["local_port"] == "4711" and int(row["at_ms"]) == last}


SILENT = [n for n in range(100, 198) if n != 150]
IN_HOSTS = "127.0.0.150 hosts.example.org\n"


def test_many_without_an_answer_do_not_keep_others_from_theirs(ask_names, held, server):
    """Those that are silent have more sockets than the others, so that they are asked for first."""
    held(*SILENT, *SILENT, 150, 2, 3)
    wanted = {2: "web.example.org", 3: "db-1.example.org", 150: "hosts.example.org", **{n: "" for n in SILENT}}
    done = ask_names("netstat", "-nf", "--format", "csv", "--port", "4711", "--count", "6", "0.5", hosts=IN_HOSTS)
    assert remote_at_last(done.stdout) == wanted
    # told once, when they were waited for; where others kept the processor more may have come late
    told = re.fullmatch(r"connhist: the resolver had no answer in time for (\d+) addresses, shown as numbers\n", done.stderr)
    assert told and len(SILENT) <= int(told[1]) <= len(wanted) + 1  # 127.0.0.1
    # One table alone has two seconds, which may go to others: once of some times it is enough.
    for _ in range(5):
        done = ask_names("netstat", "-nf", "--format", "csv", "--port", "4711", hosts=IN_HOSTS)
        if remote(done.stdout) == wanted and f" {len(SILENT)} addresses" in done.stderr:
            break
    else:
        pytest.fail(f"five times in vain: {remote(done.stdout)}, {done.stderr}")


def test_what_had_no_answer_is_asked_for_again(ask_names, held, server):
    held(12, 13)
    done = ask_names("netstat", "-nf", "--format", "csv", "--port", "4711", "--count", "12", "1")
    assert remote_at_last(done.stdout) == {12: "second.example.org", 13: "third.example.org"}


def test_options_of_the_resolver_that_are_set_hold(ask_names, held, server):
    """With that patience no second question is asked."""
    held(12)
    done = ask_names("netstat", "-nf", "--format", "csv", "--port", "4711", "--count", "4", "1", RES_OPTIONS="timeout:60")
    assert remote_at_last(done.stdout) == {12: ""} and "for 1 address," in done.stderr


def test_a_name_server_that_refuses_is_not_waited_for(ask_names, held, netns):
    held(2, 3)
    done = ask_names("netstat", "-nf", "--format", "csv", "--port", "4711", nameserver="127.0.0.77")
    assert remote(done.stdout) == {2: "", 3: ""} and re.search("for [23] addresses", done.stderr)


def test_options_about_addresses_are_refused_by_other_tables(ask_names):
    for option in ("-s", "-e", "-r"):
        done = subprocess.run([CONNHIST, "netstat", option, "-f"], text=True, capture_output=True, check=False, timeout=60)
        assert done.returncode == 2 and done.stderr.count("\n") == 1 and "--fqdn" in done.stderr
