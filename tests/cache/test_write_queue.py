"""Entries are written behind the answer: readable at once, in order, within a budget."""

import asyncio
import itertools
import math
import os
import sqlite3
import subprocess
import sys
import tempfile
import zlib
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from cache.disk_stores import disk_config as config
from cache.suite import MEGABYTE, CacheSuite, Clock, body_of
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.buffers import SharedBuffer
from proxy.cache.disk import DiskStore
from proxy.cache.io_threads import DiskBusy
from proxy.cache.sqlite import database_path
from proxy.cache.store import All, ByTag, Entry, Kind, Store
from proxy.cache.write_queue import Batch, Place, QueuedWrite, WriteQueue

pytestmark = pytest.mark.anyio

PENDING_BYTES = MEGABYTE
SMALL = b"small" * 100


# Of 4,096 change counters, which all entries share, these have the same.
COLLIDING = ("a", "1935")


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


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets for how many seconds a caller waits for a batch; a minute at first."""

    def set_seconds(seconds: float) -> None:
        monkeypatch.setattr("proxy.cache.disk._WRITE_WAIT_SECONDS", seconds)

    set_seconds(60)
    return set_seconds


@pytest.fixture
async def store(folder: Path) -> AsyncIterator[DiskStore]:
    """A store that is open: the first call of all opens it, and waits."""
    store = DiskStore(config(folder), max_pending_bytes=PENDING_BYTES)
    await store.put("rendition", "first", Entry(SMALL))
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


async def test_where_too_much_waits_a_put_waits_for_its_entry(
    store: DiskStore, folder: Path
) -> None:
    await store.put("rendition", "a", Entry(SMALL))
    await store.put("rendition", "large", Entry(bytes(PENDING_BYTES)))
    assert keys_on_disk(folder) == {"first", "a", "large"}


async def test_without_pending_bytes_every_put_waits(folder: Path) -> None:
    store = DiskStore(config(folder))
    for keys in ("a", "bcd"):
        await asyncio.gather(*(store.put("rendition", key, Entry(SMALL)) for key in keys))
        assert keys_on_disk(folder) == {*"a", *keys}
    await store.close()


async def test_a_slow_disk_is_not_waited_for_twice_and_writes_all_of_it(
    store: DiskStore, folder: Path, patience: Callable[[float], None]
) -> None:
    large = Entry(bytes(PENDING_BYTES))
    with store._tables["rendition"]._lock:  # as a thread does that waits for the disk
        patience(0)
        await store.put("rendition", "a", large)
        patience(math.inf)
        await store.put("rendition", "b", large)
        assert body_of(await store.get("rendition", "a")) == large.body
        assert keys_on_disk(folder) == {"first"}
    await store.flush()
    assert keys_on_disk(folder) == {"first", "a", "b"}
    await store.put("rendition", "c", large)
    assert keys_on_disk(folder) == {"first", "a", "b", "c"}


async def test_a_bounded_number_of_entries_waits(
    store: DiskStore,
    folder: Path,
    patience: Callable[[float], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    patience(0)
    with store._tables["rendition"]._lock:
        for number in range(2049):
            await store.put("rendition", str(number), Entry(b""))
    assert "disk queue full: 2048 entries" in caplog.text
    await store.flush()
    assert keys_on_disk(folder) == {"first", *map(str, range(2048))}


async def test_what_is_not_written_before_the_end_is_counted(
    store: DiskStore, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        pytest.MonkeyPatch.context() as patch,
        store._tables["rendition"]._lock,
    ):
        patch.setattr("proxy.cache.disk._CLOSE_TIMEOUT_SECONDS", 0.001)
        await store.put("rendition", "a", Entry(SMALL))
        await store.close()
    assert "cache entries not written before the end: 1" in caplog.text


def test_keys_collide() -> None:
    one, other = (zlib.crc32(key.encode(), zlib.crc32(b"rendition")) % 4096 for key in COLLIDING)
    assert one == other


async def test_an_entry_that_waits_is_found_although_one_with_the_same_counter_changes(
    store: DiskStore,
) -> None:
    one, other = COLLIDING
    for body in (b"old", b"new"):
        await store.put("rendition", one, Entry(body))
        await store.put("rendition", other, Entry(b"other"))
        assert body_of(await store.get("rendition", one)) == body


async def test_work_from_before_a_purge_does_not_take_the_place_of_newer_work(
    folder: Path,
) -> None:
    clock = Clock()
    store = DiskStore(config(folder), clock=clock, max_pending_bytes=PENDING_BYTES)
    await store.put("rendition", "first", Entry(SMALL))
    before = clock()
    await store.purge(All(), soft=True)
    await store.purge(ByTag("tag:x"))
    new, old = Entry(b"new", tags=("tag:x",)), Entry(b"old", tags=("tag:x",))
    await store.put("rendition", "a", new, started_at=clock())
    await store.put("rendition", "a", old, started_at=before)
    assert body_of(await store.get("rendition", "a")) == b"new"
    await store.close()


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
from proxy.cache import disk
from proxy.cache.config import CacheConfig
from proxy.cache.store import Entry

async def main():
    disk._WRITE_WAIT_SECONDS = 60
    store = disk.DiskStore(
        CacheConfig(dir=sys.argv[1], disk_timeout_seconds=60), max_pending_bytes=1_000_000
    )
    await store.put("rendition", "first", Entry(b"first"))  # opens the store
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


class Put(NamedTuple):
    """``is_dropped``: it turns out that a purge selects it."""

    place: Place
    body: bytes
    batch: Batch
    is_dropped: bool


class QueueModel:
    """A queue, a disk that ends a batch when it is told to, and what they must hold together."""

    def __init__(self) -> None:
        ticks = itertools.count()
        self.queue = WriteQueue(8000, self.start, lambda: float(next(ticks)))
        self.started: list[Batch] = []
        self.failed: list[Batch] = []
        self.puts: list[Put] = []
        self.disk: dict[Place, bytes] = {}
        self.waiters: list[tuple[asyncio.Future[None], Sequence[Put]]] = []

    def start(self, batch: Batch) -> None:
        self.started.append(batch)

    async def step(self, name: str, key: str = "", body: bytes = b"", purged: str = "no") -> None:
        place: Place = ("rendition", key)
        match name:
            case "put":
                token = None if purged != "no" else lambda: True
                head = purged.encode()
                batch = self.queue.add(place, QueuedWrite(Entry(body, head), 0.0, token))
                self.puts.append(Put(place, body, batch, purged == "yes"))
            case "turn":
                await asyncio.sleep(0)
            case "wait" if (waiter := self.queue.written(60)) is not None:
                self.waiters.append((waiter, tuple(self.puts)))
            case "finish" if self.started:
                batch = self.started.pop()
                for at, write in batch.writes.items():
                    if write.entry.head != b"yes":
                        self.disk[at] = bytes_of(write.entry)
                self.queue.on_ended(None)
            case "fail" if self.started:
                self.failed.append(self.started.pop())
                self.queue.on_ended(DiskBusy("full"))

    def check(self) -> None:
        assert len(self.started) <= 1
        waiting = {id(put.batch): put.batch for put in self.puts if not put.batch.ended.done()}
        writes = [write for batch in waiting.values() for write in batch.writes.values()]
        assert len(self.queue) == len(writes)
        size = sum(len(write.entry.body) + len(write.entry.head) + 1024 for write in writes)
        assert self.queue.is_over_limit is (size > 8000)
        for place in {put.place for put in self.puts}:
            puts = [put for put in self.puts if put.place == place]
            queued = self.queue.get(place)
            assert (queued is None) is puts[-1].batch.ended.done()
            if queued is not None:
                assert bytes_of(queued[0].entry) == puts[-1].body
                assert queued[1] is puts[-1].batch
            # In their order, whoever waits for them: what has ended is there, unless it failed.
            kept = [put for put in puts if put.batch.ended.done() and not put.is_dropped]
            kept = [put for put in kept if put.batch not in self.failed]
            assert self.disk.get(place) == (kept[-1].body if kept else None)
        for waiter, before in self.waiters:
            assert not waiter.done() or all(put.batch.ended.done() for put in before)


def bytes_of(entry: Entry) -> bytes:
    assert isinstance(entry.body, bytes)
    return entry.body


STEPS = st.one_of(
    st.tuples(
        st.just("put"),
        st.sampled_from("abc"),
        st.binary(max_size=3000),
        st.sampled_from(["no", "no", "perhaps", "yes"]),
    ),
    st.sampled_from([("turn",), ("finish",), ("fail",), ("wait",)]),
)


@given(st.lists(STEPS, max_size=40))
def test_any_order_of_puts_and_writes_keeps_the_last_entry(steps: list[Any]) -> None:
    async def run() -> None:
        model = QueueModel()
        for step in [*steps, ("turn",), *[("finish",)] * 40, ("turn",)]:
            await model.step(*step)
            model.check()
        assert len(model.queue) == 0
        assert model.queue.written(60) is None
        assert all(waiter.done() for waiter, _ in model.waiters)
        for put in model.puts:
            expected = DiskBusy if put.batch in model.failed else type(None)
            assert isinstance(put.batch.ended.exception(), expected)

    asyncio.run(run())


def test_a_batch_has_a_bounded_number_of_entries_and_the_next_one_follows() -> None:
    async def run() -> None:
        model = QueueModel()
        for number in range(1100):
            await model.step("put", str(number))
            await model.step("wait")
        await model.step("turn")
        sizes = []
        while model.started:
            sizes.append(len(model.started[0].writes))
            await model.step("finish")
        assert sizes == [512, 512, 76]
        assert len(model.disk) == 1100

    asyncio.run(run())


STORE_STEPS = st.one_of(
    st.tuples(
        st.just("put"),
        st.sampled_from(COLLIDING),
        st.sampled_from([10, 5000, 40_000]),  # with room, without, and as a file
        st.booleans(),
    ),
    st.sampled_from([("turn",), ("purge",), ("purge",), ("flush",)]),
)


@settings(max_examples=20)
@given(st.lists(STORE_STEPS, max_size=20))
def test_in_any_order_what_was_put_last_is_found_until_it_is_purged(steps: list[Any]) -> None:
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory() as folder:
        patch.setattr("proxy.cache.disk._WRITE_WAIT_SECONDS", 60)
        asyncio.run(play(steps, Path(folder) / "cache"))


async def play(steps: list[Any], folder: Path) -> None:
    ticks = itertools.count(1_000_000)
    store = DiskStore(config(folder), clock=lambda: float(next(ticks)), max_pending_bytes=8000)
    await store.put("rendition", "first", Entry(SMALL))
    expected: dict[str, bytes | None] = dict.fromkeys(COLLIDING)
    purged_at, puts = 0.0, []
    for name, *arguments in steps:
        match name:
            case "put":
                key, size, is_late = arguments
                body, now = os.urandom(size), float(next(ticks))
                started_at = purged_at if is_late and purged_at else now
                if started_at == now:
                    expected[key] = body
                entry = Entry(body, tags=("tag:x",))
                put = store.put("rendition", key, entry, started_at=started_at)
                puts.append(asyncio.create_task(put))
                await asyncio.sleep(0)  # now it is queued
            case "purge":
                purged_at = float(next(ticks))
                await store.purge(ByTag("tag:x"))
                expected = dict.fromkeys(COLLIDING)
            case "flush":
                await store.flush()
            case "turn":
                await asyncio.sleep(0)
        for key, wanted in expected.items():
            assert body_of(await store.get("rendition", key)) == wanted
    await asyncio.gather(*puts)
    await store.close()
    again = DiskStore(config(folder))
    for key, wanted in expected.items():
        assert body_of(await again.get("rendition", key)) == wanted
    await again.close()
