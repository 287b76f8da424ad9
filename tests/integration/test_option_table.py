# SPDX-License-Identifier: MIT
"""netstat's letters, each with each: every order and bundle of the same ones asks the same, and what does not go together
is refused in one line."""
import itertools
import re

import pytest

from conftest import CONNHIST

LETTERS = "abeflnorst"
SOCKETS = """
import socket, sys
listener = socket.create_server(("127.0.0.1", 80))
client = socket.create_connection(("127.0.0.1", 80))
server = listener.accept()[0]
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    return tmp_path_factory.mktemp("table") / "connhist.db"


@pytest.fixture
def host(netns, record, recorded):
    process = netns.python(SOCKETS)
    assert process.stdout.readline() == "ready\n"
    record(netns, "--once", path=recorded).wait()
    yield netns
    process.stdin.close()
    process.wait(60)


def ask(netns, db, *args):
    """(status, what was refused, columns of the tables)"""
    done = netns.run(CONNHIST, "--db", db, "netstat", *args, check=False)
    assert done.returncode in (0, 2), (args, done)
    if done.returncode == 2:
        assert done.stdout == "" and done.stderr.startswith("connhist: ") and done.stderr.count("\n") == 1, (args, done)
        assert done.stderr.endswith("\n") and len(done.stderr) > 30, (args, done)
        return 2, done.stderr, None
    headings = [tuple(line.split()) for line in done.stdout.splitlines() if re.fullmatch(r"[A-Z][A-Z0-9 -]+", line)]
    assert headings, (args, done)
    return 0, None, headings


def forms(letters):
    """Ways to write some letters: bundled, alone, partly bundled, in every order."""
    for order in itertools.permutations(letters):
        yield ["-" + "".join(order)]
        yield [f"-{letter}" for letter in order]
        if len(order) > 2:
            yield ["-" + "".join(order[:2]), *(f"-{letter}" for letter in order[2:])]


@pytest.mark.parametrize("when", [[], ["--at", "now"]])
def test_each_letter_goes_with_each_or_says_why_not(host, recorded, when):
    statuses = {}
    for letters in [*LETTERS, *itertools.combinations(LETTERS, 2)]:
        found = [ask(host, recorded, *form, *when) for form in forms(letters)]
        found += [ask(host, recorded, *when, *form) for form in forms(letters) if when]
        assert all(one == found[0] for one in found), (letters, found)
        statuses["".join(letters)] = found[0][0]
    sockets, tables = "abflno", "ers"
    wanted = dict.fromkeys(statuses, 0)
    for pair in wanted:
        if len(pair) < 2:
            continue
        one = set(pair) & set(tables)
        # Other tables have nothing of what is about sockets; -n changes nothing, -a means something to -r and -s.
        if one and set(pair) & set("bflot") or set(pair) == set("ae"):
            wanted[pair] = 2
    assert statuses == wanted
    assert all(wanted["".join(pair)] == 0 for pair in itertools.combinations(sockets, 2))


@pytest.mark.parametrize("letters", ["ano", "anb", "rna", "esn", "ers", "anob", "ert", "aen"])
@pytest.mark.parametrize("when", [[], ["--at", "now"]])
def test_bundles_ask_the_same_in_any_order(host, recorded, letters, when):
    found = [ask(host, recorded, *form, *when) for form in forms(letters)]
    assert all(one == found[0] for one in found), found


@pytest.mark.parametrize("args, protocols", [
    (["-an"], ["tcp", "udp", "tcpv4", "udpv4", "tcpv6", "udpv6"]),
    (["-s"], ["ip", "ipv6", "icmp", "icmpv6", "tcp", "tcpv6", "udp", "udpv6"]),
    (["-r"], ["ip", "ipv6"])])
def test_a_protocol_stands_anywhere_in_a_bundle_or_is_refused(host, recorded, args, protocols):
    letters = args[0][1:]
    for name in ["tcp", "udp", "tcpv4", "udpv4", "tcpv6", "udpv6", "ip", "ipv6", "icmp", "icmpv6", "sctp"]:
        found = [ask(host, recorded, *form) for form in (
            [f"-{letters}", "-p", name], ["-p", name, f"-{letters}"], [f"-{letters}p{name}"], [f"-{letters}p", name],
            [f"-{letters}", f"--proto={name.upper()}"])]
        assert {one[0] for one in found} == {0 if name in protocols else 2}, (name, found)
        assert len({str(one[2]) for one in found}) == 1


@pytest.mark.parametrize("args, words", [
    (["-tulpn"], "-lnb"), (["-tunap"], "-p udp"), (["-anu"], "-p udp"), (["-tlnp"], "programs are -b"), (["-antp"], "programs are -b"),
    (["-plant"], "programs are -b"), (["-plnt"], "programs are -b"), (["-anpt"], "programs are -b"), (["-pan"], "programs are -b"),
    (["-4"], "tcpv4"), (["-an6"], "tcpv6"), (["-i"], "-e --by interface"), (["-anc"], "an interval as last word"),
    (["-W"], "nothing is cut"), (["-x"], "TCP and UDP"), (["--tcp"], "-p tcp"), (["--udp"], "-p udp"), (["--listening"], "-l"),
    (["-v"], "-a -b -o"), (["--verbose"], "-a -b -o"), (["-ag"], "multicast"), (["--groups"], "multicast"), (["--timers"], "not shown"),
    (["--programs"], "-b"), (["--numeric-ports"], "-n"), (["--continuous"], "an interval"), (["-an", "-1"], "not negative"),
    (["-ae"], "without -e"), (["-ane"], "without -e"), (["-lr"], "about sockets"), (["-l", "--state", "listen"], "exclude")])
def test_what_other_netstats_call_otherwise_is_told(host, recorded, args, words):
    status, text, _ = ask(host, recorded, *args)
    assert status == 2 and words in text, text


def test_what_is_said_to_type_instead_works(host, recorded):
    for words in (["-lnb"], ["-p", "udp"], ["-anb"], ["-a", "-b", "-o"], ["-e", "--by", "interface"], ["-an", "--count", "1", "1"], ["-anp", "tcp"],
                  ["-p", "tcpv4"], ["-p", "tcp6"], ["-p", "udp4"]):
        assert ask(host, recorded, *words)[0] == 0


def test_the_families_have_the_names_that_other_netstats_print(host, recorded):
    def rows(name):
        return host.run(CONNHIST, "--db", recorded, "netstat", "-anp", name, "--format", "csv").stdout
    assert rows("tcp4") == rows("tcpv4") and "127.0.0.1" in rows("tcp4") and "127.0.0.1" not in rows("tcp6")


TIMES = ["--at=-1h", "--since=-1h", "--until=now", "1"]


@pytest.mark.parametrize("letters", ["", "s", "e", "r", "es", "rs", "ers"])
def test_instants_spans_and_intervals_exclude_each_other(host, recorded, letters):
    """Of two or more of them only --since with --until goes, with counters; each refusal names what it refuses."""
    first = [f"-{letters}"] if letters else []
    for n in range(2, len(TIMES) + 1):
        for words in itertools.combinations(TIMES, n):
            if words == ("--since=-1h", "--until=now") and letters in ("s", "e", "es"):
                continue
            for order in itertools.permutations(words):
                status, text, _ = ask(host, recorded, *first, *order)
                assert status == 2 and any(word in text for word in ("--at", "--since", "--until", "INTERVAL")), order


@pytest.mark.parametrize("letter", "se")
@pytest.mark.parametrize("since, until, words", [
    ("now", "1h ago", "--since now ({now}) is not before --until 1h ago ({hour})"),
    ("1h ago", "2h ago", "--since 1h ago ({hour}) is not before --until 2h ago ("),
    ("-1h", "-1h", "is not before --until"),
    ("tomorrow", "now", "is not before --until now"),
    ("now", None, "--since now is not in the past"),
    ("tomorrow", None, "--since tomorrow is not in the past"),
    ("tomorrow", "tomorrow 01:00", "--since tomorrow is not in the past")])
def test_a_span_that_ends_before_it_begins_is_told_with_its_times(host, recorded, letter, since, until, words):
    more = ["--until", until] if until else []
    status, text, _ = ask(host, recorded, f"-{letter}", "--utc", "--since", since, *more)
    pattern = re.escape(words).replace(r"\{now\}", r"[-\dTZ: ]+").replace(r"\{hour\}", r"[-\dTZ: ]+")
    assert status == 2 and re.search(pattern, text)
