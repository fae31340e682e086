#!/usr/bin/env python3
"""Kill a writer of the cache during a write, again and again, and check what is read afterwards.

    bench/crash_consistency.py [--kills 500] [--folder DIR]

Each writer is killed by SIGKILL at another step: before or after some call of Python or of the
system, while it opens the index, writes a file, renames it, commits, evicts or purges. Then every
body that is read must be, byte for byte, one that was put under that key, and the last entry whose
put had returned must be there.

Prints a table; exits with 1 if one body was wrong.
"""

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

from proxy.buffers import SharedBuffer
from proxy.cache.disk_table import DiskTable
from proxy.cache.store import ByTag, Entry

BUDGET = 2_000_000
KEYS = [f"key-{number}" for number in range(12)]
SIZES = (300, 5_000, 60_000, 400_000)
STEPS = 3000  # that a writer makes which is not killed, roughly


def body(key: str, turn: int, size: int) -> bytes:
    token = f"{key}:{turn}:{size};".encode()
    return (token * (size // len(token) + 1))[:size]


def is_valid(key: str, found: bytes) -> bool:
    parts = found.split(b";", 1)[0].split(b":")
    return (
        len(parts) == 3
        and parts[0].decode() == key
        and body(key, int(parts[1]), int(parts[2])) == found
    )


def write_until_killed(folder: Path, turn: int, step: int, report: int) -> None:
    table = DiskTable(folder, "original", BUDGET)
    rng = random.Random(turn)
    left = step

    def count(_frame: object, _event: str, _argument: object) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(count)
    for _ in range(8):
        key, size = rng.choice(KEYS), rng.choice(SIZES)
        content = body(key, turn, size)
        tags = (f"tag:{key}", "tag:all")
        as_buffer = rng.random() < 0.5
        entry = Entry(SharedBuffer.from_bytes(content) if as_buffer else content, tags=tags)
        table.put(key, entry)
        os.write(report, f"{key}\n".encode())
        if turn % 2:
            table.purge(ByTag(f"tag:{rng.choice(KEYS)}"), soft=rng.random() < 0.5)


def kill_once(folder: Path, turn: int, step: int) -> str | None:
    """Return the key of the last entry that the writer had put when it was killed."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(reader)
        write_until_killed(folder, turn, step, writer)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as reports:
        put = [line.strip() for line in reports]
    os.waitpid(child, 0)
    return put[-1] if put else None


def kill_many(parent: Path, kills: int) -> int:
    folder = parent / "cache"
    hits = misses = wrong = lost = 0
    for turn in range(kills):
        last = kill_once(folder, turn, turn * STEPS // kills)
        table = DiskTable(folder, "original", BUDGET)
        for key in KEYS:
            entry = table.get(key)
            if entry is None:
                misses += 1
                continue
            found = entry.body if isinstance(entry.body, bytes) else entry.body.read()
            hits += 1
            wrong += not is_valid(key, found)
        if last is not None and not turn % 2:  # the others may have purged it themselves
            lost += table.get(last) is None
        table.close()
    table = DiskTable(folder, "original", BUDGET, clock=lambda: time.time() + 86_400)
    report = table.verify()
    table.close()
    print("| kills | hits | misses | wrong bodies | lost | damaged | missing | orphan files |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    print(
        f"| {kills} | {hits} | {misses} | {wrong} | {lost} | {report.damaged} |"
        f" {report.missing} | {report.orphans} |"
    )
    return 1 if wrong or lost else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--kills", type=int, default=500, help="number of writers to kill")
    parser.add_argument("--folder", type=Path, help="folder of the cache; default: a temporary one")
    options = parser.parse_args()
    if options.folder is None:
        with tempfile.TemporaryDirectory(prefix="framekeep-kill-") as scratch:
            return kill_many(Path(scratch), options.kills)
    return kill_many(options.folder, options.kills)


if __name__ == "__main__":
    sys.exit(main())
