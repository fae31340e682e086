"""A real S3 server behind a proxy that delays, resets, cuts, refuses and repeats requests."""

import asyncio
import itertools
import os
from collections.abc import AsyncIterator
from pathlib import Path

import photos
import pytest
from cache.suite import body_of
from fault_proxy import Fault, FaultProxy, ProxiedRequest
from origin_server import OriginServer
from render_processes import MAX_WAIT_SECONDS
from s3_server import S3Server
from service_fixture import ServiceHarness
from shared_cache import open_machine as machine

from proxy.cache import write_behind
from proxy.cache.config import SharedCacheConfig
from proxy.cache.hedged_reads import HedgedReads
from proxy.cache.shared import SharedCache
from proxy.cache.store import ByTag, Cache, Entry
from proxy.errors import StoreUnavailable

pytestmark = pytest.mark.anyio

CONFIG = SharedCacheConfig(
    url="s3://none?region=eu-central-1",
    read_timeout_seconds=10,
    purge_poll_seconds=3600,
    backoff_seconds=0,
)


@pytest.fixture
async def proxy(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FaultProxy]:
    monkeypatch.setattr(write_behind, "_RETRY_SECONDS", 0.0)
    monkeypatch.setattr("proxy.cache.failure_rate_breaker._MIN_OPEN_SECONDS", 0.0)
    async with FaultProxy(s3.address) as proxy:
        yield proxy


@pytest.fixture
def url(proxy: FaultProxy, request: pytest.FixtureRequest) -> str:
    return S3Server(proxy.url, Path()).bucket_url(request.node.name)


async def wait_written(store: SharedCache) -> None:
    async with asyncio.timeout(MAX_WAIT_SECONDS):
        await store.wait_written()


class EachObject:
    """Does the faults to the first requests of this method for each entry."""

    def __init__(self, method: str, *faults: Fault) -> None:
        self._method = method
        self._faults = faults
        self._made: dict[str, int] = {}

    def __call__(self, request: ProxiedRequest) -> Fault | None:
        if request.method != self._method or "/rendition/" not in request.path:
            return None
        made = self._made[request.path] = self._made.get(request.path, -1) + 1
        return self._faults[made] if made < len(self._faults) else None


async def test_a_read_that_hangs_is_answered_by_a_second_one(proxy: FaultProxy, url: str) -> None:
    async with machine(url) as one, machine(url) as other:
        await one.put("rendition", "key", Entry(b"1"))
        await wait_written(one)
        other._hedged = HedgedReads(0)
        proxy.decide = EachObject("GET", "hold")
        assert body_of(await other.get("rendition", "key")) == b"1"
        # Either of them may be the one that the proxy gets first, and holds.
        assert sum(other.shared_counts.hedged_reads.values()) == 1
        assert other._reads.state == "closed"
    assert proxy.faults == {"hold": 1}


@pytest.mark.parametrize("fault", ["unavailable", "reset", "half a body"])
async def test_a_read_that_fails_a_few_times_is_answered(
    proxy: FaultProxy, url: str, fault: Fault
) -> None:
    async with machine(url) as one, machine(url) as other:
        body = os.urandom(300_000)
        await one.put("rendition", "key", Entry(body))
        await wait_written(one)
        proxy.decide = EachObject("GET", fault, fault)
        assert body_of(await other.get("rendition", "key")) == body
    assert proxy.faults[fault] == 2


async def test_an_answer_that_is_always_cut_is_a_miss(proxy: FaultProxy, url: str) -> None:
    async with machine(url) as one, machine(url) as other:
        await one.put("rendition", "key", Entry(os.urandom(300_000)))
        await wait_written(one)
        cut: list[Fault] = ["half a body"] * 100
        proxy.decide = EachObject("GET", *cut)
        assert await other.get("rendition", "key") is None


@pytest.mark.parametrize("fault", ["unavailable", "reset", "lost answer", "twice"])
async def test_writes_that_fail_arrive_in_the_end(
    proxy: FaultProxy, url: str, fault: Fault
) -> None:
    bodies = {f"key-{number}": os.urandom(1000) for number in range(16)}
    proxy.decide = EachObject("PUT", fault, fault, fault, fault)
    async with machine(url) as one, machine(url) as other:
        for key, body in bodies.items():
            await one.put("rendition", key, Entry(body))
        await wait_written(one)
        assert not one.shared_counts.lost_writes
        for key, body in bodies.items():
            assert body_of(await other.get("rendition", key)) == body
    assert proxy.faults[fault] >= len(bodies)


async def test_in_a_storm_of_faults_all_arrives_and_what_was_purged_is_served_by_none(
    proxy: FaultProxy, url: str
) -> None:
    faults: list[Fault] = ["unavailable", "reset", "lost answer", "half a body", "twice"]
    number = itertools.count()

    def storm(_: ProxiedRequest) -> Fault | None:
        one = next(number)
        return faults[one // 3 % len(faults)] if one % 3 == 0 else None

    keys = [f"key-{number}" for number in range(40)]
    async with machine(url) as one, machine(url) as other:
        proxy.decide = storm
        for key in keys:
            await one.put("rendition", key, Entry(key.encode(), tags=(f"tag:{key}",)))
        for key in keys[::4]:
            await other.put("rendition", key, Entry(b"old", tags=(f"tag:{key}",)))
        await wait_written(one)
        await wait_written(other)
        assert not one.shared_counts.lost_writes
        for key in keys[::4]:
            try:
                await one.purge(ByTag(f"tag:{key}"))
            except StoreUnavailable:
                continue  # it is noted, and delivered by the next synchronization
        proxy.decide = lambda _: None
        for store in (one, other, one):
            assert await store._purges.sync()
        async with machine(url) as fresh:
            for store in (one, other, fresh):
                for key in keys[::4]:
                    assert await store.get("rendition", key) is None
            for key in set(keys) - set(keys[::4]):
                assert body_of(await fresh.get("rendition", key)) == key.encode()
    assert set(proxy.faults) == set(faults)


async def test_a_cold_request_asks_the_bucket_once(
    proxy: FaultProxy, url: str, origin: OriginServer, tmp_path: Path
) -> None:
    opened: list[SharedCache] = []

    def add_bucket(local: Cache) -> Cache:
        config = SharedCacheConfig(url=url, read_timeout_seconds=10, purge_poll_seconds=3600)
        opened.append(SharedCache(local, config))
        return opened[0]

    image = origin.serve("/faults.png", photos.encode_scene("PNG", 60, 40))
    harness = ServiceHarness(tmp_path / "cache", add_layer=add_bucket)
    opened[0].start()
    await opened[0]._has_tried.wait()
    assert (await harness.get(image)).state == "miss"
    await wait_written(opened[0])
    kinds = ("/rendition/", "/record/", "/detection/")
    reads = [
        (request.path, count)
        for request, count in proxy.requests.items()
        if request.method == "GET" and any(kind in request.path for kind in kinds)
    ]
    await harness.close()
    ((path, count),) = reads
    assert "/rendition/" in path
    assert count == 1
