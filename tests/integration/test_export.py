# SPDX-License-Identifier: MIT
"""connhist export: what other programs read, held against `sqlite3` and against a reader of the text's specification."""
import csv
import io
import json
import re
import shutil
import sqlite3
import subprocess

import pytest

from conftest import connhist
from test_exactness import replay
from test_rollups import play_long

BUSY = [("open:LISTEN", 1), ("open:ESTABLISHED", 7), ("connect_and_close", 5), ("open:udp-bound", 3), ("ticks", 149),
        ("advance", 1), ("wait", 380), ("open:ESTABLISHED", 3), ("connect_and_close", 2), ("ticks", 149)]
SAMPLE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\[\\"n])*",?)*)\})? (-?[0-9.e+]+) ([0-9]+\.[0-9]{3})')
LABEL = re.compile(r'([a-z_]+)="((?:[^"\\\n]|\\[\\"n])*)"')


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """Hours of connections, with a gap of some of them."""
    path = tmp_path_factory.mktemp("export") / "model.db"
    replay(path, play_long(BUSY * 4).commands)
    return path


def rows(path, sql, *values):
    database = sqlite3.connect(path)
    try:
        return database.execute(sql, values).fetchall()
    finally:
        database.close()


def span(path):
    """Of all that was recorded, from a whole minute on."""
    (first, last), = rows(path, "SELECT min(start_ms), max(start_ms) FROM snapshots")
    return ["--since", f"@{first // 60_000 * 60}", "--until", f"@{last // 1000 + 1}"]


def parse(text):
    """{(family, labels): [(at_ms, value)]} by the rules of OpenMetrics 1.0."""
    lines = text.split("\n")
    assert lines[-2:] == ["# EOF", ""] and "" not in lines[:-1]
    series, families, family, last = {}, [], None, None
    for line in lines[:-2]:
        if line.startswith("# TYPE "):
            _, _, family, kind = line.split(" ")
            assert kind in ("gauge", "counter") and family not in families, "a family stands in one piece"
            families.append(family)
            continue
        if line.startswith("# UNIT "):
            assert line.split(" ")[2] == family and family.endswith("_" + line.split(" ")[3])
            continue
        if line.startswith("# HELP "):
            assert line.split(" ")[2] == family
            continue
        name, labels, value, at = SAMPLE.fullmatch(line).groups()
        assert name == (family + "_total" if kind == "counter" else family) and (kind == "gauge" or float(value) >= 0)
        key = name, tuple(LABEL.findall(labels or ""))
        at_ms = int(at.replace(".", ""))
        assert key == last or key not in series, "a series stands in one piece"
        assert key not in series or series[key][-1][0] < at_ms, "in the order of time"
        series.setdefault(key, []).append((at_ms, int(value)))
        last = key
    return series


def exported(path, *args):
    return connhist("--db", path, "export", "--format", "openmetrics", *args).stdout


def test_samples_are_the_counts_of_the_last_snapshots(model):
    """A step as long as the snapshots' distance: each sample is one snapshot's count, from `tallies` itself."""
    series = parse(exported(model, *span(model), "--step", "1m"))
    offset = rows(model, "SELECT offset_ms FROM epochs")
    assert offset in ([], [(0,)]), "the model's clock is not set"
    snapshots = [at for at, in rows(model, "SELECT start_ms FROM snapshots WHERE status = 0 ORDER BY 1")]
    anchors = {at for at, in rows(model, "SELECT start_ms FROM snapshots WHERE anchor = 1")}
    changes = {}
    for at, protocol, role, port, state, count in rows(
            model, "SELECT t.at_ms, s.protocol, s.role, s.port, n.name, t.count FROM tallies AS t JOIN services AS s"
                   " ON s.id = t.service JOIN states AS n ON n.state = t.state ORDER BY 1"):
        changes.setdefault(at, []).append(((protocol, role, port, state), count))
    now, expected = {}, {}
    for at in snapshots:
        if at in anchors:
            now = {}
        now.update(changes.get(at, []))
        expected[at // 60_000 * 60_000 + 60_000] = dict(now)  # the last of a minute stays
    assert len(expected) > 100
    found = {}
    for (family, labels), samples in series.items():
        if family != "connhist_sockets":
            continue
        labels = dict(labels)
        key = ({"tcp": 6, "udp": 17}[labels["protocol"]], {"server": 1, "client": 2}[labels["role"]],
               -1 if labels["port"] == "other" else int(labels["port"]), labels["state"])
        assert len(samples) == len(expected) and {at for at, _ in samples[:-1]} <= set(expected)
        for at, value in samples[:-1]:
            found.setdefault(at, {})[key] = value
    for at, counts in found.items():
        assert {key: n for key, n in counts.items() if n} == {key: n for key, n in expected[at].items() if n}, at


def test_a_gap_has_no_samples(model):
    """Steps of a minute in which no snapshot was complete are left out; they are not 0."""
    series = parse(exported(model, *span(model), "--step", "1m"))
    minutes = {at // 60_000 for at, in rows(model, "SELECT start_ms FROM snapshots WHERE status = 0")}
    assert max(minutes) - min(minutes) + 1 > len(minutes), "there is a gap"
    for samples in series.values():
        assert len(samples) == len(minutes)


def test_min_and_max_enclose_the_last(model):
    series = parse(exported(model, *span(model), "--step", "15m"))
    assert any(series)
    for (family, labels), samples in series.items():
        if family == "connhist_sockets":
            least, most = series["connhist_sockets_min", labels], series["connhist_sockets_max", labels]
            assert [at for at, _ in samples] == [at for at, _ in least] == [at for at, _ in most]
            assert all(a[1] <= b[1] <= c[1] for a, b, c in zip(least, samples, most))


def test_promtool_takes_it(model, tmp_path):
    promtool = shutil.which("promtool")
    if not promtool:
        pytest.skip("no promtool")
    text = tmp_path / "all.om"
    text.write_text(exported(model, *span(model)))
    subprocess.run([promtool, "tsdb", "create-blocks-from", "openmetrics", text, tmp_path / "blocks"], check=True)


def test_nothing_recorded_is_an_empty_whole(model):
    assert parse(exported(model, "--since", "@1000", "--until", "@2000")) == {}


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_sockets_are_those_of_list_each_once(model, form):
    """The span is read in parts; `list` reads it at once, and the file itself has as many."""
    told = connhist("--db", model, "export", "--format", form, *span(model)).stdout
    listed = connhist("--db", model, "list", "--format", form, *span(model)).stdout
    assert told == listed
    found = list(csv.DictReader(io.StringIO(told))) if form == "csv" else [json.loads(line) for line in told.splitlines()]
    assert len(found) == rows(model, "SELECT (SELECT count(*) FROM closed) + (SELECT count(*) FROM open)")[0][0]


@pytest.mark.parametrize("args, words", [
    (["--format", "json"], "jsonl, csv or openmetrics"), (["--format", "table"], "jsonl, csv or openmetrics"),
    (["--format", "prometheus"], "jsonl, csv, openmetrics"), (["--format", "csv", "--step", "1m"], "--step belongs"),
    (["--to-sqlite", "x", "--step", "1m"], "--step belongs"), (["--to-sqlite", "x", "--format", "openmetrics"], "means nothing"),
    (["--to-sqlite", "x", "--netns", "own"], "--netns goes with --format"),
    (["--format", "csv", "--netns", "inode:x"], "is no namespace"),
    (["--format", "csv", "--since", "now", "--until", "-2h"], "is not before --until"), (["--format", "openmetrics", "--step", "x"], "--step")])
def test_wrong_usage_is_told_in_one_line(model, args, words):
    told = connhist("--db", model, "export", *args, status=2).stderr
    assert words in told and len(told.splitlines()) == 1, told


@pytest.mark.parametrize("form", ["jsonl", "csv", "openmetrics"])
def test_a_namespace_that_was_never_recorded_is_told(model, form):
    told = connhist("--db", model, "export", "--format", form, *span(model), "--netns", "nobody", status=3)
    assert (told.stdout, told.stderr) == ("", "connhist: network namespace nobody was never recorded\n")
