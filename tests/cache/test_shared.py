"""Two machines that share a bucket, on a real server that speaks S3."""

import asyncio
import os
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec
import pytest
from cache.suite import Clock, body_of
from memory_store import MemoryStore
from origin_server import FaultyOrigin
from render_processes import wait_until
from s3_server import S3Server
from shared_cache import open_machine as machine

from proxy.cache.config import SharedCacheConfig
from proxy.cache.failure_rate_breaker import MIN_FAILURES
from proxy.cache.memory_layer import MemoryCacheLayer
from proxy.cache.purge_objects import PURGE_FOLDER
from proxy.cache.shared import SharedCache
from proxy.cache.store import All, ByTag, Cache, Entry, Kind, Selector
from proxy.errors import StoreUnavailable
from proxy.runtime.components import OK, ComponentStatus

pytestmark = pytest.mark.anyio


def objects(s3: S3Server) -> list[Path]:
    return [path for path in s3.folder.rglob("rendition/*/*") if path.is_file()]


def memory_cache(clock: Callable[[], float] = time.time) -> Cache:
    return MemoryCacheLayer(MemoryStore(10_000_000, clock=clock), 0)


async def test_an_entry_of_one_machine_is_read_by_the_other(bucket: str) -> None:
    clock = Clock()
    async with machine(bucket, clock) as one, machine(bucket, clock) as other:
        entry = Entry(os.urandom(50_000), head=b"head", tags=("tag:a",), cost=0.5)
        await one.put("rendition", "key-1", entry)
        await one.put("record", "key-1", Entry(b"", head=b"record"))
        await one.put("original", "key-1", entry)
        await one.wait_written()
        found = await other.get("rendition", "key-1")
        assert found is not None
        assert (found.body, found.head, found.tags) == (entry.body, b"head", ("tag:a",))
        record = await other.get("record", "key-1")
        assert record is not None
        assert record.head == b"record"
        assert await other.get("original", "key-1") is None  # the source has it
        assert await other.get("rendition", "key-2") is None
        assert await other._local.get("rendition", "key-1") is not None


@pytest.mark.parametrize("soft", [False, True])
async def test_a_purge_reaches_the_other_machine(bucket: str, *, soft: bool) -> None:
    clock = Clock()
    async with machine(bucket, clock) as one, machine(bucket, clock) as other:
        for store in (one, other):
            await store.put("rendition", "key-1", Entry(b"1", tags=("tag:a",)))
            await store.put("rendition", "key-2", Entry(b"2", tags=("tag:b",)))
            await store.wait_written()
        counts = await one.purge(ByTag("tag:a"), soft=soft)
        assert counts["rendition"] == 1
        await other._purges.sync()
        found = await other.get("rendition", "key-1")
        assert (found is not None and found.soft_purged_at > 0) if soft else found is None
        assert body_of(await other.get("rendition", "key-2")) == b"2"


async def test_a_machine_that_was_down_applies_purges_once(bucket: str) -> None:
    clock = Clock()
    local = memory_cache(clock)
    await local.put("rendition", "key-1", Entry(b"1", tags=("tag:a",)))
    async with machine(bucket, clock) as one:
        await one.purge(ByTag("tag:a"))
        async with machine(bucket, clock, local) as back:
            assert await back.get("rendition", "key-1") is None
            await back.put("rendition", "key-1", Entry(b"2", tags=("tag:a",)))
            await back._purges.sync()
            assert body_of(await back.get("rendition", "key-1")) == b"2"


@pytest.mark.parametrize(
    "name",
    ["zzz", "a b", "%zz", "9999999999.999999-deadbeef", "0" * 32, "batch-" + "0" * 32, "x/y"],
)
async def test_an_odd_object_among_the_purges_ends_nothing_and_is_counted_once(
    bucket: str, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    async with machine(bucket, clock) as one, machine(bucket, clock) as other:
        purge = msgspec.msgpack.encode({"at": 1e300, "selector": {"type": "all"}, "soft": False})
        for content in (b"foreign", bytes(32) + purge):
            await one._bucket.put(f"{PURGE_FOLDER}/{name}", content)
            await other.put("rendition", "key-1", Entry(b"1", tags=("tag:a",)))
            await one.purge(ByTag("tag:a"))
            await other._purges.sync()
            assert await other._local.get("rendition", "key-1") is None
        assert other._background.failures["purge_listener"] == 1
        assert caplog.text.count("it is no purge") == 1


async def test_the_listener_is_degraded_without_the_bucket_and_down_after_a_bug(
    bucket: str,
) -> None:
    gone = re.sub(r"endpoint=.*", "endpoint=http://127.0.0.1:1", bucket)
    config = SharedCacheConfig(url=gone, write_timeout_seconds=1)
    store = SharedCache(memory_cache(), config)
    (look,) = store.components.values()
    assert look() == OK
    store.start()
    await wait_until(lambda: look().state == "degraded")
    assert "the bucket is not used" in look().detail
    await store.close()

    async with machine(bucket, Clock()) as one:
        await one.purge(All())
    store = SharedCache(FailsOnce(MemoryStore(10_000_000), 0), SharedCacheConfig(url=bucket))
    (look,) = store.components.values()
    store.start()
    await wait_until(lambda: look().state == "down")
    await wait_until(lambda: look() == OK)
    await store.close()


async def test_a_writer_returns_after_an_unexpected_error(
    bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cannot_encode(*_: object) -> bytes:
        raise MemoryError

    async with machine(bucket, Clock()) as store:
        with monkeypatch.context() as patch:
            patch.setattr(store._entries._codec, "encode", cannot_encode)
            await store.put("rendition", "key-1", Entry(b"1"))
            await store.wait_written()
        assert store._background.failures["shared_cache_writer"] == 1
        assert store.shared_counts.lost_writes == {"failed": 1}
        await store.put("rendition", "key-1", Entry(b"1"))
        await store.wait_written()
        assert await store._get_remote("rendition", "key-1") is not None


class FailsOnce(MemoryCacheLayer):
    failed = False

    async def purge(self, selector: Selector, *, soft: bool = False) -> Mapping[Kind, int]:
        if not self.failed:
            self.failed = True
            raise RuntimeError("unexpected")
        return await super().purge(selector, soft=soft)


async def test_an_unexpected_error_does_not_stop_the_purges(
    bucket: str, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    local = FailsOnce(MemoryStore(10_000_000, clock=clock), 0)
    await local.put("rendition", "key-1", Entry(b"1", tags=("tag:a",)))
    async with machine(bucket, clock) as one:
        await one.purge(ByTag("tag:a"))
    async with machine(bucket, clock, local) as store:
        await wait_until(lambda: local.failed and status(store) == OK)
        assert await store.get("rendition", "key-1") is None
    assert "background task failed (task=purge_listener): RuntimeError: unexpected" in caplog.text


def status(store: SharedCache) -> ComponentStatus:
    (look,) = store.components.values()
    return look()


async def test_a_damaged_object_is_not_used_but_an_old_one_is(bucket: str, s3: S3Server) -> None:
    clock = Clock()
    async with machine(bucket, clock) as one, machine(bucket, clock) as other:
        await one.put("rendition", "damaged", Entry(os.urandom(1000)))
        await one.wait_written()
        (path,) = (path for path in objects(s3) if path.name == "damaged")
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
        assert await other.get("rendition", "damaged") is None
        await one.put("rendition", "old", Entry(b"old"))
        await one.wait_written()
        clock.now += 31 * 86_400
        assert await other.get("rendition", "old") is None  # it does not know the purges since then
        await other._purges.sync()
        other._misses.clear()
        assert body_of(await other.get("rendition", "old")) == b"old"


async def test_tags_that_are_added_later_are_shared(bucket: str) -> None:
    clock = Clock()
    async with machine(bucket, clock) as one, machine(bucket, clock) as other:
        await one.put("rendition", "key-1", Entry(b"1", tags=("tag:a",)))
        await one.add_tags("rendition", "key-1", ["tag:b"])
        await one.wait_written()
        found = await other.get("rendition", "key-1")
        assert found is not None
        assert found.tags == ("tag:a", "tag:b")


async def test_without_the_bucket_the_local_cache_is_used(bucket: str) -> None:
    gone = re.sub(r"endpoint=.*", "endpoint=http://127.0.0.1:1", bucket)
    config = SharedCacheConfig(url=gone, write_timeout_seconds=1)
    store = SharedCache(memory_cache(), config)
    store.start()
    await store.put("rendition", "key-1", Entry(b"1"))
    assert body_of(await store.get("rendition", "key-1")) == b"1"
    assert await store.get("rendition", "key-2") is None
    with pytest.raises(StoreUnavailable):
        await store.purge(All())
    assert await store.get("rendition", "key-1") is None
    await store.close()


async def test_a_bucket_that_hangs_delays_a_few_reads_only(bucket: str) -> None:
    async def hang(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()
        writer.close()
        left.append(writer)

    over, left = asyncio.Event(), list[asyncio.StreamWriter]()
    async with FaultyOrigin(hang) as origin:
        hangs = re.sub(r"endpoint=.*", f"endpoint={origin.url('/').rstrip('/')}", bucket)
        config = SharedCacheConfig(url=hangs, read_timeout_seconds=0.01, write_timeout_seconds=1)
        store = SharedCache(memory_cache(), config)
        store.start()
        store._has_tried.set()
        await store._purges._call(lambda: store._purges._log.set_synced(time.time()))
        reads = 0
        while store._reads.allows():
            reads += 1
            assert await store.get("rendition", f"key-{reads}") is None
        assert reads >= MIN_FAILURES
        await store.close()
        over.set()
        await wait_until(lambda: len(left) == origin.connections)
