#!/usr/bin/env python3
"""Measure reads, writes and purges of a cache with many entries.

    bench/full_cache.py [--entries 1 10000 100000]

Prints a Markdown table with a column for each number of entries. The page cache of the system is
warm; the process and its index are cold.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Awaitable
from pathlib import Path

from proxy.cache import disk_index
from proxy.cache.config import CacheConfig
from proxy.cache.disk import DiskStore
from proxy.cache.disk_rows import PreparedWrite
from proxy.cache.disk_table import DiskTable
from proxy.cache.store import All, ByTag, ByTagPrefix, Entry

BODY = os.urandom(500)
READS = 2000


def source(number: int) -> str:
    """The source tag of an entry; twelve entries have the same."""
    return f"source:https://cdn.example.com/u/{number // 12:08}.jpg"


def fill(folder: Path, entries: int) -> None:
    """Write the entries in one transaction: one by one, a million would take an hour."""
    table = DiskTable(folder / "rendition", "rendition", 10**12)
    with table._database.transaction() as sql:
        for number in range(entries):
            tags = (source(number), f"tag:{number % 1000}")
            entry = Entry(BODY, tags=tags, cost=0.1)
            key = f"key-{number}"
            columns = PreparedWrite.wrap("rendition", (key, entry, None)).stage(table._files)
            rowid = disk_index.upsert(
                sql, key, columns, now=time.time(), soft_purged_at=0.0, cost=entry.cost
            )
            disk_index.set_tags(sql, rowid, tags)
    table.close()


Timings = dict[str, str]
"""Milliseconds by action, and CPU milliseconds in parentheses."""


async def measure(timings: Timings, name: str, action: Awaitable[object], times: int = 1) -> None:
    start, cpu_start = time.perf_counter(), time.process_time()
    await action
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
    timings[name] = f"{seconds * 1000 / times:.2f} ({cpu_seconds * 1000 / times:.2f})"


async def read_many(store: DiskStore, entries: int) -> None:
    for number in range(READS):
        assert await store.get("rendition", f"key-{number * 7919 % entries}") is not None


async def write_many(store: DiskStore, entries: int) -> None:
    for number in range(READS // 2):
        entry = Entry(BODY, tags=(source(entries + number), "tag:new"), cost=0.1)
        await store.put("rendition", f"key-{entries + number}", entry)


async def measure_all(folder: Path, entries: int) -> Timings:
    timings: Timings = {}
    store = DiskStore(CacheConfig(dir=str(folder), max_result_bytes=10**12))
    await measure(timings, "first read after the start", store.get("rendition", "key-0"))
    await measure(timings, "a read", read_many(store, entries), READS)
    await measure(timings, "a write", write_many(store, entries), READS // 2)
    await measure(timings, "purge of one source", store.purge(ByTag(source(0))))
    await measure(timings, "purge of a tag", store.purge(ByTag("tag:7")))
    prefix = source(12 * 1000)[:-6]
    await measure(timings, "purge by prefix", store.purge(ByTagPrefix(prefix)))
    await measure(timings, "soft purge of everything", store.purge(All(), soft=True))
    await measure(timings, "purge of everything", store.purge(All()))
    await store.close()
    return timings


def run(entries: int) -> Timings:
    with tempfile.TemporaryDirectory(prefix="framekeep-full-") as scratch:
        folder = Path(scratch) / "cache"
        folder.mkdir(mode=0o700)
        fill(folder, entries)
        return asyncio.run(measure_all(folder, entries))


def main() -> int:
    arguments = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    arguments.add_argument(
        "--entries", type=int, nargs="+", default=[1, 10_000, 100_000], help="numbers of entries"
    )
    counts = arguments.parse_args().entries
    columns = [run(entries) for entries in counts]
    print("| ms (CPU ms), with entries |", " | ".join(f"{entries:,}" for entries in counts), "|")
    print("| --- |", " | ".join("---:" for _ in counts), "|")
    for name in columns[0]:
        print(f"| {name} |", " | ".join(column[name] for column in columns), "|")
    return 0


if __name__ == "__main__":
    sys.exit(main())
