# SPDX-License-Identifier: MIT
"""The recorder's manners: how long it runs, what signals do, what it tells the service manager, what it refuses."""
import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from conftest import BUILD, CONNHISTD, HERE, OWN_ONLY, PATIENCE, SANITIZER, Recorder, connhist, query, wait_until

NOBODY = 65534
LISTENER = """
import socket, sys
listener = socket.create_server(("127.0.0.1", 8000))
client = socket.create_connection(("127.0.0.1", 8000))
server, _ = listener.accept()
print("ready", flush=True)
sys.stdin.read()
"""


def connhistd(*args, **options):
    """Runs connhistd until it ends by itself."""
    return subprocess.run([CONNHISTD, *map(str, args)], text=True, capture_output=True, check=False,
                          stdin=subprocess.DEVNULL, timeout=PATIENCE * 3, **options)


def recordings(db, columns):
    return query(db, f"SELECT {columns} FROM recordings ORDER BY id")


def starts(db):
    return [ms for ms, in query(db, "SELECT start_ms FROM snapshots ORDER BY start_ms")]


@pytest.fixture
def configure(tmp_path):
    """configure("interval: 1s", "detail: off") writes a configuration and gives its path."""
    path = tmp_path / "connhist.yaml"

    def write(*lines):
        path.write_text("".join(line + "\n" for line in [*lines, OWN_ONLY]))
        return path
    return write


@pytest.fixture
def connection(netns):
    """A namespace with a listener on port 8000 and a connection to it."""
    holder = netns.python(LISTENER)
    assert holder.stdout.readline() == "ready\n"
    yield netns
    holder.communicate("")


# How long it runs

def test_once_records_one_snapshot_and_ends(db, configure):
    done = connhistd("--config", configure(), "--db", db, "--once")
    assert done.returncode == 0 and not done.stdout
    assert query(db, "SELECT status, anchor FROM snapshots") == [(0, 1)]
    assert recordings(db, "ended_ms >= started_ms, interval_ms") == [(1, 10_000)]
    # what others do on this host may be too fast for a moment
    assert query(db, "SELECT count(*) FROM losses WHERE kind <> 6") == [(0,)]


def test_a_count_of_snapshots_ends_it(db, configure):
    assert connhistd("--config", configure(), "--db", db, "--count", 4, "--interval", "150ms").returncode == 0
    lost = query(db, "SELECT count(*) FROM losses WHERE kind = 6")[0][0]  # each may bring one more, right behind it
    assert 4 <= len(starts(db)) <= 4 + lost
    assert recordings(db, "ended_ms IS NOT NULL, interval_ms") == [(1, 150)]


def test_snapshots_come_no_faster_than_the_interval(db):
    connhistd("--db", db, "--count", 5, "--interval", "200ms")
    times = starts(db)
    missed = query(db, "SELECT coalesce(sum(count), 0) FROM losses WHERE kind = 1")[0][0]
    # a late tick does not move the ones after it: all stand on one grid
    assert times[-1] - times[0] > (4 + missed) * 200 - 200
    assert all(after > before for before, after in zip(times, times[1:]))


def test_runs_follow_each_other_in_one_file(db):
    for _ in range(3):
        assert connhistd("--db", db, "--once").returncode == 0
    assert recordings(db, "ended_ms IS NOT NULL") == [(1,)] * 3
    assert query(db, "SELECT count(*) FROM losses WHERE kind = 5") == [(0,)]
    assert query(db, "SELECT count(*) FROM boots") == [(1,)]


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(record, db, by):
    recorder = record(HERE, "--interval", "200ms")
    recorder.wait_snapshots()
    recorder.stop(by)
    assert recordings(db, "ended_ms >= (SELECT max(start_ms) FROM snapshots)") == [(1,)]


def test_a_signal_during_a_long_interval_is_not_waited_for(record, db):
    recorder = record(HERE, "--interval", "1h")
    wait_until(recorder.snapshots, "the first snapshot")
    recorder.stop(signal.SIGTERM)
    assert recordings(db, "ended_ms IS NOT NULL") == [(1,)]


def test_lines_of_the_log_carry_their_priority(record):
    recorder = record(HERE, "--interval", "200ms", "--log-level", "debug")
    recorder.wait_snapshots()
    recorder.stop()
    lines = recorder.text().splitlines()
    assert lines and all(re.match(r"<[3-7]>.", line) for line in lines)


# SIGHUP

def test_reloading_puts_a_new_configuration_into_force(connection, record, configure, db):
    config = configure("interval: 200ms", "services:", "  8000/tcp: before")
    recorder = record(connection, "--config", config)
    recorder.wait_snapshots()
    peers = "SELECT DISTINCT remote FROM open WHERE remote <> 0"
    listener = "SELECT life FROM open WHERE traits & 15 = 10"
    assert query(db, peers) == [(0x7f000001,)]
    life = query(db, listener)

    configure("interval: 300ms", "detail: anonymous", "anonymous:", "  ipv4: 8", "services:", "  8000/tcp: qq",
              "  9000/udp: ww")
    recorder.process.send_signal(signal.SIGHUP)
    wait_until(lambda: len(recordings(db, "id")) == 2, "a second recording")
    recorder.wait_snapshots(2)
    assert recordings(db, "interval_ms, detail, ended_ms IS NOT NULL") == [(200, "on", 1), (300, "anonymous", 0)]
    assert query(db, "SELECT port, protocol, name FROM service_names ORDER BY port") == [
        (8000, 6, "qq"), (9000, 17, "ww")]
    assert query(db, peers) == [(0x7f000000,)]
    assert query(db, listener) == life, "the listener's life went on"
    recorder.stop()
    assert recordings(db, "ended_ms IS NOT NULL") == [(1,), (1,)]
    assert query(db, "SELECT count(*) FROM losses WHERE kind = 5") == [(0,)]


def test_a_reload_without_a_change_leaves_the_recording_as_it_is(record, configure, db):
    recorder = record(HERE, "--config", configure("interval: 200ms"))
    recorder.wait_snapshots()
    recorder.process.send_signal(signal.SIGHUP)
    wait_until(lambda: recorder.text().count("recording every") == 2, "the second word of being ready")
    recorder.wait_snapshots(2)
    assert len(recordings(db, "id")) == 1


def test_all_lives_go_on_over_a_reload(connection, record, configure, db):
    recorder = record(connection, "--config", configure("interval: 200ms"))
    recorder.wait_snapshots()
    lives = query(db, "SELECT life, cookie, since_ms FROM open ORDER BY life")
    assert len(lives) == 3
    configure("interval: 210ms")
    recorder.process.send_signal(signal.SIGHUP)
    wait_until(lambda: len(recordings(db, "id")) == 2, "a second recording")
    recorder.wait_snapshots()
    assert query(db, "SELECT life, cookie, since_ms FROM open ORDER BY life") == lives
    assert query(db, "SELECT count(*) FROM closed") == [(0,)]


def test_a_reload_takes_another_buffer_for_events(record, configure, db):
    sizes = "event_buffer, events_asked"
    recorder = record(HERE, "--config", configure("interval: 200ms", "limits:", "  events: 64KiB"))
    recorder.wait_snapshots()
    wait_until(lambda: recordings(db, sizes) == [(65536, 65536)], "the buffer that was asked for")
    assert "64.0 KiB, as limits: events in the configuration asks for" in connhist("--db", db, "status").stdout
    configure("interval: 200ms", "limits:", "  events: 128KiB")
    recorder.process.send_signal(signal.SIGHUP)
    wait_until(lambda: recordings(db, sizes) == [(65536, 65536), (131072, 131072)], "a larger one")
    recorder.stop()


def test_a_broken_new_configuration_leaves_the_old_one_in_force(record, configure, db):
    config = configure("interval: 200ms")
    recorder = record(HERE, "--config", config)
    recorder.wait_snapshots()
    configure("detail: off", "intervall: 300ms")
    recorder.process.send_signal(signal.SIGHUP)
    wait_until(lambda: "stays" in recorder.text(), "a complaint")
    assert f"{config}:2:1: unknown key 'intervall'" in recorder.text()
    recorder.wait_snapshots(2)
    assert recordings(db, "interval_ms, detail") == [(200, "on")]

    configure("interval: 300ms")  # mended
    recorder.process.send_signal(signal.SIGHUP)
    wait_until(lambda: len(recordings(db, "id")) == 2, "a second recording")
    recorder.stop()
    assert recordings(db, "interval_ms") == [(200,), (300,)]


def test_options_go_before_the_configuration_also_after_a_reload(record, configure, db):
    config = configure("interval: 5s", "database: /nonexistent/connhist.db")
    recorder = record(HERE, "--config", config, "--interval", "200ms")
    recorder.wait_snapshots()
    configure("interval: 4s", "database: /nonexistent/connhist.db", "services:", "  8000/tcp: qq")
    recorder.process.send_signal(signal.SIGHUP)
    wait_until(lambda: len(recordings(db, "id")) == 2, "a second recording")
    recorder.stop()
    assert recordings(db, "interval_ms") == [(200,), (200,)]


def test_many_reloads_in_a_row_do_no_harm(record, configure, db):
    recorder = record(HERE, "--config", configure("interval: 200ms"))
    recorder.wait_snapshots()
    for n in range(20):
        configure(f"interval: {200 + n}ms")
        recorder.process.send_signal(signal.SIGHUP)
    recorder.wait_snapshots(2)
    recorder.stop()
    assert all(ended for ended, in recordings(db, "ended_ms IS NOT NULL"))


# The service manager

class Manager:
    """A service manager's end of sd_notify(3)."""

    def __init__(self, address):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.settimeout(PATIENCE)

    def hear(self, but=("WATCHDOG=1",)):
        """The next message as a dictionary, leaving out those in `but`."""
        while True:
            text = self.socket.recv(4096).decode()
            if text not in but:
                return dict(line.split("=", 1) for line in text.splitlines())


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path):
    """A manager and the environment that leads to it."""
    name = str(tmp_path / "notify") if request.param == "path" else f"@connhist-test-{os.getpid()}"
    manager = Manager(name.replace("@", "\0", 1))
    with contextlib.closing(manager.socket):
        yield manager, {"NOTIFY_SOCKET": name}


def test_the_service_manager_hears_of_every_step(manager, record, configure, db):
    manager, env = manager
    config = configure("interval: 200ms")
    recorder = record(HERE, "--config", config, env={**env, "WATCHDOG_USEC": "400000"})
    ready = manager.hear(but=())
    assert ready["READY"] == "1" and str(db) in ready["STATUS"] and "200ms" in ready["STATUS"]
    for _ in range(3):
        assert manager.hear(but=()) == {"WATCHDOG": "1"}

    for lines in (["interval: 300ms"], ["interval: wrong"]):
        configure(*lines)
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        recorder.process.send_signal(signal.SIGHUP)
        reloading = manager.hear()
        assert reloading["RELOADING"] == "1"
        assert before <= int(reloading["MONOTONIC_USEC"]) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        ready = manager.hear()
        assert ready["READY"] == "1" and "300ms" in ready["STATUS"]

    recorder.process.terminate()
    assert manager.hear() == {"STOPPING": "1"}
    recorder.wait()


def test_a_watchdog_meant_for_another_process_is_not_fed(manager, record):
    manager, env = manager
    recorder = record(HERE, "--interval", "100ms",
                      env={**env, "WATCHDOG_USEC": "20000", "WATCHDOG_PID": str(os.getpid())})
    assert manager.hear(but=())["READY"] == "1"
    recorder.wait_snapshots(3)
    recorder.process.terminate()
    assert manager.hear(but=()) == {"STOPPING": "1"}


def test_what_it_could_not_do_is_not_called_ready(manager, tmp_path):
    manager, env = manager
    (tmp_path / "folder").mkdir()
    done = connhistd("--db", tmp_path / "folder", "--once", env={**os.environ, **env})
    assert done.returncode == 3
    manager.socket.setblocking(False)
    with pytest.raises(BlockingIOError):
        manager.hear(but=())


def test_a_manager_that_is_gone_stops_nothing(tmp_path, db):
    done = connhistd("--db", db, "--once", env={**os.environ, "NOTIFY_SOCKET": str(tmp_path / "gone")})
    assert done.returncode == 0


def installed(ending):
    """Where meson installs a file whose path has this ending."""
    plan = json.loads((BUILD / "meson-info" / "intro-installed.json").read_text())
    return next(Path(target) for target in plan.values() if target.endswith(ending))


def test_the_unit_starts_the_program_where_it_is_installed():
    unit = (BUILD / "config" / "connhistd.service").read_text()
    command = re.search(r"^ExecStart=(\S+) --config (\S+)$", unit, re.M)
    assert Path(command[1]) == installed("/connhistd")
    assert Path(command[2]) == installed("/connhist.yaml")


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd-analyze: apt-get install systemd")
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path):
    unit = (BUILD / "config" / "connhistd.service").read_text()
    # what is not installed yet is not the unit's fault
    unit = re.sub(r"^Documentation=.*\n", "", unit, flags=re.M)
    unit = re.sub(r"^ExecStart=\S+", f"ExecStart={CONNHISTD}", unit, flags=re.M)
    (tmp_path / "connhistd.service").write_text(unit)
    done = subprocess.run(["systemd-analyze", "verify", tmp_path / "connhistd.service"], text=True,
                          capture_output=True, check=False, timeout=60)
    assert "connhistd.service" not in done.stderr and done.returncode == 0, done.stderr


# What it refuses

@pytest.mark.parametrize("lines, place, words", [
    (["interval: 5s", "intervall: 5s"], "2:1", ["unknown key 'intervall'", "'interval'"]),
    (["limits:", "  syn_rec: 5"], "2:3", ["'syn_rec'", "'syn_recv'"]),
    (["log_level: info", "interval: [1]"], "2:11", ["interval", "list"]),
    (["interval: 5"], "1:11", ["interval", "5"]),
    (["interval: 99ms"], "1:11", ["interval", "100ms to 1h"]),
    (["interval: 2h"], "1:11", ["interval", "100ms to 1h"]),
    (["detail: some"], "1:9", ["detail", "some"]),
    (["limits:", "  syn_recv: 1000001"], "2:13", ["limits.syn_recv", "1000000"]),
    (["services:", "  8000/sctp: x"], "2:3", ["8000/sctp"]),
    (["interval: 5s", "interval: 6s"], "2:1", ["interval"]),
    (["interval: 5s", "detail: @on"], "2:9", ["not YAML"]),
])
def test_a_wrong_configuration_is_refused_with_its_place(configure, db, lines, place, words):
    config = configure(*lines)
    done = connhistd("--config", config, "--db", db, "--once")
    assert done.returncode == 2 and not done.stdout and not db.exists()
    complaint, = done.stderr.splitlines()
    assert f"{config}:{place}: " in complaint
    assert all(word in complaint for word in words), complaint


def test_a_configuration_that_is_named_must_be_there(tmp_path, db):
    done = connhistd("--config", tmp_path / "none.yaml", "--db", db, "--once")
    assert done.returncode == 2 and str(tmp_path / "none.yaml") in done.stderr and not db.exists()


@pytest.mark.parametrize("args, words", [
    (["--intervall", "1s"], ["--intervall", "--interval"]),
    (["--zzz"], ["--zzz", "--help"]),
    (["-x"], ["-x"]),
    (["--interval"], ["--interval", "value"]),
    (["--interval", "5"], ["--interval", "'5'"]),
    (["--interval", "99ms"], ["--interval", "100ms to 1h"]),
    (["--interval", "61m"], ["--interval", "100ms to 1h"]),
    (["--count", "0"], ["--count", "'0'"]),
    (["--count", "-1"], ["--count", "'-1'"]),
    (["--count", "many"], ["--count", "'many'"]),
    (["--once=3"], ["--once", "no value"]),
    (["--log-level", "loud"], ["--log-level", "'loud'"]),
    (["--db", ""], ["--db"]),
    (["now"], ["'now'"]),
])
def test_a_wrong_command_line_is_refused_in_one_line(db, args, words):
    done = connhistd("--db", db, *args)
    assert done.returncode == 2 and not done.stdout and not db.exists()
    complaint, = done.stderr.splitlines()
    assert complaint.startswith("connhistd: ")
    assert all(word in complaint for word in words), complaint


def test_help_and_version_need_nothing_else():
    shown = connhistd("--help")
    assert shown.returncode == 0 and shown.stdout.startswith("usage: connhistd") and not shown.stderr
    assert all(option in shown.stdout for option in ("--config", "--db", "--interval", "--once", "--count"))
    version = connhistd("--version")
    assert version.returncode == 0 and re.fullmatch(r"connhistd \d+\.\d+\.\d+\n", version.stdout)


# Late, poor and small

def test_ticks_that_went_by_while_it_was_stopped_are_missed_not_made_up_for(record, db):
    interval = 200
    recorder = record(HERE, "--interval", f"{interval}ms")
    recorder.wait_snapshots(2)
    recorder.process.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    time.sleep(2)
    recorder.process.send_signal(signal.SIGCONT)
    stopped_ms = (time.monotonic() - began) * 1000
    recorder.wait_snapshots(8)
    recorder.stop()

    times = starts(db)
    gap, before, after = max((b - a, a, b) for a, b in zip(times, times[1:]))
    assert gap > stopped_ms - interval
    missed = query(db, "SELECT count, from_ms, until_ms FROM losses WHERE kind = 1 ORDER BY count DESC")[0]
    assert abs(missed[0] - (gap // interval - 1)) <= 1
    assert before < missed[1] < missed[2] <= after
    late = [ms for ms in times if ms >= after]
    for few in zip(late, late[5:]):
        assert few[1] - few[0] > 3 * interval, "snapshots were bunched"


@pytest.fixture
def poor_folder():
    """A folder of nobody's, which nobody can reach, with the program in it."""
    if os.geteuid() != 0:
        pytest.skip("becoming another user needs root")
    folder = Path(tempfile.mkdtemp(prefix="connhist-test-", dir="/tmp"))
    shutil.copy(CONNHISTD, folder / "connhistd")
    os.chown(folder, NOBODY, NOBODY)
    yield folder
    shutil.rmtree(folder)


def test_without_privileges_it_records_what_it_can(poor_folder):
    env = {**os.environ, "XDG_STATE_HOME": str(poor_folder / "state")}
    with socket.create_server(("127.0.0.1", 0)) as listener:
        done = subprocess.run([poor_folder / "connhistd", "--once"], env=env, user=NOBODY, group=NOBODY,
                              extra_groups=[], cwd="/", text=True, capture_output=True, check=False, timeout=PATIENCE)
        assert done.returncode == 0, done.stderr
        db = poor_folder / "state" / "connhist" / "connhist.db"
        assert db.stat().st_uid == NOBODY
        assert recordings(db, "uid, ended_ms IS NOT NULL") == [(NOBODY, 1)]
        found = query(db, "SELECT uid FROM listeners WHERE local_port = ?", listener.getsockname()[1])
        assert found == [(0,)]


@pytest.mark.skipif(bool(SANITIZER), reason="sanitizers need memory of their own")
def test_it_is_small(record):
    recorder = record(HERE, "--interval", "100ms")
    recorder.wait_snapshots(10)
    status = Path(f"/proc/{recorder.process.pid}/status").read_text()
    assert int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) < 24 * 1024


def test_a_second_recorder_on_the_same_file_is_refused(record, tmp_path, db):
    first = record(HERE, "--interval", "200ms")
    first.wait_snapshots()
    second = Recorder(HERE, db, ["--once"])
    second.wait(3)
    assert re.search(rf"\b{first.process.pid}\b", second.text()), second.text()
    first.wait_snapshots()


def test_a_reader_of_the_log_that_goes_away_does_not_end_the_recorder(db, configure):
    process = subprocess.Popen([CONNHISTD, "--db", db, "--config", configure("interval: 200ms")],
                               stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    process.stderr.readline()
    process.stderr.close()
    process.send_signal(signal.SIGHUP)
    wait_until(lambda: len(query(db, "SELECT 1 FROM snapshots")) > 5, "more snapshots")
    process.send_signal(signal.SIGTERM)
    assert process.wait(PATIENCE) == 0
    assert recordings(db, "ended_ms IS NOT NULL") == [(1,)]
