"""The contract of every store.

The tests of a store derive from `StoreSuite` and say how one is made. They also derive from the
suite of each optional ability that it has.
"""

import os
from abc import abstractmethod
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proxy.buffers import SharedBuffer
from proxy.cache.store import (
    KINDS,
    All,
    ByTag,
    ByTagPrefix,
    Entry,
    Store,
    SupportsStats,
    SupportsTagListing,
    SupportsVerify,
)

MEGABYTE = 1024 * 1024


class Clock:
    """Time that a test sets, in Unix seconds."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        self.now += 0.001  # no two calls return the same time
        return self.now


def body_of(entry: Entry | None) -> bytes | None:
    if entry is None:
        return None
    return entry.body if isinstance(entry.body, bytes) else entry.body.read()


class StoreSuite:
    @abstractmethod
    def make(self, folder: Path, clock: Clock, budget: int) -> Store:
        """A store with a budget of ``budget`` bytes for each kind."""

    @pytest.fixture
    def anyio_backend(self) -> str:
        return "asyncio"

    @pytest.fixture
    def clock(self) -> Clock:
        return Clock()

    @pytest.fixture
    async def store(self, tmp_path: Path, clock: Clock) -> AsyncIterator[Store]:
        store = self.make(tmp_path / "cache", clock, 16 * MEGABYTE)
        yield store
        await store.close()

    @pytest.fixture
    async def small_store(self, tmp_path: Path, clock: Clock) -> AsyncIterator[Store]:
        """A store with a budget of one megabyte for each kind."""
        store = self.make(tmp_path / "small", clock, MEGABYTE)
        yield store
        await store.close()

    @pytest.mark.anyio
    async def test_an_entry_that_was_never_put_is_a_miss(self, store: Store) -> None:
        assert await store.get("rendition", "k") is None

    @pytest.mark.anyio
    @pytest.mark.parametrize("size", [0, 1, 1000, 32 * 1024 - 1, 32 * 1024, 300_000])
    async def test_bytes_come_back_as_they_were(self, store: Store, size: int) -> None:
        body = os.urandom(size)
        await store.put("rendition", "k", Entry(body, head=b"about", tags=("a", "b"), cost=0.5))
        found = await store.get("rendition", "k")
        assert found is not None
        assert (found.body, found.head, found.tags) == (body, b"about", ("a", "b"))
        assert (found.cost, found.soft_purged_at) == (0.5, 0.0)

    @pytest.mark.anyio
    @pytest.mark.parametrize("size", [0, 1000, 300_000])
    async def test_a_buffer_comes_back_as_a_buffer(self, store: Store, size: int) -> None:
        body = os.urandom(size)
        await store.put("original", "k", Entry(SharedBuffer.from_bytes(body)))
        found = await store.get("original", "k")
        assert found is not None
        assert isinstance(found.body, SharedBuffer)
        assert found.body.read() == body

    @pytest.mark.anyio
    async def test_kinds_have_separate_keys(self, store: Store) -> None:
        for kind in KINDS:
            await store.put(kind, "k", Entry(kind.encode()))
        for kind in KINDS:
            assert body_of(await store.get(kind, "k")) == kind.encode()

    @pytest.mark.anyio
    async def test_the_last_put_wins(self, store: Store) -> None:
        for body in (b"first", os.urandom(100_000), b"last"):
            await store.put("rendition", "k", Entry(body))
            assert body_of(await store.get("rendition", "k")) == body

    @pytest.mark.anyio
    async def test_the_store_sets_the_times_of_an_entry(self, store: Store, clock: Clock) -> None:
        before = clock()
        await store.put("rendition", "k", Entry(b"body", stored_at=7.0, soft_purged_at=7.0))
        found = await store.get("rendition", "k")
        assert found is not None
        assert before < found.stored_at < clock()
        assert found.soft_purged_at == 0.0

    @pytest.mark.anyio
    async def test_an_entry_from_the_future_is_a_miss(self, store: Store, clock: Clock) -> None:
        clock.now += 3600
        await store.put("rendition", "k", Entry(b"body"))
        clock.now -= 3600
        assert await store.get("rendition", "k") is None

    @pytest.mark.anyio
    async def test_the_oldest_entries_are_evicted(self, small_store: Store) -> None:
        for number in range(30):
            await small_store.put("rendition", str(number), Entry(os.urandom(100_000)))
        left = [n for n in range(30) if await small_store.get("rendition", str(n)) is not None]
        assert left == list(range(30 - len(left), 30))
        assert 8 <= len(left) <= 10

    @pytest.mark.anyio
    async def test_an_entry_larger_than_the_budget_is_not_stored(self, small_store: Store) -> None:
        await small_store.put("rendition", "k", Entry(os.urandom(MEGABYTE + 1)))
        assert await small_store.get("rendition", "k") is None

    @pytest.mark.anyio
    async def test_purge_by_tag_removes_the_entries_with_that_tag(self, store: Store) -> None:
        await store.put("rendition", "1", Entry(b"1", tags=("tag:a", "tag:b")))
        await store.put("rendition", "2", Entry(b"2", tags=("tag:b",)))
        await store.put("original", "3", Entry(b"3", tags=("tag:a",)))
        await store.put("rendition", "4", Entry(b"4", tags=("tag:ab",)))
        counts = await store.purge(ByTag("tag:a"))
        assert counts == {"rendition": 1, "original": 1, "detection": 0, "record": 0}
        assert await store.get("rendition", "1") is None
        assert await store.get("original", "3") is None
        assert body_of(await store.get("rendition", "2")) == b"2"
        assert body_of(await store.get("rendition", "4")) == b"4"

    @pytest.mark.anyio
    async def test_purge_by_tag_prefix(self, store: Store) -> None:
        for number, name in enumerate(["u/1", "u/2", "v/1", "u", "u/é", "u/\U0010ffff"]):
            tag = f"source:http://a/{name}"
            await store.put("rendition", name, Entry(b"%d" % number, tags=(tag, "tag:x")))
        counts = await store.purge(ByTagPrefix("source:http://a/u/"))
        assert counts["rendition"] == 4
        assert {name for name in ("v/1", "u") if await store.get("rendition", name)} == {"v/1", "u"}

    @pytest.mark.anyio
    async def test_purge_all(self, store: Store) -> None:
        for kind in KINDS:
            for number in range(250):
                await store.put(kind, str(number), Entry(b"body"))
        assert await store.purge(All()) == dict.fromkeys(KINDS, 250)
        assert await store.purge(All()) == dict.fromkeys(KINDS, 0)
        assert await store.get("rendition", "0") is None

    @pytest.mark.anyio
    async def test_a_soft_purge_marks_entries_as_stale(self, store: Store, clock: Clock) -> None:
        await store.put("rendition", "1", Entry(b"1", tags=("tag:a",)))
        await store.put("rendition", "2", Entry(b"2"))
        before = clock()
        assert (await store.purge(ByTag("tag:a"), soft=True))["rendition"] == 1
        stale, other = await store.get("rendition", "1"), await store.get("rendition", "2")
        assert stale is not None
        assert other is not None
        assert before < stale.soft_purged_at < clock()
        assert (stale.body, other.soft_purged_at) == (b"1", 0.0)
        await store.put("rendition", "1", Entry(b"new", tags=("tag:a",)))
        renewed = await store.get("rendition", "1")
        assert renewed is not None
        assert renewed.soft_purged_at == 0.0

    @pytest.mark.anyio
    async def test_tags_can_be_added(self, store: Store) -> None:
        await store.put("rendition", "k", Entry(b"body", tags=("tag:a",)))
        await store.add_tags("rendition", "k", ["tag:b", "tag:a"])
        await store.add_tags("rendition", "never put", ["tag:b"])
        found = await store.get("rendition", "k")
        assert found is not None
        assert (found.tags, found.body) == (("tag:a", "tag:b"), b"body")
        assert (await store.purge(ByTag("tag:b")))["rendition"] == 1

    @pytest.mark.anyio
    async def test_a_put_replaces_the_tags(self, store: Store) -> None:
        await store.put("rendition", "k", Entry(b"body", tags=("tag:a", "tag:b")))
        await store.put("rendition", "k", Entry(b"body", tags=("tag:b", "tag:c")))
        assert (await store.purge(ByTag("tag:a")))["rendition"] == 0
        assert (await store.purge(ByTag("tag:c")))["rendition"] == 1

    @pytest.mark.anyio
    async def test_work_that_started_before_a_purge_is_not_stored(
        self, store: Store, clock: Clock
    ) -> None:
        before = clock()
        await store.purge(ByTagPrefix("tag:"))
        await store.put("rendition", "1", Entry(b"1", tags=("tag:a",)), started_at=before)
        await store.put("rendition", "2", Entry(b"2", tags=("other",)), started_at=before)
        await store.put("rendition", "3", Entry(b"3", tags=("tag:a",)), started_at=clock())
        stored = [key for key in "123" if await store.get("rendition", key) is not None]
        assert stored == ["2", "3"]

    @pytest.mark.anyio
    async def test_work_that_started_before_a_soft_purge_is_stale(
        self, store: Store, clock: Clock
    ) -> None:
        before = clock()
        await store.purge(All(), soft=True)
        await store.put("rendition", "k", Entry(b"1"), started_at=before)
        found = await store.get("rendition", "k")
        assert found is not None
        assert found.soft_purged_at > before


class TagListingSuite(StoreSuite):
    @pytest.mark.anyio
    async def test_only_tags_of_entries_are_listed(self, store: Store) -> None:
        assert isinstance(store, SupportsTagListing)
        await store.put("rendition", "1", Entry(b"1", tags=("source:a/1", "tag:x")))
        await store.put("original", "2", Entry(b"2", tags=("source:a/2", "source:a/1")))
        await store.put("original", "3", Entry(b"3", tags=("source:b", "source:a/3")))
        await store.purge(ByTag("source:b"))
        tags = await store.tags_with_prefix("source:a/", 10)
        assert tags is not None
        assert list(tags) == ["source:a/1", "source:a/2"]
        first = await store.tags_with_prefix("source:a/", 1)
        assert first is not None
        assert list(first) == ["source:a/1"]


class StatsSuite(StoreSuite):
    @pytest.mark.anyio
    async def test_stats_count_entries_and_reads(self, store: Store) -> None:
        assert isinstance(store, SupportsStats)
        await store.put("rendition", "1", Entry(b"1" * 1000))
        await store.put("rendition", "2", Entry(b"2" * 1000))
        await store.get("rendition", "1")
        await store.get("rendition", "3")
        await store.get("rendition", "4")
        stats = (await store.stats())["rendition"]
        assert (stats.entries, stats.hits, stats.misses, stats.error) == (2, 1, 2, "")
        assert 2000 <= stats.bytes < 4000

    @pytest.mark.anyio
    async def test_evictions_keep_the_size_within_the_budget(self, small_store: Store) -> None:
        assert isinstance(small_store, SupportsStats)
        for number in range(30):
            await small_store.put("rendition", str(number), Entry(os.urandom(100_000)))
        stats = (await small_store.stats())["rendition"]
        assert stats.bytes <= stats.budget == MEGABYTE


class VerifySuite(StoreSuite):
    @pytest.mark.anyio
    async def test_verify_finds_no_damage(self, store: Store) -> None:
        assert isinstance(store, SupportsVerify)
        for kind in KINDS:
            await store.put(kind, "1", Entry(b"1", tags=("a",)))
            await store.put(kind, "2", Entry(os.urandom(50_000), tags=("a", "b")))
        for report in (await store.verify()).values():
            assert (report.entries, report.damaged, report.missing) == (2, 0, 0)
            assert (report.orphans, report.retagged) == (0, 0)


class CacheSuite(TagListingSuite, StatsSuite, VerifySuite):
    """The contract of a store with all abilities."""
