# SPDX-License-Identifier: MIT
"""Every rollup equals what is computed from the raw tallies, the minutes of rates and the snapshots, whatever comes
between: gaps, restarts, snapshots that failed, a wall clock that is set, a recorder that is killed."""
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conftest import SANITIZER
from kernel_model import STEPS, Kernel
from rollup_truth import hold
from test_exactness import replay

EXAMPLES = 15 if SANITIZER else 100
FEW = [step for step in dict.fromkeys(STEPS) if step != "tick"]
LONG = [*FEW, *["ticks"] * 12, *["wait"] * 3]
steps = st.lists(st.tuples(st.sampled_from(LONG), st.integers(0, 999)), min_size=5, max_size=40)


def play_long(steps):
    """The kernel after steps that take days: bursts of ticks, and time in which nothing is recorded."""
    kernel = Kernel(events=True)
    kernel.commands += ["events", kernel.clock(), "start boot-1"]
    for step, n in steps:
        name, _, kind = step.partition(":")
        if name == "wait":
            kernel.pass_time(n * n * 200)
        elif name == "ticks":
            for _ in range(n % 150):
                kernel.tick(0)
        else:
            getattr(kernel, name)(*([kind] if kind else []), n)
    kernel.tick(0)
    return kernel


@settings(max_examples=EXAMPLES, deadline=None, derandomize=True,
          suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(steps)
def test_rollups_are_what_the_raw_rows_say(tmp_path, steps):
    path = tmp_path / "made-up.db"
    replay(path, play_long(steps).commands)
    hold(path)
