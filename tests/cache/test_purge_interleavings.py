"""Machines that share a bucket, in any order of events: what was purged is served by none.

The clocks of the machines differ by days, purges become visible late or twice, answers of the
bucket are lost, and machines are cut off from it. What machines tell each other directly comes
late, twice, in any order, or never. Only the clock of the bucket is shared, in whole
seconds.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

import pytest
from cache.suite import body_of
from hypothesis import given, settings
from hypothesis import strategies as st
from memory_store import MemoryStore
from msgspec import structs

from proxy.cache.bucket import BucketError, StoredObject
from proxy.cache.config import SharedCacheConfig
from proxy.cache.memory_layer import MemoryCacheLayer
from proxy.cache.peers import PurgePeers
from proxy.cache.purge_objects import (
    PurgeCodec,
    PurgeRow,
    Stamp,
    is_purge_name,
    new_batch_name,
    object_id,
)
from proxy.cache.shared import SharedCache
from proxy.cache.shared_objects import ObjectSigner
from proxy.cache.store import All, ByTag, ByTagPrefix, Entry, Selector
from proxy.cache.write_behind import WRITERS
from proxy.errors import StoreUnavailable

CONFIG = SharedCacheConfig(
    url="s3://none?region=eu-central-1", read_timeout_seconds=10, backoff_seconds=0
)
KEYS = ("a", "b")
MACHINES = (0, 1, 2)
PURGES: dict[str, Callable[[str], Selector]] = {
    "tag": lambda key: ByTag(f"tag:{key}"),
    "prefix": lambda key: ByTagPrefix(f"tag:{key}"),
    "all": lambda _: All(),
}


class World:
    """The source, the bucket, and their time in seconds."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0
        self.versions = Counter[str]()
        self.purged = Counter[str]()
        """The version that must at least be served, by key."""
        self.objects: dict[str, StoredObject] = {}
        self.hidden: set[str] = set()
        self.messages: list[tuple[str, bytes]] = []
        """Of peers."""
        self.hides = self.fails_before = self.fails_after = False

    async def get(self, name: str) -> StoredObject | None:
        return None if name in self.hidden else self.objects.get(name)

    async def put(self, name: str, data: bytes) -> None:
        if self.fails_before:
            raise BucketError("refused")
        self.objects[name] = StoredObject(data, float(int(self.now)))
        if is_purge_name(name) and self.hides:
            self.hidden.add(name)
        if self.fails_after:
            raise BucketError("answer lost")

    async def list(self, folder: str) -> dict[str, float]:
        if self.fails_before:
            raise BucketError("refused")
        return {
            name: found.written_at
            for name, found in self.objects.items()
            if name.startswith(folder) and name not in self.hidden
        }

    async def delete(self, names: Iterable[str]) -> None:
        for name in names:
            self.objects.pop(name, None)

    async def wait(self, seconds: float) -> None:
        self.now += seconds

    async def bucket(self, state: str) -> None:
        self.hides = state == "hides"
        self.fails_before = state == "fails_before"
        self.fails_after = state == "fails_after"

    async def repeat(self) -> None:
        for name, found in list(self.objects.items()):
            if is_purge_name(name):
                with contextlib.suppress(BucketError):
                    await self.put(name, found.data)


class Peers(PurgePeers):
    """Peers that a test delivers the messages to."""

    def __init__(self, world: World) -> None:
        self.world, self.is_enabled, self.known = world, True, len(MACHINES)
        self.outcomes: Counter[str] = Counter()

    async def send(self, rows: Sequence[PurgeRow], codec: PurgeCodec) -> None:
        self.send_later(rows, codec)

    def send_later(self, rows: Sequence[PurgeRow], codec: PurgeCodec) -> None:
        if rows:
            name = new_batch_name()
            self.world.messages.append((object_id(name), codec.encode(name, rows)))

    async def close(self) -> None:
        pass


class Machine:
    def __init__(self, world: World, ahead: float) -> None:
        self.world, self.ahead, self.ticks = world, ahead, 0
        local = MemoryCacheLayer(MemoryStore(10_000_000, clock=self.clock), 0)
        self.cache = SharedCache(
            local,
            CONFIG,
            bucket=world,
            peers=Peers(world),
            clock=self.clock,
            monotonic=lambda: world.now - 1_600_000_000 + ahead,
        )
        self.cache.start = lambda: None  # type: ignore[method-assign]  # the test does each step
        self.cache._has_tried.set()
        self.works: list[tuple[str, int, float]] = []

    def clock(self) -> float:
        self.ticks += 1
        return self.world.now + self.ahead + self.ticks / 1_000_000

    async def begin(self, key: str) -> None:
        self.works.append((key, self.world.versions[key], self.clock()))

    async def finish(self) -> None:
        works, self.works = self.works, []
        for key, version, started_at in works:
            entry = Entry(str(version).encode(), tags=(f"tag:{key}",))
            await self.cache.put("rendition", key, entry, started_at=started_at)
        await self.write()

    async def write(self) -> None:
        """Try each write that waits once; what the bucket refuses waits for the next time."""
        writes = self.cache._writes
        for number in range(WRITERS):
            for _ in range(len(writes._queues[number])):
                self.cache._write_breaker.probe_soon()
                await writes.write_next(number)

    async def purge(self, key: str, kind: str, soft: bool) -> None:
        for one in KEYS if kind == "all" else (key,):
            self.world.versions[one] += 1
            self.world.purged[one] = self.world.versions[one]
        with contextlib.suppress(StoreUnavailable):  # it is delivered later
            await self.cache.purge(PURGES[kind](key), soft=soft)

    async def sync(self) -> None:
        with contextlib.suppress(BucketError):
            await self.cache._purges.sync()

    async def hear(self, number: int) -> None:
        """Get one of the messages that were ever sent, perhaps once more."""
        if self.world.messages:
            message = self.world.messages[number % len(self.world.messages)]
            assert await self.cache.receive_purges(*message)

    async def compact(self) -> None:
        with contextlib.suppress(BucketError):
            await self.cache._purges.compact()

    async def get(self, key: str) -> Entry | None:
        self.cache._misses.clear()
        return await self.cache.get("rendition", key)

    async def serves(self, key: str) -> int | None:
        """The version that is served as fresh; None if none is."""
        entry = await self.get(key)
        if entry is None or entry.soft_purged_at:
            return None
        return int(body_of(entry) or b"")


machine = st.sampled_from(MACHINES)
key = st.sampled_from(KEYS)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("begin"), machine, key),
        st.tuples(st.just("finish"), machine),
        st.tuples(st.just("get"), machine, key),
        st.tuples(st.just("sync"), machine),
        st.tuples(st.just("compact"), machine),
        st.tuples(st.just("hear"), machine, st.integers(0, 5)),
        st.tuples(st.just("purge"), machine, key, st.sampled_from(sorted(PURGES)), st.booleans()),
        st.tuples(st.just("wait"), st.sampled_from([0.0, 0.3, 1.0, 4.0, 700.0, 90_000.0])),
        st.tuples(
            st.just("bucket"), st.sampled_from(["well", "hides", "fails_before", "fails_after"])
        ),
        st.tuples(st.just("repeat")),
    ),
    max_size=40,
)


STORIES: dict[str, list[tuple[object, ...]]] = {
    "work that began before the purge and ended after it": [
        ("purge", 0, "a", "tag", False),
        ("sync", 1),
        ("begin", 1, "a"),
        ("wait", 4.0),
        ("purge", 0, "a", "tag", False),
        ("wait", 4.0),
        ("finish", 1),
    ],
    "two purges of one second, with work in between": [
        ("purge", 1, "a", "tag", False),
        ("sync", 2),
        ("begin", 2, "a"),
        ("finish", 2),
        ("purge", 0, "a", "tag", False),
    ],
    "a purge that becomes visible after later ones were joined": [
        ("begin", 2, "a"),
        ("finish", 2),
        ("bucket", "hides"),
        ("purge", 0, "a", "prefix", False),
        ("bucket", "well"),
        ("purge", 1, "b", "tag", False),
        ("wait", 90_000.0),
        ("sync", 1),
        ("compact", 1),
        ("sync", 2),
    ],
    "a purge that was written, but not answered": [
        ("begin", 2, "a"),
        ("finish", 2),
        ("bucket", "fails_after"),
        ("purge", 0, "a", "all", False),
        ("bucket", "well"),
        ("sync", 2),
        ("sync", 0),
    ],
    "a purge that a peer tells before it is seen in the bucket, and once more later": [
        ("begin", 2, "a"),
        ("finish", 2),
        ("begin", 1, "a"),
        ("bucket", "hides"),
        ("purge", 0, "a", "tag", False),
        ("hear", 2, 0),
        ("finish", 1),
        ("bucket", "well"),
        ("sync", 2),
        ("hear", 2, 0),
        ("get", 2, "a"),
    ],
    "a purge that a peer tells after a later one": [
        ("begin", 2, "a"),
        ("purge", 0, "a", "tag", False),
        ("wait", 4.0),
        ("purge", 0, "a", "prefix", True),
        ("finish", 2),
        ("hear", 2, 1),
        ("hear", 2, 0),
    ],
    "a machine that was away while purges were joined": [
        ("begin", 2, "a"),
        ("finish", 2),
        ("purge", 0, "a", "tag", False),
        ("wait", 90_000.0),
        ("sync", 1),
        ("compact", 1),
        ("get", 2, "a"),
    ],
}


@pytest.mark.parametrize("steps", STORIES.values(), ids=STORIES)
@pytest.mark.parametrize("ahead", [(0.0, 0.0, 0.0), (-3.0, 3.0, 0.0), (1e5, 0.0, -1e5)])
def test_what_was_purged_is_served_by_none_also_after(
    steps: list[tuple[object, ...]], ahead: tuple[float, float, float]
) -> None:
    asyncio.run(play(steps, ahead))


async def play(steps: list[tuple[object, ...]], ahead: tuple[float, float, float]) -> None:
    world = World()
    machines = [Machine(world, seconds) for seconds in ahead]
    for name, *arguments in steps:
        if arguments and isinstance(arguments[0], int):
            await getattr(machines[arguments[0]], str(name))(*arguments[1:])
        else:
            await getattr(world, str(name))(*arguments)
        world.now += 0.01
    await deliver(world, machines)
    for one in (*machines, *machines):  # the second time all have written what waited
        await one.finish()
        for key in KEYS:
            served = await one.serves(key)
            assert served is None or served >= world.purged[key], (one.ahead, key)
    for one in machines:
        await one.cache.close()


async def deliver(world: World, machines: list[Machine]) -> None:
    await world.bucket("well")
    world.hidden.clear()
    for _ in range(2):  # so that what the last one still had to write is read by the first
        for one in machines:
            await one.sync()


@settings(deadline=None, max_examples=50)
@given(
    STEPS, st.tuples(*[st.sampled_from([0.0, -3.0, 3.0, -100_000.0, 100_000.0])] * len(MACHINES))
)
def test_after_the_last_delivery_no_machine_serves_what_was_purged(
    steps: list[tuple[object, ...]], ahead: tuple[float, float, float]
) -> None:
    asyncio.run(play(steps, ahead))


def test_what_is_made_of_a_cached_original_is_as_old_as_the_purges_that_were_known() -> None:
    async def story() -> None:
        world = World()
        one, other, third = (Machine(world, 0.0) for _ in range(3))
        await one.purge("b", "tag", False)
        await other.sync()
        cached = world.versions["a"]
        await world.wait(10)
        await one.purge("a", "tag", False)
        await world.wait(3)
        other.works.append(("a", cached, other.clock()))
        await other.finish()
        for machine in (other, third):
            await machine.sync()
            assert await machine.serves("a") is None
        for machine in (one, other, third):
            await machine.cache.close()

    asyncio.run(story())


def test_joining_leaves_one_object_and_loses_no_purge() -> None:
    async def story() -> None:
        world = World()
        one, other = Machine(world, 0.0), Machine(world, 1e5)
        for number in range(30):
            await one.cache.purge(ByTag(f"tag:{number}"))
        await one.sync()
        world.now += 90_000
        await one.cache._purges.compact()
        (batch,) = filter(is_purge_name, world.objects)
        assert batch.startswith("v4/purges/batch-")
        await one.cache._purges.compact()
        assert list(filter(is_purge_name, world.objects)) == [batch]
        await other.cache._local.put("rendition", "a", Entry(b"0", tags=("tag:29",)))
        await other.sync()
        assert await other.get("a") is None
        for machine in (one, other):
            await machine.cache.close()

    asyncio.run(story())


def test_many_purges_are_joined_before_the_day_ends_and_many_batches_into_one() -> None:
    async def story() -> None:
        world = World()
        one = Machine(world, 0.0)
        rows = [PurgeRow(ByTag(f"tag:{number}"), soft=False) for number in range(40)]
        for row in rows[:33]:
            name = new_batch_name()
            stamped = [structs.replace(row, stamp=Stamp(int(world.now), (name[-8:],)))]
            await world.put(name, PurgeCodec(ObjectSigner(())).encode(name, stamped))
        for row in rows[33:]:
            await one.cache.purge(row.selector)
        await one.sync()
        world.now += 90_000
        await one.cache._purges.compact()
        assert len(list(filter(is_purge_name, world.objects))) == 1
        fresh = Machine(world, 0.0)
        await fresh.sync()
        assert len(fresh.cache._purges._log) == 40
        for machine in (one, fresh):
            await machine.cache.close()

    asyncio.run(story())


def test_a_machine_that_hears_a_purge_serves_nothing_older_from_then_on() -> None:
    async def story() -> None:
        world = World()
        one, other = Machine(world, 0.0), Machine(world, 1e5)
        await other.sync()
        for machine in (one, other):
            await machine.begin("a")
            await machine.finish()
        await one.purge("a", "tag", False)
        assert await other.serves("a") == 0  # so the test can fail
        await other.hear(0)
        assert await other.serves("a") is None  # neither from its cache nor from the bucket
        for machine in (one, other):
            await machine.cache.close()

    asyncio.run(story())


def test_after_a_purge_machines_share_what_is_made_again() -> None:
    async def story() -> None:
        world = World()
        one, other = Machine(world, -3.0), Machine(world, 1e5)
        await one.purge("a", "tag", False)
        world.now += 5
        await one.sync()
        await world.wait(0.01)
        await one.begin("a")
        await one.finish()
        await other.sync()
        assert await other.serves("a") == 1
        for machine in (one, other):
            await machine.cache.close()

    asyncio.run(story())


def test_a_machine_that_has_not_read_the_purges_for_long_reads_nothing_else() -> None:
    async def story() -> None:
        world = World()
        one, other = Machine(world, 0.0), Machine(world, 0.0)
        await one.begin("a")
        await one.finish()
        await other.sync()
        world.now += CONFIG.purge_poll_seconds * 2 + 6
        assert await other.get("a") is None
        await other.sync()
        assert await other.serves("a") == 0
        for machine in (one, other):
            await machine.cache.close()

    asyncio.run(story())
