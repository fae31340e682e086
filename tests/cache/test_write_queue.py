"""Entries are written behind the answer: readable at once, in order, within a budget."""

import asyncio
import os
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from cache.suite import MEGABYTE, CacheSuite, Clock, body_of
from hypothesis import given
from hypothesis import strategies as st

from proxy.buffers import SharedBuffer
from proxy.cache.config import CacheConfig
from proxy.cache.disk import DiskStore
from proxy.cache.sqlite import database_path
from proxy.cache.store import All, ByTag, Entry, Kind, Store
from proxy.cache.write_queue import Place, QueuedWrite, WriteQueue

pytestmark = pytest.mark.anyio

PENDING_BYTES = MEGABYTE
SMALL = b"small" * 100


def config(folder: Path, budget: int = 64 * MEGABYTE) -> CacheConfig:
    return CacheConfig(
        dir=str(folder),
        max_result_bytes=budget,
        max_original_bytes=budget,
        max_detection_bytes=budget,
        max_metadata_bytes=budget,
        disk_timeout_seconds=60,
    )


class FlushedStore(DiskStore):
    """Writes behind, and then waits for it: what is evicted is known only then."""

    async def put(
        self, kind: Kind, key: str, entry: Entry, *, started_at: float | None = None
    ) -> None:
        await super().put(kind, key, entry, started_at=started_at)
        await self.flush()


class TestDiskStoreThatWritesBehind(CacheSuite):
    def make(self, folder: Path, clock: Clock, budget: int) -> Store:
        return FlushedStore(config(folder, budget), clock=clock, max_pending_bytes=PENDING_BYTES)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
async def store(folder: Path) -> AsyncIterator[DiskStore]:
    """A store that is open: the first call of all opens it, and waits."""
    store = DiskStore(config(folder), max_pending_bytes=PENDING_BYTES)
    await store.put("rendition", "first", Entry(SMALL))
    while await store.get("rendition", "first") is None:
        pass  # a put waits for a second at most
    yield store
    await store.close()


def keys_on_disk(folder: Path) -> set[str]:
    """What is in the index now; asks no event loop, so that nothing else can happen meanwhile."""
    connection = sqlite3.connect(database_path(folder / "rendition"))
    try:
        return {key for (key,) in connection.execute("SELECT key FROM Cache")}
    finally:
        connection.close()


async def test_a_put_returns_before_its_entry_is_written(store: DiskStore, folder: Path) -> None:
    await store.put("rendition", "a", Entry(SMALL, tags=("tag:x",)))
    assert keys_on_disk(folder) == {"first"}
    entry = await store.get("rendition", "a")
    assert body_of(entry) == SMALL
    await store.flush()
    assert keys_on_disk(folder) == {"first", "a"}
    assert store.written() is None


async def test_an_entry_that_finds_no_room_is_written_anyway(
    store: DiskStore, folder: Path
) -> None:
    await store.put("rendition", "a", Entry(SMALL))
    await store.put("rendition", "large", Entry(bytes(PENDING_BYTES)))
    await store.close()
    assert keys_on_disk(folder) == {"first", "a", "large"}


async def test_what_waits_is_written_when_the_store_is_closed(
    store: DiskStore, folder: Path
) -> None:
    body = SharedBuffer.from_bytes(os.urandom(100_000))
    await store.put("original", "a", Entry(body))
    await store.put("rendition", "a", Entry(SMALL))
    await store.close()
    again = DiskStore(config(folder))
    assert body_of(await again.get("rendition", "a")) == SMALL
    assert body_of(await again.get("original", "a")) == body.read()
    await again.close()


@pytest.mark.parametrize("selector", [All(), ByTag("tag:x")])
async def test_a_purge_removes_what_waits(store: DiskStore, selector: All | ByTag) -> None:
    await store.put("rendition", "a", Entry(SMALL, tags=("tag:x",)))
    await store.purge(selector)
    assert await store.get("rendition", "a") is None


async def test_a_purge_of_another_process_removes_what_waits(
    store: DiskStore, folder: Path
) -> None:
    other = DiskStore(config(folder))
    await other.get("rendition", "first")
    await store.put("rendition", "a", Entry(SMALL, tags=("tag:x",)))
    await other.purge(ByTag("tag:x"))
    await store.flush()
    assert await store.get("rendition", "a") is None
    assert await other.get("rendition", "a") is None
    await other.close()


async def test_a_replaced_entry_is_not_served_while_the_new_one_waits(store: DiskStore) -> None:
    unchanged = store.change_token(("rendition", "first"))
    assert unchanged is not None
    await store.put("rendition", "first", Entry(b"new"))
    assert not unchanged()
    assert body_of(await store.get("rendition", "first")) == b"new"


async def test_a_body_that_cannot_be_written_does_not_take_others_with_it(
    store: DiskStore, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(100_000))
    cut = SharedBuffer(os.open(path, os.O_RDONLY), digest="00" * 32)
    os.truncate(path, 10)
    await store.put("rendition", "a", Entry(SMALL))
    await store.put("rendition", "cut", Entry(cut))
    await store.flush()
    assert body_of(await store.get("rendition", "a")) == SMALL
    assert await store.get("rendition", "cut") is None


KILLED_BEFORE_THE_WRITE = """
import asyncio, os, sys
from proxy.cache.config import CacheConfig
from proxy.cache.disk import DiskStore
from proxy.cache.store import Entry

async def main():
    store = DiskStore(
        CacheConfig(dir=sys.argv[1], disk_timeout_seconds=60), max_pending_bytes=1_000_000
    )
    await store.put("rendition", "first", Entry(b"first"))  # opens the store
    while await store.get("rendition", "first") is None:
        pass
    await store.put("rendition", "written", Entry(bytes(100_000)))
    await store.flush()
    await store.put("rendition", "lost", Entry(bytes(100_000)))
    os._exit(0)

asyncio.run(main())
"""


async def test_a_process_that_dies_first_loses_its_entry_and_nothing_else(folder: Path) -> None:
    command = [sys.executable, "-c", KILLED_BEFORE_THE_WRITE, str(folder)]
    await asyncio.to_thread(subprocess.run, command, check=True)
    store = DiskStore(config(folder))
    assert body_of(await store.get("rendition", "written")) == bytes(100_000)
    assert await store.get("rendition", "lost") is None
    report = (await store.verify())["rendition"]
    assert (report.entries, report.damaged, report.missing, report.orphans) == (2, 0, 0, 0)
    await store.close()


class QueueModel:
    """A queue, a disk that ends a batch when it is told to, and what they must hold together."""

    def __init__(self) -> None:
        self.queue = WriteQueue(8000, self.start)
        self.batches: list[Mapping[Place, QueuedWrite]] = []
        self.written: dict[Place, bytes] = {}
        self.put: dict[Place, bytes] = {}
        self.waiters: list[tuple[asyncio.Future[None], dict[Place, bytes]]] = []

    def start(self, batch: Mapping[Place, QueuedWrite]) -> None:
        self.batches.append(batch)

    async def step(self, name: str, key: str = "", body: bytes = b"") -> None:
        place: Place = ("rendition", key)
        match name:
            case "put" if self.queue.add(place, QueuedWrite(Entry(body), 0.0, lambda: True)):
                self.put[place] = body
            case "turn":
                await asyncio.sleep(0)
            case "wait" if (waiter := self.queue.written(60)) is not None:
                self.waiters.append((waiter, dict(self.put)))
            case "finish" if self.batches:
                batch = self.batches.pop()
                self.written |= {at: bytes_of(write.entry) for at, write in batch.items()}
                self.queue.on_written()

    def check(self) -> None:
        for place, body in self.put.items():
            waiting = self.queue.get(place)
            assert (bytes_of(waiting) if waiting else self.written[place]) == body
        for waiter, before in self.waiters:
            assert not waiter.done() or before.keys() <= self.written.keys()


def bytes_of(entry: Entry) -> bytes:
    assert isinstance(entry.body, bytes)
    return entry.body


STEPS = st.one_of(
    st.tuples(st.just("put"), st.sampled_from("abc"), st.binary(max_size=3000)),
    st.sampled_from([("turn",), ("finish",), ("wait",)]),
)


@given(st.lists(STEPS, max_size=40))
def test_any_order_of_puts_and_writes_keeps_the_last_entry(steps: list[Any]) -> None:
    async def run() -> None:
        model = QueueModel()
        for step in [*steps, *[("turn",), ("finish",)] * 3]:
            await model.step(*step)
            model.check()
        assert model.written == model.put
        assert model.queue.written(60) is None
        assert all(waiter.done() for waiter, _ in model.waiters)

    asyncio.run(run())
