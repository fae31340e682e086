import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cache.suite import MEGABYTE, Clock, StoreSuite, body_of

from proxy.buffers import SharedBuffer
from proxy.cache.disk import CacheConfig, DiskStore
from proxy.cache.lru import HotStore
from proxy.cache.store import Entry, Everything, Labelled, Store


class TestHotStore(StoreSuite):
    def make(self, folder: Path, clock: Clock, budget: int) -> Store:
        settings = CacheConfig(
            dir=str(folder),
            max_result_bytes=budget,
            max_original_bytes=budget,
            max_detection_bytes=budget,
            max_metadata_bytes=budget,
        )
        return HotStore(DiskStore(settings, clock=clock), budget)


pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def disk(tmp_path: Path) -> AsyncIterator[DiskStore]:
    """What another process writes to."""
    disk = DiskStore(CacheConfig(dir=str(tmp_path / "cache")))
    await disk.stats()  # opens it
    yield disk
    await disk.close()


@pytest.fixture
async def hot(tmp_path: Path) -> AsyncIterator[HotStore]:
    hot = HotStore(DiskStore(CacheConfig(dir=str(tmp_path / "cache"))), MEGABYTE)
    await hot.stats()
    yield hot
    await hot.close()


async def test_the_second_answer_comes_from_memory(hot: HotStore) -> None:
    await hot.put("rendition", "k", Entry(b"body"))
    assert hot.peek("rendition", "k") is None
    await hot.get("rendition", "k")
    found = hot.peek("rendition", "k")
    assert found is not None
    assert found.body == b"body"


async def test_what_another_process_does_is_seen_at_once(hot: HotStore, disk: DiskStore) -> None:
    await disk.put("rendition", "k", Entry(b"1", labels=("tag:a",)))
    assert body_of(await hot.get("rendition", "k")) == b"1"
    await disk.put("rendition", "k", Entry(b"2", labels=("tag:a",)))
    assert hot.peek("rendition", "k") is None
    assert body_of(await hot.get("rendition", "k")) == b"2"
    await disk.purge(Labelled("tag:a"), soft=True)
    marked = await hot.get("rendition", "k")
    assert marked is not None
    assert marked.stale_since > 0
    await disk.purge(Labelled("tag:a"))
    assert await hot.get("rendition", "k") is None


async def test_what_was_evicted_behind_can_still_be_purged(hot: HotStore, disk: DiskStore) -> None:
    await disk.put("rendition", "k", Entry(b"1"))
    await hot.get("rendition", "k")
    await disk.remove("rendition", "k")
    assert hot.peek("rendition", "k") is None
    await disk.put("rendition", "k", Entry(b"1"))
    await hot.get("rendition", "k")
    await disk.purge(Everything())
    assert hot.peek("rendition", "k") is None


async def test_memory_is_bounded(hot: HotStore) -> None:
    for number in range(20):
        await hot.put("rendition", str(number), Entry(os.urandom(100_000)))
        await hot.get("rendition", str(number))
        hot.peek("rendition", "0")
    in_memory = [n for n in range(20) if hot.peek("rendition", str(n)) is not None]
    assert in_memory == [0, *range(11, 20)]


async def test_large_entries_stay_on_disk(hot: HotStore) -> None:
    await hot.put("rendition", "k", Entry(os.urandom(600_000)))
    assert await hot.get("rendition", "k") is not None
    assert hot.peek("rendition", "k") is None


async def test_the_last_few_originals_are_held_open(hot: HotStore) -> None:
    for number in range(20):
        await hot.put("original", str(number), Entry(SharedBuffer.of(os.urandom(100_000))))
        await hot.get("original", str(number))
        hot.peek("original", "0")
    held = [n for n in range(20) if hot.peek("original", str(n)) is not None]
    assert held == [0, *range(13, 20)]
    await hot.put("original", "large", Entry(SharedBuffer.of(bytes(8_000_001))))
    await hot.get("original", "large")
    assert hot.peek("original", "large") is None


async def test_an_original_that_was_purged_is_let_go(hot: HotStore, disk: DiskStore) -> None:
    await hot.put("original", "k", Entry(SharedBuffer.of(os.urandom(100_000)), labels=("tag:a",)))
    await hot.get("original", "k")
    assert hot.peek("original", "k") is not None
    await disk.purge(Labelled("tag:a"))
    assert hot.peek("original", "k") is None


async def test_a_copy_is_read_again_after_a_while(disk: DiskStore) -> None:
    clock = Clock()
    hot = HotStore(disk, MEGABYTE, clock=clock)
    await disk.put("rendition", "k", Entry(b"body"))
    await hot.get("rendition", "k")
    assert hot.peek("rendition", "k") is not None
    clock.now += 11
    assert hot.peek("rendition", "k") is None


async def test_what_is_hot_stays_on_disk_too(tmp_path: Path) -> None:
    settings = CacheConfig(dir=str(tmp_path / "cache"), max_result_bytes=MEGABYTE)
    hot = HotStore(DiskStore(settings), MEGABYTE)
    await hot.put("rendition", "hot", Entry(os.urandom(100_000), cost=0.1))
    await hot.get("rendition", "hot")
    for number in range(30):
        await hot.put("rendition", str(number), Entry(os.urandom(100_000), cost=0.1))
        assert hot.peek("rendition", "hot") is not None
    await hot.close()
    again = DiskStore(settings)
    assert await again.get("rendition", "hot") is not None
    await again.close()
