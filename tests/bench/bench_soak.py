#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""bench_soak.py INTEGRATION-TESTS [DAYS]: a year of snapshots, ten minutes apart, through the real recorder with a kernel and a clock
that are made up, into a file that holds a small part of it. All that is counted is held against what was shown."""
import sys
import tempfile
import time
from pathlib import Path


def main(tests, days="365"):
    sys.path.insert(0, tests)
    try:
        import soak
    except ImportError as err:
        print(f"skipped: {err}")
        return 77
    interval_ms, most = 600_000, 24 * soak.MIB
    with tempfile.TemporaryDirectory(prefix="connhist-bench-") as folder:
        s = soak.Soak(Path(folder) / "soak.db", interval_ms, most, 4 * soak.MIB,
                      (0, 7 * soak.DAY, 30 * soak.DAY, 0, 0))
        begin = time.monotonic()
        for n in range(int(days) * soak.DAY // interval_ms):
            if n % 9973 == 5000:
                s.restart()
            s.tick(s.rhythm(60))
            if n % 1440 == 0:
                print(f"day {n // 144}: {s.sizes[-1] / 1e6:.1f} MB, RSS {s.resident() / soak.MIB:.1f} MiB", flush=True)
        warm = len(s.rss) // 10
        s.end()
        rows = soak.hold_counts(s)
        print(f"{len(s.truth)} snapshots, {s.cookie - 1000} sockets in {time.monotonic() - begin:.0f} s")
        print(f"largest size: {max(s.sizes)} bytes (budget: {most})")
        print(f"RSS at most: {max(s.rss[:warm]) / soak.MIB:.1f} MiB in the first tenth, {max(s.rss[warm:]) / soak.MIB:.1f} MiB after")
        print(f"rows that are what was counted: {rows}")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
