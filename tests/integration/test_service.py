# SPDX-License-Identifier: MIT
"""The service as it is installed: what systemd says of its unit, and how it lives in the sandbox that the unit asks for."""
import os
import re
import shutil
import signal
import stat
import subprocess
from pathlib import Path
from tempfile import mkdtemp

import pytest

from conftest import BUILD, CONNHIST, CONNHISTD, HERE, SANITIZER, SOURCE, Recorder, strict_json, wait_until

CONFIG = SOURCE / "config"
CAPABILITIES = ["CAP_DAC_READ_SEARCH", "CAP_NET_ADMIN", "CAP_SYS_ADMIN", "CAP_SYS_PTRACE"]
NUMBER = {"CAP_DAC_READ_SEARCH": 2, "CAP_NET_ADMIN": 12, "CAP_SYS_PTRACE": 19, "CAP_SYS_ADMIN": 21}
OWN_SYSTEMD = SOURCE / "tests" / "integration" / "own_systemd.sh"


def tool(*args, **options):
    assert shutil.which(args[0]), f"no {args[0]}: apt-get install systemd"
    return subprocess.run([str(arg) for arg in args], text=True, capture_output=True, check=False, timeout=300,
                          stdin=subprocess.DEVNULL, **options)


@pytest.fixture
def unit(tmp_path):
    """The unit as built, in a folder of its own, with a program that exists."""
    path = tmp_path / "units" / "connhistd.service"
    path.parent.mkdir()
    text = (BUILD / "config" / "connhistd.service").read_text()
    path.write_text(re.sub(r"^ExecStart=\S+", f"ExecStart={CONNHISTD}", text, flags=re.M))
    return path


@pytest.fixture
def own_namespace(unit):
    """The same with the drop-in."""
    shutil.copytree(CONFIG / "connhistd.service.d", unit.parent / "connhistd.service.d")
    return unit


def settings(path):
    """The unit's settings, each with its values in order."""
    found = {}
    for line in path.read_text().splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            found.setdefault(name, []).append(value)
    return found


# What systemd says

def exposure(unit):
    done = tool("systemd-analyze", "security", "--offline=true", "--no-pager", unit)
    return float(re.search(r"Overall exposure level for connhistd.service: ([\d.]+)", done.stdout)[1])


def test_the_unit_is_hardened(unit):
    assert exposure(unit) <= 2.5


def test_the_unit_is_hardened_more_for_the_own_namespace(own_namespace):
    assert exposure(own_namespace) <= 2.0


def test_systemd_finds_no_fault_with_the_unit(unit):
    done = tool("systemd-analyze", "verify", "--man=no", unit)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_systemd_finds_no_fault_with_the_drop_in(own_namespace):
    done = tool("systemd-analyze", "verify", "--man=no", own_namespace)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_systemd_finds_the_fault_that_is_there(unit):
    unit.write_text(unit.read_text().replace("ProtectHome=", "ProtectHoem="))
    assert "ProtectHoem" in tool("systemd-analyze", "verify", "--man=no", unit).stderr


def test_user_group_and_folder_are_made(tmp_path):
    (tmp_path / "etc").mkdir()
    made = tool("systemd-sysusers", f"--root={tmp_path}", CONFIG / "sysusers.d" / "connhist.conf")
    assert made.returncode == 0, made.stderr
    user = (tmp_path / "etc" / "passwd").read_text().splitlines()[0].split(":")
    group = (tmp_path / "etc" / "group").read_text().splitlines()[0].split(":")
    assert user[0] == group[0] == "connhist" and user[5] == "/var/lib/connhist" and "nologin" in user[6]
    if os.geteuid() != 0:
        pytest.skip("only root can give folders away")
    before = tmp_path / "var" / "lib" / "connhist" / "connhist.db"
    before.parent.mkdir(parents=True)
    before.write_text("a record that root began")
    made = tool("systemd-tmpfiles", f"--root={tmp_path}", "--create", CONFIG / "tmpfiles.d" / "connhist.conf")
    assert made.returncode == 0, made.stderr
    for path in (before.parent, before):
        assert (path.stat().st_uid, path.stat().st_gid) == (int(user[2]), int(user[3]))
    assert stat.S_IMODE(before.parent.stat().st_mode) == 0o2750


def test_the_unit_gives_what_the_manual_documents(unit):
    manual = (SOURCE / "man" / "connhistd.8").read_text()
    section = manual[manual.index(".Sh PRIVILEGES"):manual.index(".Sh SIGNALS")]
    table = section[section.index(".Bl -tag"):section.index(".El")]
    assert sorted(re.findall(r"^\.It Dv (\S+)", table, re.M)) == CAPABILITIES
    given = settings(unit)
    assert sorted(given["AmbientCapabilities"][0].split()) == CAPABILITIES
    assert given["AmbientCapabilities"] == given["CapabilityBoundingSet"]


# System calls

def filter_sets():
    """systemd's sets of system calls: name -> members."""
    sets, members = {}, None
    for line in tool("systemd-analyze", "--no-pager", "syscall-filter").stdout.splitlines():
        word = line.strip()
        if line.startswith("@"):
            members = sets.setdefault(word, [])
        elif members is not None and line.startswith(" ") and word and not word.startswith("#"):
            members.append(word)
    return sets


def members(sets, name):
    if not name.startswith("@"):
        return {name}
    return set().union(*(members(sets, member) for member in sets[name]))


def allowed(unit):
    """The system calls that the unit lets through."""
    sets = filter_sets()
    calls = members(sets, "@default")
    for line in settings(unit)["SystemCallFilter"]:
        for name in line.lstrip("~").split():
            calls = calls - members(sets, name) if line.startswith("~") else calls | members(sets, name)
    return calls


@pytest.fixture
def place():
    """A folder with the programs in it that others can come to, unlike pytest's own."""
    top = Path(mkdtemp(prefix="connhist-service-"))
    top.chmod(0o755)
    for program in (CONNHIST, CONNHISTD):
        shutil.copy(program, top / program.name)
    yield top
    shutil.rmtree(top)


def system_calls(trace):
    """What connhistd called, from strace's file: (name, line), beginning with what came after its execve()."""
    lines = trace.read_text(errors="replace").splitlines()
    first = next(n for n, line in enumerate(lines) if "execve(" in line and "connhistd" in line and line.endswith("= 0"))
    for line in lines[first + 1:]:
        call = re.match(r"\d+ +(?:<\.\.\. )?(\w+)(?:\(| resumed>)", line)
        if call:
            yield call[1], line


@pytest.mark.skipif(bool(SANITIZER), reason="sanitizers make system calls of their own")
def test_the_recorder_makes_no_system_call_that_the_unit_forbids(unit, can_netns, place):
    calls = allowed(unit)
    assert {"setns", "bind", "openat", "fchownat", "inotify_add_watch", "pidfd_open"} <= calls
    assert not {"mount", "ptrace", "bpf", "init_module", "reboot", "capset"} & calls
    trace, home = place / "trace", place / "home"
    home.mkdir()
    os.chown(home, 65534, 65534)
    have = ",".join("+" + name.removeprefix("CAP_").lower() for name in CAPABILITIES)
    recorder = Recorder(HERE, home / "connhist.db", ("--interval", "200ms"), program=(
        "strace", "-f", "-qq", "-o", str(trace), "-e", "signal=none", "setpriv", "--reuid", "65534", "--regid", "65534",
        "--clear-groups", "--inh-caps", have, "--ambient-caps", have, place / "connhistd"))
    try:
        recorder.wait_snapshots()
        pid = int((home / "connhist.db-recorder").read_text())
        os.kill(pid, signal.SIGHUP)
        recorder.wait_snapshots()
        (home / "connhist.db").unlink()  # it begins another
        wait_until((home / "connhist.db").exists, "the file to be made again")
        recorder.wait_snapshots()
        os.kill(pid, signal.SIGTERM)
        recorder.wait()
    finally:
        recorder.process.kill()
    made = list(system_calls(trace))
    assert {"socket", "openat", "epoll_wait"} <= {name for name, _ in made}
    assert [line for name, line in made if name not in calls] == []


# A systemd of our own

# Services that run beside the recorder's; each writes what it finds to /out.
BEFORE = """
ip netns add early
"""
DURING = """
connhistd() { systemctl show connhistd --value -p "$1"; }
pid=$(connhistd MainPID)
out() { cat >/out/"$1"; }
connhistd ActiveState | out started
grep -E '^(Uid|Gid|CapInh|CapPrm|CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/$pid/status | out privileges
ip netns add late
inside() { nsenter --target "$pid" --mount -- "$@"; }
inside stat --format %i /run/netns/late /run/netns/early | out inside
stat --format %i /run/netns/late /run/netns/early | out outside
setpriv --reuid 65534 --regid 65534 --clear-groups sleep 1000 </dev/null & sleeper=$!
while [ "$(stat --format %u /proc/$sleeper)" != 65534 ] || [ "$(cat /proc/$sleeper/comm)" != sleep ]; do sleep 0.1; done
echo "PID=$sleeper" >/run/sleeper
systemctl start enter.service; systemctl show enter --value -p Result | out entered
systemctl start own.service; systemctl show own --value -p Result | out own-entered
kill $sleeper
ip netns del late
inside cat /proc/self/mountinfo | grep -c /run/netns/late | out left
systemctl reload connhistd
while [ "$(grep -c 'recording every' /out/log)" != 2 ] || [ "$(connhistd ActiveState)" != active ]; do sleep 0.1; done
while [ "$(sqlite3 -readonly /var/lib/connhist/connhist.db 'SELECT count(*) > 1 FROM snapshots')" != 1 ]; do sleep 0.1; done
systemctl stop connhistd
connhistd Result | out stopped
stat --format '%a %U %G %n' /var/lib/connhist /var/lib/connhist/* | out files
getent passwd connhist | out user
setpriv --reuid 65534 --regid 65534 --groups "$(id -g connhist)" connhist --db /var/lib/connhist/connhist.db status --format json | out status
"""
SERVICE = """[Unit]
DefaultDependencies=no
{unit}
[Service]
Type=oneshot
RemainAfterExit={stay}
ExecStart=/bin/bash /units/{name}.sh
{service}
"""
TRY = """
EnvironmentFile=/run/sleeper
ExecStart=/bin/sh -c 'readlink /proc/$PID/fd/0 >&2'
ExecStart=/usr/bin/nsenter --net=/run/netns/late /usr/bin/stat -L --format %%i /run/netns/late /proc/self/ns/net
"""


def variant(unit, more=""):
    """The recorder's unit with other programs in its sandbox: can they enter a namespace, and see others' descriptors?"""
    text = re.sub(r"^(Type|Exec\w+|Restart\w*|WatchdogSec|StateDirectory\w*)=.*\n", "", unit.read_text(), flags=re.M)
    return text.replace("[Unit]\n", "[Unit]\nDefaultDependencies=no\n").replace("[Service]\n", f"[Service]\nType=oneshot\n{TRY}") \
        .replace("[Install]\n", f"[Service]\n{more}\n[Install]\n")


@pytest.fixture
def container(unit, place):
    """What the services of a systemd of our own wrote: {name: text}."""
    files, units, out = place / "files", place / "units", place / "out"
    for folder in (files / "usr/local/bin", files / "usr/local/sbin", files / "etc/connhist", units / "connhistd.service.d", out):
        folder.mkdir(parents=True)
    shutil.copy(CONNHIST, files / "usr/local/bin")
    shutil.copy(CONNHISTD, files / "usr/local/sbin")
    (files / "etc/connhist/connhist.yaml").write_text("interval: 200ms\n")
    text = (BUILD / "config" / "connhistd.service").read_text()
    (units / "connhistd.service").write_text(re.sub(r"^ExecStart=\S+.*", "ExecStart=/usr/local/sbin/connhistd --config "
                                                    "/etc/connhist/connhist.yaml", text, flags=re.M))
    (units / "connhistd.service.d" / "test.conf").write_text(
        "[Unit]\nDefaultDependencies=no\n[Service]\nStandardError=append:/out/log\n")
    (units / "enter.service").write_text(variant(unit, "StandardOutput=append:/out/enter\nStandardError=append:/out/enter"))
    drop_in = (CONFIG / "connhistd.service.d" / "own-namespace.conf").read_text().replace("[Service]", "")
    (units / "own.service").write_text(variant(unit, drop_in + "StandardOutput=append:/out/own\nStandardError=append:/out/own"))
    for name in ("sysusers.d", "tmpfiles.d"):
        shutil.copytree(CONFIG / name, units / name)
    before = "systemd-sysusers /units/sysusers.d/*.conf\nsystemd-tmpfiles --create /units/tmpfiles.d/*.conf\n" + BEFORE
    for name, script, stay, how, service in (
            ("before", before, "yes", "Before=connhistd.service", ""),
            ("during", DURING, "no", "After=connhistd.service",
             "StandardError=append:/out/errors\nTimeoutStartSec=infinity\nExecStopPost=/bin/kill -s RTMIN+14 1")):
        (units / f"{name}.sh").write_text("export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n" + script)
        (units / f"{name}.service").write_text(SERVICE.format(unit=how, stay=stay, name=name, service=service))
    (units / "test.target").write_text(
        "[Unit]\nDefaultDependencies=no\nWants=before.service connhistd.service during.service\n")
    with subprocess.Popen([OWN_SYSTEMD, place, "test.target"], text=True, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
                          start_new_session=True) as done:
        try:
            said = done.communicate(timeout=180)[1]
        except subprocess.TimeoutExpired:
            os.killpg(done.pid, signal.SIGKILL)
            pytest.fail(f"it hangs: { {path.name: path.read_text() for path in out.iterdir()} }")
    if done.returncode == 77:
        pytest.skip(f"no container for systemd can be made here: {said.strip()}")
    found = {path.name: path.read_text() for path in out.iterdir()}
    assert done.returncode == 128 + signal.SIGINT, (said, found)  # how a power-off in a container looks
    return found


@pytest.mark.skipif(bool(SANITIZER), reason="sanitizers need what the unit forbids")
def test_the_service_lives_in_its_sandbox(can_netns, container):
    assert container["started"] == "active\n" and container["stopped"] == "success\n"
    assert "<3>" not in container["log"] and "without CAP_" not in container["log"]

    # a user of its own with the documented capabilities and no others
    user = container["user"].split(":")
    assert user[0] == "connhist" and user[2] != "0"
    privileges = dict(line.split(":") for line in container["privileges"].splitlines())
    assert set(privileges["Uid"].split()) == {user[2]} and set(privileges["Gid"].split()) == {user[3]}
    assert privileges["NoNewPrivs"].strip() == "1" and privileges["Seccomp"].strip() == "2"
    for name in ("CapPrm", "CapEff", "CapBnd"):
        assert int(privileges[name], 16) == sum(1 << NUMBER[capability] for capability in CAPABILITIES), name

    # namespaces made before and after the start are there, can be entered, and go
    late, early = container["outside"].split()
    assert container["inside"].split() == [late, early] and late != early
    assert container["entered"] == "success\n" and container["enter"].splitlines() == ["/dev/null", late, late]
    assert container["left"] == "0\n"
    # with the drop-in descriptors of others are seen as before, but no other namespace is entered
    assert container["own-entered"] == "exit-code\n"
    owner, refused = container["own"].splitlines()
    assert owner == "/dev/null" and "Operation not permitted" in refused

    # who is in the group reads
    for line in container["files"].splitlines():
        mode, user, group, path = line.split()
        assert (mode, user, group) == ("640" if "connhist.db" in path else "2750", "connhist", "connhist"), path
    row, = strict_json(container["status"])["rows"]
    assert row["running"] == 0 and row["ended_ms"] > row["started_ms"]
    # half of it is for other namespaces while there are some
    assert row["event_buffer"] in (8 << 20, 4 << 20)
