"""What processes have used, read from /proc: CPU time and memory of a process and all below it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")
_AFTER_NAME = 2  # fields of /proc/PID/stat are counted from behind the name in parentheses


def tree(root: int) -> list[int]:
    """The process and all that descend from it, as they are now."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                parent = int(_stat(int(entry.name))[3 - _AFTER_NAME])
                children.setdefault(parent, []).append(int(entry.name))
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def cpu(root: int) -> float:
    """CPU seconds used by the tree so far, with those of children that have ended."""
    ticks = 0
    for pid in tree(root):
        with suppress(OSError):
            fields = _stat(pid)
            ticks += sum(int(fields[at - _AFTER_NAME]) for at in (13, 14, 15, 16))
    return ticks / _TICK


def memory(root: int) -> int:
    """Proportional set size of the tree, in bytes: what is shared is counted once."""
    total = 0
    for pid in tree(root):
        with suppress(OSError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
    return total


class Peak:
    """The highest memory seen while watching, in bytes."""

    highest = 0


@contextmanager
def watching(root: int, *, every: float = 0.05) -> Iterator[Peak]:
    """Look at the memory of the tree again and again."""
    peak, over = Peak(), threading.Event()

    def look() -> None:
        while not over.wait(every):
            peak.highest = max(peak.highest, memory(root))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        over.set()
        thread.join()


def machine() -> str:
    """The machine in a line: processor, cores, memory, kernel."""
    processor = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text("ascii", "replace").splitlines():
        if line.startswith("model name"):
            processor = line.partition(":")[2].strip()
            break
    gigabytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    cores = len(os.sched_getaffinity(0))
    return f"{cores} cores of {processor}, {gigabytes:.0f} GB, Linux {os.uname().release}"


def _stat(pid: int) -> list[str]:
    text = Path(f"/proc/{pid}/stat").read_text("ascii", "replace")
    return text[text.rindex(")") + 2 :].split()
