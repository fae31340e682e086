"""Compare the CPU time of functions in the environment of a render process."""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable

from proxy.render.manager import render_process_environment

_ROUNDS = 15


def restart_in_render_environment() -> None:
    """Restart this script in that environment, which libraries read only at their start."""
    # Without PYTHONPATH, to which this script has added.
    environment = {**os.environ, **render_process_environment(os.environ), "PYTHONPATH": ""}
    if os.environ != environment:
        os.execve(sys.executable, [sys.executable, *sys.argv], environment)  # noqa: S606 - itself


def median_cpu_ms(*functions: Callable[[], object]) -> list[float]:
    """CPU milliseconds of each function: the median of several rounds, in which all take turns."""
    samples: list[list[float]] = [[] for _ in functions]
    for _ in range(_ROUNDS):
        for function, times in zip(functions, samples, strict=True):
            start = time.process_time()
            function()
            times.append(1000 * (time.process_time() - start))
    return [statistics.median(times) for times in samples]
