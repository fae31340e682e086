#!/usr/bin/env python3
"""Fill a cache with many entries, open it cold, and see how long things take.

    bench/full_cache.py [--entries 1 10000 100000]

Prints a table, a column for each number of entries. The page cache of the system is warm; the
process and its index are not.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Awaitable
from pathlib import Path

from proxy.cache import sqlite
from proxy.cache.config import CacheConfig
from proxy.cache.disk import DiskStore
from proxy.cache.disk_table import DiskTable
from proxy.cache.envelope import Envelope
from proxy.cache.store import All, ByTag, ByTagPrefix, Entry

BODY = os.urandom(500)
READS = 2000


def source(number: int) -> str:
    """Twelve entries are made of each."""
    return f"source:https://cdn.example.com/u/{number // 12:08}.jpg"


def fill(folder: Path, entries: int) -> None:
    """In one transaction: one by one it would take an hour for a million."""
    table = DiskTable(folder / "rendition", "rendition", 10**12)
    with table._database.transaction() as sql:
        for number in range(entries):
            tags = (source(number), f"tag:{number % 1000}")
            entry = Entry(BODY, tags=tags, cost=0.1)
            key = f"key-{number}"
            columns = table._write_body(Envelope.wrap("rendition", key, entry).encode(), BODY)
            rowid = sqlite.upsert(
                sql, key, columns, now=time.time(), soft_purged_at=0.0, cost=entry.cost
            )
            sqlite.set_tags(sql, rowid, tags)
    table.close()


Figures = dict[str, str]
"""What was done: milliseconds it took, and in parentheses those of CPU time."""


async def timed(figures: Figures, name: str, work: Awaitable[object], times: int = 1) -> None:
    began, used = time.perf_counter(), time.process_time()
    await work
    taken, used = time.perf_counter() - began, time.process_time() - used
    figures[name] = f"{taken * 1000 / times:.2f} ({used * 1000 / times:.2f})"


async def reads(store: DiskStore, entries: int) -> None:
    for number in range(READS):
        assert await store.get("rendition", f"key-{number * 7919 % entries}") is not None


async def writes(store: DiskStore, entries: int) -> None:
    for number in range(READS // 2):
        entry = Entry(BODY, tags=(source(entries + number), "tag:new"), cost=0.1)
        await store.put("rendition", f"key-{entries + number}", entry)


async def measure(folder: Path, entries: int) -> Figures:
    figures: Figures = {}
    store = DiskStore(CacheConfig(dir=str(folder), max_result_bytes=10**12))
    await timed(figures, "first answer after the start", store.get("rendition", "key-0"))
    await timed(figures, "a read", reads(store, entries), READS)
    await timed(figures, "a write", writes(store, entries), READS // 2)
    await timed(figures, "purge of one source", store.purge(ByTag(source(0))))
    await timed(figures, "purge of a tag", store.purge(ByTag("tag:7")))
    prefix = source(12 * 1000)[:-6]
    await timed(figures, "purge by prefix", store.purge(ByTagPrefix(prefix)))
    await timed(figures, "soft purge of everything", store.purge(All(), soft=True))
    await timed(figures, "purge of everything", store.purge(All()))
    await store.close()
    return figures


def measured(entries: int) -> Figures:
    with tempfile.TemporaryDirectory(prefix="framekeep-full-") as scratch:
        folder = Path(scratch) / "cache"
        folder.mkdir(mode=0o700)
        fill(folder, entries)
        return asyncio.run(measure(folder, entries))


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    arguments.add_argument("--entries", type=int, nargs="+", default=[1, 10_000, 100_000])
    counts = arguments.parse_args().entries
    columns = [measured(entries) for entries in counts]
    print("| ms (CPU ms), with entries |", " | ".join(f"{entries:,}" for entries in counts), "|")
    print("| --- |", " | ".join("---:" for _ in counts), "|")
    for name in columns[0]:
        print(f"| {name} |", " | ".join(column[name] for column in columns), "|")
    return 0


if __name__ == "__main__":
    sys.exit(main())
