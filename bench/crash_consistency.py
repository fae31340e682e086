#!/usr/bin/env python3
"""Kill a writer of the cache in mid-write, again and again, and look at what is then answered.

    bench/crash_consistency.py [--kills 500] [--folder DIR]

Each writer is killed by SIGKILL at another step: before or after some call into the interpreter or
the system, from opening the index through file, rename, transaction, eviction and removal. Then
every answer must be, byte for byte, something that was put under that very key, and the last entry
whose put had returned must be there.

Prints a table; exits with 1 if one answer was wrong.
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
from proxy.cache.disk_table import Shelf
from proxy.cache.store import Entry, Labelled

BUDGET = 2_000_000
KEYS = [f"key-{number}" for number in range(12)]
SIZES = (300, 5_000, 60_000, 400_000)
STEPS = 3000  # a writer that is not killed has made about so many


def body(key: str, turn: int, size: int) -> bytes:
    token = f"{key}:{turn}:{size};".encode()
    return (token * (size // len(token) + 1))[:size]


def is_sound(key: str, found: bytes) -> bool:
    parts = found.split(b";", 1)[0].split(b":")
    return (
        len(parts) == 3
        and parts[0].decode() == key
        and body(key, int(parts[1]), int(parts[2])) == found
    )


def write_until_killed(folder: Path, turn: int, step: int, report: int) -> None:
    shelf = Shelf(folder, "original", BUDGET)
    chance = random.Random(turn)
    left = step

    def count(_frame: object, _event: str, _argument: object) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(count)
    for _ in range(8):
        key, size = chance.choice(KEYS), chance.choice(SIZES)
        content = body(key, turn, size)
        labels = (f"tag:{key}", "tag:all")
        as_blob = chance.random() < 0.5
        entry = Entry(SharedBuffer.of(content) if as_blob else content, labels=labels)
        shelf.keep(key, entry)
        os.write(report, f"{key}\n".encode())
        if turn % 2:
            shelf.purge(Labelled(f"tag:{chance.choice(KEYS)}"), soft=chance.random() < 0.5)


def kill_once(folder: Path, turn: int, step: int) -> str | None:
    """The key of the last entry that the writer had put when it was killed."""
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
    answers = misses = wrong = lost = 0
    for turn in range(kills):
        last = kill_once(folder, turn, turn * STEPS // kills)
        shelf = Shelf(folder, "original", BUDGET)
        for key in KEYS:
            entry = shelf.look(key)
            if entry is None:
                misses += 1
                continue
            found = entry.body if isinstance(entry.body, bytes) else entry.body.read()
            answers += 1
            wrong += not is_sound(key, found)
        if last is not None and not turn % 2:  # the others may have purged it themselves
            lost += shelf.look(last) is None
        shelf.close()
    shelf = Shelf(folder, "original", BUDGET, clock=lambda: time.time() + 86_400)
    repairs = shelf.verify()
    shelf.close()
    print("| kills | answers | misses | wrong answers | lost | damaged | missing | stray files |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    print(
        f"| {kills} | {answers} | {misses} | {wrong} | {lost} | {repairs.damaged} |"
        f" {repairs.missing} | {repairs.stray} |"
    )
    return 1 if wrong or lost else 0


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    arguments.add_argument("--kills", type=int, default=500)
    arguments.add_argument("--folder", type=Path)
    chosen = arguments.parse_args()
    if chosen.folder is None:
        with tempfile.TemporaryDirectory(prefix="framekeep-kill-") as scratch:
            return kill_many(Path(scratch), chosen.kills)
    return kill_many(chosen.folder, chosen.kills)


if __name__ == "__main__":
    sys.exit(main())
