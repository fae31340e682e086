"""How the machines of a fleet, the processes of a machine, and CDNs learn of a purge."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cache.suite import Clock
from cache.test_purge_interleavings import CONFIG, Machine, World

from proxy.cache.cache_tags import ALL_TAG, cdn_tag
from proxy.cache.cdn.protocol import CdnError
from proxy.cache.config import CacheConfig
from proxy.cache.disk import DiskStore
from proxy.cache.memory_layer import MemoryCacheLayer
from proxy.cache.purge import PurgeService
from proxy.cache.shared import SharedCache
from proxy.cache.store import All, ByTag, Entry
from proxy.errors import StoreUnavailable
from proxy.runtime.background import BackgroundTasks

pytestmark = pytest.mark.anyio

ENTRY = Entry(b"1", tags=("tag:a",))


class RecordingCdn:
    """Records the tags of its purges."""

    name = "recording"

    def __init__(self) -> None:
        self.purges: list[tuple[list[str], bool]] = []
        self.fails = False

    async def purge(self, tags: Sequence[str], *, soft: bool) -> None:
        if self.fails:
            raise CdnError("CDN responded with status 500")
        self.purges.append((list(tags), soft))


@pytest.fixture
def world() -> World:
    return World()


@asynccontextmanager
async def process(world: World, folder: Path, clock: Clock) -> AsyncIterator[SharedCache]:
    """A worker of the machine whose cache lies in the folder."""
    disk = DiskStore(CacheConfig(dir=str(folder)), clock=clock)
    local = MemoryCacheLayer(disk, 1_000_000)
    cache = SharedCache(local, CONFIG, folder=folder, bucket=world, clock=clock)
    cache.start = lambda: None  # type: ignore[method-assign]  # the test does each step
    cache._has_tried.set()
    try:
        yield cache
    finally:
        await cache.close()


async def test_one_process_of_a_machine_reads_for_all(world: World, tmp_path: Path) -> None:
    clock = Clock()
    away = Machine(world, 0.0)
    async with process(world, tmp_path, clock) as other:
        async with process(world, tmp_path, clock) as one:
            await one.put("rendition", "key-1", ENTRY)
            await away.cache.purge(ByTag("tag:a"))
            assert await one._purges.sync()
            world.fails_before = True
            assert await other._purges.sync()  # it does not ask the bucket
            assert await other.get_local("rendition", "key-1") is None
            assert await other._purges.selects(["tag:a"], 0.0)
            world.fails_before = False
        await away.cache.purge(ByTag("tag:b"))
        assert await other._purges.sync()  # now it does
        assert await other._purges.selects(["tag:b"], 0.0)
    await away.cache.close()


async def test_purges_are_applied_once_also_after_a_restart(world: World, tmp_path: Path) -> None:
    clock = Clock()
    away = Machine(world, 0.0)
    await away.cache.purge(ByTag("tag:a"))
    for _ in range(2):
        async with process(world, tmp_path, clock) as cache:
            await cache._purges.sync()
            await cache._local.put("rendition", "key-1", ENTRY)
            await cache._purges.sync()
            assert await cache.get_local("rendition", "key-1") is not None
    async with process(world, tmp_path, clock) as cache:
        await cache._purges.sync()
        assert await cache.get_local("rendition", "key-1") is not None
    await away.cache.close()


async def test_a_purge_outlives_the_process_that_could_not_write_it(
    world: World, tmp_path: Path
) -> None:
    clock = Clock()
    away = Machine(world, 0.0)
    await away.cache._local.put("rendition", "key-1", ENTRY)
    async with process(world, tmp_path, clock) as cache:
        world.fails_before = True
        with pytest.raises(StoreUnavailable, match="on this machine only"):
            await cache.purge(ByTag("tag:a"))
    world.fails_before = False
    async with process(world, tmp_path, clock) as cache:
        await cache._purges.sync()
    await away.cache._purges.sync()
    assert await away.cache.get_local("rendition", "key-1") is None
    await away.cache.close()


async def test_a_machine_that_missed_too_many_purges_starts_with_an_empty_cache(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.cache.purge_sync._MAX_DUE", 10)
    one, other = Machine(world, 0.0), Machine(world, 0.0)
    await other.cache._local.put("rendition", "key-1", Entry(b"1", tags=("tag:other",)))
    await one.cache.purge_all_of([ByTag(f"tag:{number}") for number in range(11)])
    await other.sync()
    assert await other.cache.get_local("rendition", "key-1") is None
    assert not other.cache._purges._log.due(1)
    for machine in (one, other):
        await machine.cache.close()


async def test_one_request_is_one_object(world: World) -> None:
    one = Machine(world, 0.0)
    await one.cache.purge_all_of([ByTag(f"tag:{number}") for number in range(1000)])
    assert len(world.objects) == 1
    await one.cache.close()


async def test_cdns_are_purged_again_when_all_machines_must_know(world: World) -> None:
    one, cdn = Machine(world, 0.0), RecordingCdn()
    purging = PurgeService(one.cache, [cdn])
    await purging.purge([ByTag("tag:a")], soft=True)
    assert cdn.purges == [([cdn_tag("tag:a")], True)]
    await purging.close()  # else in some seconds
    assert cdn.purges == [([cdn_tag("tag:a")], True)] * 2
    await one.cache.close()


async def test_a_cdn_that_cannot_be_purged_again_is_counted(world: World) -> None:
    one, cdn, background = Machine(world, 0.0), RecordingCdn(), BackgroundTasks()
    purging = PurgeService(one.cache, [cdn], background=background, backoff_seconds=0)
    await purging.purge([ByTag("tag:a")])
    cdn.fails = True
    await purging.close()
    assert background.failures == {"cdn_purge": 1}
    await one.cache.close()


@pytest.mark.parametrize("late", [False, True])
async def test_a_machine_that_was_cut_off_purges_the_cdns_itself(
    world: World, *, late: bool
) -> None:
    one, cut_off, cdn = Machine(world, 0.0), Machine(world, 0.0), RecordingCdn()
    purging = PurgeService(cut_off.cache, [cdn])
    await cut_off.sync()
    await one.cache.purge(ByTag("tag:a"))
    await one.cache.purge(ByTag("tag:b"), soft=True)
    world.now += cut_off.cache.purges_known_after_seconds + (1 if late else -1)
    await cut_off.sync()
    await purging.wait_repeated()
    expected = [([cdn_tag("tag:a")], False), ([cdn_tag("tag:b")], True)]
    assert sorted(cdn.purges) == (expected if late else [])
    await cut_off.sync()
    await purging.wait_repeated()
    assert len(cdn.purges) == (2 if late else 0)
    for machine in (one, cut_off):
        await machine.cache.close()


async def test_a_late_purge_of_everything_is_one_of_everything_at_the_cdn(world: World) -> None:
    one, cut_off, cdn = Machine(world, 0.0), Machine(world, 0.0), RecordingCdn()
    purging = PurgeService(cut_off.cache, [cdn])
    await one.cache.purge(All())
    world.now += 1000
    await cut_off.sync()
    await purging.wait_repeated()
    assert cdn.purges == [([ALL_TAG], False)]
    for machine in (one, cut_off):
        await machine.cache.close()


async def test_the_first_request_waits_for_the_purges_that_came_meanwhile(world: World) -> None:
    machine = Machine(world, 0.0)
    machine.cache._has_tried.clear()
    await machine.cache._local.put("rendition", "key-1", ENTRY)
    request = asyncio.create_task(machine.cache.get("rendition", "key-1"))
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(asyncio.shield(request), 0)
    assert not request.done()
    machine.cache._has_tried.set()
    assert await request is not None
    await machine.cache.close()
