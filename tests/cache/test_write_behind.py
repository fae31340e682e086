"""What is written to the bucket later: everything, or a count says what was not."""

import asyncio
import os
from collections.abc import AsyncIterator

import pytest
from cache.suite import Clock
from memory_bucket import MemoryBucket, refuse
from memory_store import MemoryStore
from render_processes import wait_until

from proxy.cache import write_behind
from proxy.cache.config import SharedCacheConfig
from proxy.cache.memory_layer import MemoryCacheLayer
from proxy.cache.shared import SharedCache
from proxy.cache.shared_objects import entry_name
from proxy.cache.store import ByTag, Entry
from proxy.cache.write_behind import LOSS_REASONS, PendingWrite
from proxy.runtime.caller import Caller, Deadline, serving
from proxy.telemetry import store_metrics

pytestmark = pytest.mark.anyio

CLIENT = Caller("a client", Deadline())


@pytest.fixture
def bucket() -> MemoryBucket:
    return MemoryBucket()


@pytest.fixture(autouse=True)
def _retries_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write_behind, "_RETRY_SECONDS", 0.0)
    monkeypatch.setattr("proxy.cache.failure_rate_breaker._MIN_OPEN_SECONDS", 0.0)


def shared(
    bucket: MemoryBucket, *, max_writes: int = 10_000, budget: int = 10_000_000
) -> SharedCache:
    config = SharedCacheConfig(
        url="s3://none?region=eu-central-1",
        max_write_queue=max_writes,
        backoff_seconds=0,
        purge_poll_seconds=3600,
    )
    clock = Clock()
    local = MemoryCacheLayer(MemoryStore(budget, clock=clock), 0)
    return SharedCache(local, config, bucket=bucket, clock=clock)


@pytest.fixture
async def cache(bucket: MemoryBucket) -> AsyncIterator[SharedCache]:
    cache = shared(bucket)
    cache.start()
    await cache._has_tried.wait()
    yield cache
    await cache.close()


def written(bucket: MemoryBucket) -> set[str]:
    return {name.rpartition("/")[2] for name in bucket.objects}


async def put(cache: SharedCache, *keys: str, body: bytes = b"1") -> None:
    for key in keys:
        await cache.put("rendition", key, Entry(body, tags=(f"tag:{key}",)))


async def fetched(cache: SharedCache, key: str) -> Entry | None:
    """What another machine would read."""
    data = await cache._entries.fetch("rendition", key)
    return None if data is None else await cache._entries.decode("rendition", key, data)


async def test_3000_entries_in_a_row_all_arrive(cache: SharedCache, bucket: MemoryBucket) -> None:
    keys = [f"key-{number}" for number in range(3000)]
    with serving(CLIENT):
        await put(cache, *keys)
    await cache.wait_written()
    assert written(bucket) == set(keys)
    assert not cache.shared_counts.lost_writes


async def test_what_does_not_fit_the_queue_is_counted_and_logged(
    bucket: MemoryBucket, caplog: pytest.LogCaptureFixture
) -> None:
    cache = shared(bucket, max_writes=1000)
    with serving(CLIENT):
        await put(cache, *(f"key-{number}" for number in range(3000)))
    await cache.wait_written()
    lost = cache.shared_counts.lost_writes["queue_full"]
    assert lost == 3000 - len(written(bucket)) > 0
    await cache.close()
    assert "entries not written to the shared cache: queue_full 1" in caplog.text


async def test_work_in_the_background_waits_for_room(bucket: MemoryBucket) -> None:
    cache = shared(bucket, max_writes=3)
    keys = [f"key-{number}" for number in range(100)]
    await put(cache, *keys)  # no client waits for it
    await cache.wait_written()
    assert written(bucket) == set(keys)
    assert not cache.shared_counts.lost_writes
    await cache.close()


async def test_nothing_is_lost_while_the_bucket_fails(
    cache: SharedCache, bucket: MemoryBucket
) -> None:
    keys = [f"key-{number}" for number in range(50)]
    bucket.before = refuse
    with serving(CLIENT):
        await put(cache, *keys)
    await wait_until(lambda: cache._write_breaker.error)
    failed = bucket.calls["put"]
    await wait_until(lambda: bucket.calls["put"] > failed + 20)  # one at a time tries it out
    assert not cache.shared_counts.lost_writes
    assert cache.shared_counts.pending_writes == 50
    bucket.before = None
    await cache.wait_written()
    assert written(bucket) == set(keys)
    assert cache._write_breaker.state == "closed"


async def test_a_read_while_the_bucket_fails_is_not_made(
    cache: SharedCache, bucket: MemoryBucket
) -> None:
    bucket.before = refuse
    for number in range(20):
        assert await cache.get("rendition", f"key-{number}") is None
    reads = bucket.reads["rendition"]
    assert reads < 20
    assert await cache.get("rendition", "another") is None
    assert bucket.reads["rendition"] == reads
    bucket.before = None
    await wait_until(lambda: cache._reads.state == "closed")  # without a request
    assert bucket.reads["rendition"] == reads
    await put(cache, "key")
    await cache.wait_written()
    assert await fetched(cache, "key") is not None


async def test_a_write_that_is_refused_alone_is_tried_five_times_and_counted(
    cache: SharedCache, bucket: MemoryBucket, caplog: pytest.LogCaptureFixture
) -> None:
    async def refuse_one(method: str, name: str) -> None:
        if name.endswith("/bad"):
            await refuse(method, name)

    bucket.before = refuse_one
    good = [f"key-{number}" for number in range(50)]
    await put(cache, *good)
    await cache.wait_written()
    await put(cache, "bad")
    for number in range(1000):
        if cache.shared_counts.lost_writes:
            break
        await put(cache, f"more-{number}")
        await cache.wait_written()
    assert cache.shared_counts.lost_writes == {"failed": 1}
    assert "after 5 attempts" in caplog.text
    assert written(bucket) >= set(good)


async def test_writes_of_one_entry_are_joined_and_the_last_one_counts(
    cache: SharedCache, bucket: MemoryBucket
) -> None:
    first = asyncio.Event()

    async def hold(method: str, _: str) -> None:
        if method == "put":
            await first.wait()

    bucket.before = hold
    for version in range(10):
        await put(cache, "key", body=str(version).encode())
        await cache.add_tags("rendition", "key", [f"tag:{version}"])
    first.set()
    await cache.wait_written()
    found = await fetched(cache, "key")
    assert found is not None
    assert (found.body, found.tags) == (b"9", ("tag:key", "tag:9"))
    assert bucket.calls["put"] <= 2


async def test_above_a_bound_bodies_wait_on_this_machine_and_not_in_memory(
    bucket: MemoryBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write_behind, "MAX_BODY_BYTES", 1000)
    cache = shared(bucket)
    bodies = {f"key-{number}": os.urandom(300) for number in range(20)}
    with serving(CLIENT):
        for key, body in bodies.items():
            await put(cache, key, body=body)
    held = [write.entry for queue in cache._writes._queues for write in queue.values()]
    assert 0 < len(held) - held.count(None) <= 3
    await cache.wait_written()
    for key, body in bodies.items():
        found = await fetched(cache, key)
        assert found is not None
        assert (found.body, found.tags) == (body, (f"tag:{key}",))
    assert cache._writes._body_bytes == 0
    await cache.close()


async def test_what_was_evicted_or_purged_meanwhile_is_not_written(
    bucket: MemoryBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write_behind, "MAX_BODY_BYTES", 0)
    cache = shared(bucket)
    cache.start = lambda: None  # type: ignore[method-assign]  # nothing is written yet
    cache._has_tried.set()
    await put(cache, "evicted", "purged", "soft", "kept")
    await cache._local.purge(ByTag("tag:evicted"))
    await cache._local.purge(ByTag("tag:soft"), soft=True)
    await cache.purge(ByTag("tag:purged"))
    for number, queue in enumerate(cache._writes._queues):
        while queue:
            await cache._writes.write_next(number)
    assert {name for name in written(bucket) if not name.startswith("0")} >= {"kept"}
    assert entry_name("rendition", "kept") in bucket.objects
    for key in ("evicted", "purged", "soft"):
        assert entry_name("rendition", key) not in bucket.objects
    assert cache.shared_counts.lost_writes == {"evicted": 1}
    await cache.close()


async def test_an_older_entry_is_not_taken_for_the_one_that_was_dropped(
    bucket: MemoryBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write_behind, "MAX_BODY_BYTES", 0)
    cache = shared(bucket)
    await put(cache, "key", body=b"old")
    await cache.wait_written()
    cache._writes.add(PendingWrite("rendition", "key", (), stored_at=cache._clock()))
    await cache.wait_written()
    assert cache.shared_counts.lost_writes == {"evicted": 1}
    await cache.close()


async def test_a_body_that_is_too_large_stays_here(
    cache: SharedCache, bucket: MemoryBucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.cache.shared._MAX_ENTRY_BYTES", 10)
    await put(cache, "key", body=b"x" * 11)
    await cache.wait_written()
    assert not written(bucket)
    assert cache.shared_counts.lost_writes == {"too_large": 1}


async def test_a_server_that_stops_writes_what_is_queued(bucket: MemoryBucket) -> None:
    cache = shared(bucket)
    keys = [f"key-{number}" for number in range(500)]
    await put(cache, *keys)
    await cache.close()
    assert written(bucket) == set(keys)
    assert not cache.shared_counts.lost_writes


@pytest.mark.parametrize("hangs", [False, True])
async def test_a_server_that_stops_counts_what_the_bucket_does_not_take(
    bucket: MemoryBucket,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    *,
    hangs: bool,
) -> None:
    async def hang(method: str, _: str) -> None:
        if method == "put":
            await asyncio.Event().wait()

    monkeypatch.setattr("proxy.cache.shared.CLOSE_SECONDS", 0.05 if hangs else 60)
    cache = shared(bucket)
    await cache._wait_started()
    bucket.before = hang if hangs else refuse
    await put(cache, *(f"key-{number}" for number in range(500)))
    if hangs:
        await wait_until(lambda: cache._writes._writing == write_behind.WRITERS)
    await cache.close()
    assert cache.shared_counts.lost_writes == {"stopped": 500}
    assert cache.shared_counts.pending_writes == 0
    assert "stopped 500" in caplog.text


def test_every_reason_is_a_label_of_the_metric() -> None:
    assert store_metrics.LOSS_REASONS == LOSS_REASONS
