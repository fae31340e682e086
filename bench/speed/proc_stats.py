"""CPU time and memory of a process and its descendants, read from /proc."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_FIRST_FIELD = 2  # `_stat` omits pid and name, the fields 0 and 1


def process_tree(*roots: int) -> list[int]:
    """The processes and their descendants, as they are now."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                parent = int(_stat(int(entry.name))[3 - _FIRST_FIELD])
                children.setdefault(parent, []).append(int(entry.name))
    found = list(roots)
    for pid in found:
        found += children.get(pid, [])
    return found


def cpu_seconds(*roots: int) -> float:
    """CPU seconds used by the trees so far, with those of children that have ended."""
    ticks = 0
    for pid in process_tree(*roots):
        with suppress(OSError):
            fields = _stat(pid)
            ticks += sum(int(fields[number - _FIRST_FIELD]) for number in (13, 14, 15, 16))
    return ticks / _TICKS_PER_SECOND


def memory_bytes(*roots: int) -> int:
    """Proportional set size (PSS) of the trees: shared memory is counted once."""
    total = 0
    for pid in process_tree(*roots):
        with suppress(OSError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
    return total


class PeakMemory:
    """The highest memory that was measured, in bytes."""

    highest = 0


@contextmanager
def watch_peak_memory(*roots: int, interval_seconds: float = 0.05) -> Iterator[PeakMemory]:
    """Measure the memory of the trees again and again while the block runs."""
    peak, done = PeakMemory(), threading.Event()

    def measure() -> None:
        while not done.wait(interval_seconds):
            peak.highest = max(peak.highest, memory_bytes(*roots))

    thread = threading.Thread(target=measure, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()


def describe_machine() -> str:
    """Processor, cores, memory and kernel in one line."""
    processor = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text("ascii", "replace").splitlines():
        if line.startswith("model name"):
            processor = line.partition(":")[2].strip()
            break
    gigabytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    cores = len(os.sched_getaffinity(0))
    return f"{cores} cores of {processor}, {gigabytes:.0f} GB, Linux {os.uname().release}"


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat after the name."""
    text = Path(f"/proc/{pid}/stat").read_text("ascii", "replace")
    return text[text.rindex(")") + 2 :].split()
