"""How many cores there are to compute on."""

import os
from pathlib import Path


def available_cores() -> int:
    """Cores that this process may use: by affinity, and by a container's share of them."""
    usable = len(os.sched_getaffinity(0))
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text("ascii").split()
    except (OSError, ValueError):
        return usable
    return usable if quota == "max" else max(1, min(usable, -(-int(quota) // int(period))))
