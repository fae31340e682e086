"""What is done in a render process, measured in its environment, for scripts that compare ways."""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable

from proxy.render.manager import renderer_environment

_ROUNDS = 15


def be_one() -> None:
    """Begin anew with that environment: what a library reads at its start cannot be set later."""
    # Without its path, which this script has added to.
    wanted = {**os.environ, **renderer_environment(os.environ), "PYTHONPATH": ""}
    if os.environ != wanted:
        os.execve(sys.executable, [sys.executable, *sys.argv], wanted)  # noqa: S606 - ourselves


def taken(*ways: Callable[[], object]) -> list[float]:
    """Milliseconds of CPU that each way takes: the median of several rounds, all ways in turn."""
    spent: list[list[float]] = [[] for _ in ways]
    for _ in range(_ROUNDS):
        for way, times in zip(ways, spent, strict=True):
            began = time.process_time()
            way()
            times.append(1000 * (time.process_time() - began))
    return [statistics.median(times) for times in spent]
