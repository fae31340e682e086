"""What every store keeps to. A store's tests derive from StoreSuite and say how one is made."""

import os
from abc import abstractmethod
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from proxy.buffers import SharedBuffer
from proxy.cache.store import KINDS, Entry, Everything, Labelled, Prefixed, Store

MEGABYTE = 1024 * 1024


class Clock:
    """Time as a test wants it, in seconds since the epoch."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        self.now += 0.001  # no two moments are the same
        return self.now


def body_of(entry: Entry | None) -> bytes | None:
    if entry is None:
        return None
    return entry.body if isinstance(entry.body, bytes) else entry.body.read()


class StoreSuite:
    @abstractmethod
    def make(self, folder: Path, clock: Clock, budget: int) -> Store:
        """A store that keeps at most so many bytes of each kind."""

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

    @pytest.mark.anyio
    async def test_what_was_never_put_is_not_there(self, store: Store) -> None:
        assert await store.get("rendition", "k") is None

    @pytest.mark.anyio
    @pytest.mark.parametrize("size", [0, 1, 1000, 32 * 1024 - 1, 32 * 1024, 300_000])
    async def test_bytes_come_back_as_they_were(self, store: Store, size: int) -> None:
        body = os.urandom(size)
        await store.put("rendition", "k", Entry(body, head=b"about", labels=("a", "b"), cost=0.5))
        found = await store.get("rendition", "k")
        assert found is not None
        assert (found.body, found.head, found.labels) == (body, b"about", ("a", "b"))
        assert (found.cost, found.stale_since) == (0.5, 0.0)

    @pytest.mark.anyio
    @pytest.mark.parametrize("size", [0, 1000, 300_000])
    async def test_a_blob_comes_back_as_a_blob(self, store: Store, size: int) -> None:
        body = os.urandom(size)
        await store.put("original", "k", Entry(SharedBuffer.of(body)))
        found = await store.get("original", "k")
        assert found is not None
        assert isinstance(found.body, SharedBuffer)
        assert found.body.read() == body

    @pytest.mark.anyio
    async def test_kinds_are_apart(self, store: Store) -> None:
        for kind in KINDS:
            await store.put(kind, "k", Entry(kind.encode()))
        for kind in KINDS:
            assert body_of(await store.get(kind, "k")) == kind.encode()

    @pytest.mark.anyio
    async def test_the_last_put_counts(self, store: Store) -> None:
        for body in (b"first", os.urandom(100_000), b"last"):
            await store.put("rendition", "k", Entry(body))
            assert body_of(await store.get("rendition", "k")) == body

    @pytest.mark.anyio
    async def test_what_was_removed_is_gone(self, store: Store) -> None:
        await store.put("rendition", "k", Entry(b"body"))
        await store.remove("rendition", "k")
        await store.remove("rendition", "never there")
        assert await store.get("rendition", "k") is None

    @pytest.mark.anyio
    async def test_an_entry_knows_when_it_was_stored(self, store: Store, clock: Clock) -> None:
        before = clock()
        await store.put("rendition", "k", Entry(b"body", stored=7.0, stale_since=7.0))
        found = await store.get("rendition", "k")
        assert found is not None
        assert before < found.stored < clock()
        assert found.stale_since == 0.0

    @pytest.mark.anyio
    async def test_an_entry_from_the_future_is_not_there(self, store: Store, clock: Clock) -> None:
        clock.now += 3600
        await store.put("rendition", "k", Entry(b"body"))
        clock.now -= 3600
        assert await store.get("rendition", "k") is None

    @pytest.mark.anyio
    async def test_a_body_of_many_megabytes_of_others_makes_room(
        self, tmp_path: Path, clock: Clock
    ) -> None:
        store = self.make(tmp_path / "small", clock, MEGABYTE)
        for number in range(30):
            await store.put("rendition", str(number), Entry(os.urandom(100_000)))
        kept = [n for n in range(30) if await store.get("rendition", str(n)) is not None]
        assert kept == list(range(30 - len(kept), 30))
        assert 8 <= len(kept) <= 10
        assert (await store.stats())["rendition"].bytes <= MEGABYTE
        await store.close()

    @pytest.mark.anyio
    async def test_what_is_larger_than_the_budget_is_not_kept(
        self, tmp_path: Path, clock: Clock
    ) -> None:
        store = self.make(tmp_path / "small", clock, MEGABYTE)
        await store.put("rendition", "k", Entry(os.urandom(MEGABYTE + 1)))
        assert await store.get("rendition", "k") is None
        await store.close()

    @pytest.mark.anyio
    async def test_purge_by_label_takes_just_those_that_carry_it(self, store: Store) -> None:
        await store.put("rendition", "1", Entry(b"1", labels=("tag:a", "tag:b")))
        await store.put("rendition", "2", Entry(b"2", labels=("tag:b",)))
        await store.put("original", "3", Entry(b"3", labels=("tag:a",)))
        await store.put("rendition", "4", Entry(b"4", labels=("tag:ab",)))
        counts = await store.purge(Labelled("tag:a"))
        assert counts == {"rendition": 1, "original": 1, "focus": 0, "record": 0}
        assert await store.get("rendition", "1") is None
        assert await store.get("original", "3") is None
        assert body_of(await store.get("rendition", "2")) == b"2"
        assert body_of(await store.get("rendition", "4")) == b"4"

    @pytest.mark.anyio
    async def test_purge_by_prefix(self, store: Store) -> None:
        for number, name in enumerate(["u/1", "u/2", "v/1", "u", "u/é", "u/\U0010ffff"]):
            label = f"source:http://a/{name}"
            await store.put("rendition", name, Entry(b"%d" % number, labels=(label, "tag:x")))
        counts = await store.purge(Prefixed("source:http://a/u/"))
        assert counts["rendition"] == 4
        assert {name for name in ("v/1", "u") if await store.get("rendition", name)} == {"v/1", "u"}

    @pytest.mark.anyio
    async def test_purge_everything(self, store: Store) -> None:
        for kind in KINDS:
            for number in range(250):
                await store.put(kind, str(number), Entry(b"body"))
        assert await store.purge(Everything()) == dict.fromkeys(KINDS, 250)
        assert await store.purge(Everything()) == dict.fromkeys(KINDS, 0)
        assert await store.get("rendition", "0") is None

    @pytest.mark.anyio
    async def test_a_soft_purge_marks(self, store: Store, clock: Clock) -> None:
        await store.put("rendition", "1", Entry(b"1", labels=("tag:a",)))
        await store.put("rendition", "2", Entry(b"2"))
        before = clock()
        assert (await store.purge(Labelled("tag:a"), soft=True))["rendition"] == 1
        marked, other = await store.get("rendition", "1"), await store.get("rendition", "2")
        assert marked is not None
        assert other is not None
        assert before < marked.stale_since < clock()
        assert (marked.body, other.stale_since) == (b"1", 0.0)
        await store.put("rendition", "1", Entry(b"new", labels=("tag:a",)))
        renewed = await store.get("rendition", "1")
        assert renewed is not None
        assert renewed.stale_since == 0.0

    @pytest.mark.anyio
    async def test_labels_can_be_added(self, store: Store) -> None:
        await store.put("rendition", "k", Entry(b"body", labels=("tag:a",)))
        await store.label("rendition", "k", ["tag:b", "tag:a"])
        await store.label("rendition", "never there", ["tag:b"])
        found = await store.get("rendition", "k")
        assert found is not None
        assert (found.labels, found.body) == (("tag:a", "tag:b"), b"body")
        assert (await store.purge(Labelled("tag:b")))["rendition"] == 1

    @pytest.mark.anyio
    async def test_a_put_replaces_the_labels(self, store: Store) -> None:
        await store.put("rendition", "k", Entry(b"body", labels=("tag:a", "tag:b")))
        await store.put("rendition", "k", Entry(b"body", labels=("tag:b", "tag:c")))
        assert (await store.purge(Labelled("tag:a")))["rendition"] == 0
        assert (await store.purge(Labelled("tag:c")))["rendition"] == 1

    @pytest.mark.anyio
    async def test_work_that_began_before_a_purge_is_not_kept(
        self, store: Store, clock: Clock
    ) -> None:
        begun = clock()
        await store.purge(Prefixed("tag:"))
        await store.put("rendition", "1", Entry(b"1", labels=("tag:a",)), begun=begun)
        await store.put("rendition", "2", Entry(b"2", labels=("other",)), begun=begun)
        await store.put("rendition", "3", Entry(b"3", labels=("tag:a",)), begun=clock())
        kept = [key for key in "123" if await store.get("rendition", key) is not None]
        assert kept == ["2", "3"]

    @pytest.mark.anyio
    async def test_work_that_began_before_a_soft_purge_is_stale(
        self, store: Store, clock: Clock
    ) -> None:
        begun = clock()
        await store.purge(Everything(), soft=True)
        await store.put("rendition", "k", Entry(b"1"), begun=begun)
        found = await store.get("rendition", "k")
        assert found is not None
        assert found.stale_since > begun

    @pytest.mark.anyio
    async def test_labels_in_use_are_told(self, store: Store) -> None:
        await store.put("rendition", "1", Entry(b"1", labels=("source:a/1", "tag:x")))
        await store.put("original", "2", Entry(b"2", labels=("source:a/2", "source:a/1")))
        await store.put("original", "3", Entry(b"3", labels=("source:b", "source:a/3")))
        await store.remove("original", "3")
        assert list(await store.labels("source:a/", 10)) == ["source:a/1", "source:a/2"]
        assert list(await store.labels("source:a/", 1)) == ["source:a/1"]

    @pytest.mark.anyio
    async def test_stats_count_entries_and_reads(self, store: Store) -> None:
        await store.put("rendition", "1", Entry(b"1" * 1000))
        await store.put("rendition", "2", Entry(b"2" * 1000))
        await store.get("rendition", "1")
        await store.get("rendition", "3")
        await store.get("rendition", "4")
        stats = (await store.stats())["rendition"]
        assert (stats.entries, stats.hits, stats.misses, stats.trouble) == (2, 1, 2, "")
        assert 2000 <= stats.bytes < 4000

    @pytest.mark.anyio
    async def test_verify_finds_nothing_wrong(self, store: Store) -> None:
        for kind in KINDS:
            await store.put(kind, "1", Entry(b"1", labels=("a",)))
            await store.put(kind, "2", Entry(os.urandom(50_000), labels=("a", "b")))
        for repairs in (await store.verify()).values():
            assert (repairs.entries, repairs.damaged, repairs.missing) == (2, 0, 0)
            assert (repairs.stray, repairs.relabelled) == (0, 0)
