"""Two machines that share a bucket, on a real server that speaks S3."""

import asyncio
import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cache.suite import Clock, body_of
from origin_server import FaultOrigin
from render_processes import until

from proxy.cache.memory import MemoryStore
from proxy.cache.shared import SharedCacheConfig, SharedStore
from proxy.cache.store import Entry, Everything, Labelled, Store
from proxy.errors import StoreUnavailable

RCLONE = shutil.which("rclone", path=str(Path(sys.executable).parent)) or shutil.which("rclone")

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(RCLONE is None, reason="rclone, which serves S3 here, is not installed"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The address of an S3 server, and the folder that its buckets lie in."""
    root = tmp_path_factory.mktemp("s3")
    (root / "shared").mkdir()
    assert RCLONE is not None
    with subprocess.Popen(
        [RCLONE, "serve", "s3", "--addr=127.0.0.1:0", "--auth-key=user,key-of-user", str(root)],
        stderr=subprocess.PIPE,
        env={"RCLONE_CONFIG": os.devnull, "HOME": str(root)},
        text=True,
    ) as process:
        assert process.stderr is not None
        found = (re.search(r"http://127\.0\.0\.1:\d+", line) for line in process.stderr)
        yield next(match[0] for match in found if match), root
        process.terminate()


@pytest.fixture
def bucket(
    server: tuple[str, Path], monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> str:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "user")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "key-of-user")
    name = re.sub("[^a-z0-9]", "-", request.node.name.lower())
    return f"s3://shared/{name}?region=eu-central-1&endpoint={server[0]}"


def objects(server: tuple[str, Path]) -> list[Path]:
    return [path for path in server[1].rglob("rendition/*/*") if path.is_file()]


@asynccontextmanager
async def machine(
    bucket: str, clock: Clock, near: Store | None = None, *, start: bool = True
) -> AsyncIterator[SharedStore]:
    settings = SharedCacheConfig(url=bucket, read_timeout_seconds=10, purge_poll_seconds=3600, backoff_seconds=0)
    store = SharedStore(near or MemoryStore(10_000_000, clock=clock), settings, clock=clock)
    if start:
        store.begin()
        await until(lambda: store._current)
    yield store
    await store.close()


async def written(store: SharedStore) -> None:
    for queue in store._waiting:
        await queue.join()


async def test_what_one_machine_made_the_other_has(bucket: str) -> None:
    clock = Clock()
    async with machine(bucket, clock) as one, machine(bucket, clock) as other:
        entry = Entry(os.urandom(50_000), head=b"head", labels=("tag:a",), cost=0.5)
        await one.put("rendition", "key-1", entry)
        await one.put("record", "key-1", Entry(b"", head=b"record"))
        await one.put("original", "key-1", entry)
        await written(one)
        found = await other.get("rendition", "key-1")
        assert found is not None
        assert (found.body, found.head, found.labels) == (entry.body, b"head", ("tag:a",))
        record = await other.get("record", "key-1")
        assert record is not None
        assert record.head == b"record"
        assert await other.get("original", "key-1") is None  # the source has it
        assert await other.get("rendition", "key-2") is None
        assert await other._near.get("rendition", "key-1") is not None


@pytest.mark.parametrize("soft", [False, True])
async def test_a_purge_reaches_the_other_machine(bucket: str, *, soft: bool) -> None:
    clock = Clock()
    async with machine(bucket, clock) as one, machine(bucket, clock) as other:
        for store in (one, other):
            await store.put("rendition", "key-1", Entry(b"1", labels=("tag:a",)))
            await store.put("rendition", "key-2", Entry(b"2", labels=("tag:b",)))
            await written(store)
        counts = await one.purge(Labelled("tag:a"), soft=soft)
        assert counts["rendition"] == 1
        await other._learn()
        found = await other.get("rendition", "key-1")
        assert (found is not None and found.stale_since > 0) if soft else found is None
        assert body_of(await other.get("rendition", "key-2")) == b"2"


async def test_what_lies_in_the_bucket_from_before_a_purge_is_not_taken(bucket: str) -> None:
    clock = Clock()
    async with machine(bucket, clock) as one:
        await one.put("rendition", "key-1", Entry(b"1", labels=("tag:a",)))
        await written(one)
        clock.now += 60
        await one.purge(Everything())
        assert await one.get("rendition", "key-1") is None
        async with machine(bucket, clock) as late:
            assert await late.get("rendition", "key-1") is None
        clock.now += 60
        await one.put("rendition", "key-1", Entry(b"2"))
        await written(one)
        async with machine(bucket, clock) as later:
            assert body_of(await later.get("rendition", "key-1")) == b"2"


async def test_a_machine_that_was_away_learns_of_purges_once(bucket: str) -> None:
    clock = Clock()
    near = MemoryStore(10_000_000, clock=clock)
    await near.put("rendition", "key-1", Entry(b"1", labels=("tag:a",)))
    async with machine(bucket, clock) as one:
        await one.purge(Labelled("tag:a"))
        async with machine(bucket, clock, near) as back:
            assert await back.get("rendition", "key-1") is None
            await back.put("rendition", "key-1", Entry(b"2", labels=("tag:a",)))
            await back._learn()
            assert body_of(await back.get("rendition", "key-1")) == b"2"


async def test_a_damaged_or_old_object_is_not_taken(bucket: str, server: tuple[str, Path]) -> None:
    clock = Clock()
    async with machine(bucket, clock) as one, machine(bucket, clock) as other:
        await one.put("rendition", "damaged", Entry(os.urandom(1000)))
        await written(one)
        (path,) = (path for path in objects(server) if path.name == "damaged")
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
        assert await other.get("rendition", "damaged") is None
        await one.put("rendition", "old", Entry(b"old"))
        await written(one)
        clock.now += 31 * 86_400
        assert await other.get("rendition", "old") is None


async def test_removed_here_is_removed_there(bucket: str) -> None:
    clock = Clock()
    async with machine(bucket, clock) as one, machine(bucket, clock) as other:
        await one.put("rendition", "key-1", Entry(b"1"))
        await one.remove("rendition", "key-1")
        await one.remove("rendition", "never there")
        await written(one)
        assert await other.get("rendition", "key-1") is None


async def test_labels_added_later_are_shared(bucket: str) -> None:
    clock = Clock()
    async with machine(bucket, clock) as one, machine(bucket, clock) as other:
        await one.put("rendition", "key-1", Entry(b"1", labels=("tag:a",)))
        await one.label("rendition", "key-1", ["tag:b"])
        await written(one)
        found = await other.get("rendition", "key-1")
        assert found is not None
        assert found.labels == ("tag:a", "tag:b")


async def test_a_bucket_that_is_gone_is_done_without(bucket: str) -> None:
    gone = re.sub(r"endpoint=.*", "endpoint=http://127.0.0.1:1", bucket)
    settings = SharedCacheConfig(url=gone, write_timeout_seconds=1)
    store = SharedStore(MemoryStore(10_000_000), settings)
    store.begin()
    await store.put("rendition", "key-1", Entry(b"1"))
    assert body_of(await store.get("rendition", "key-1")) == b"1"
    assert await store.get("rendition", "key-2") is None
    with pytest.raises(StoreUnavailable):
        await store.purge(Everything())
    assert await store.get("rendition", "key-1") is None
    await store.close()


async def test_a_bucket_that_hangs_is_waited_for_once(bucket: str) -> None:
    async def silence(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()
        writer.close()
        left.append(writer)

    over, left = asyncio.Event(), list[asyncio.StreamWriter]()
    async with FaultOrigin(silence) as origin:
        hangs = re.sub(r"endpoint=.*", f"endpoint={origin.url('/').rstrip('/')}", bucket)
        settings = SharedCacheConfig(url=hangs, read_timeout_seconds=0.01, write_timeout_seconds=1)
        store = SharedStore(MemoryStore(10_000_000), settings)
        store.begin()
        store._current = True
        assert await store.get("rendition", "key-1") is None
        assert not store._usable()
        await store.close()
        over.set()
        await until(lambda: len(left) == origin.connections)


async def test_a_full_queue_keeps_nobody_waiting(bucket: str) -> None:
    clock = Clock()
    settings = SharedCacheConfig(url=bucket, max_write_queue=2)
    store = SharedStore(MemoryStore(10_000_000, clock=clock), settings, clock=clock)
    for number in range(50):
        await store.put("rendition", f"key-{number}", Entry(b"1"))
    assert [queue.qsize() for queue in store._waiting] == [1, 1, 1, 1]
    await store.close()
