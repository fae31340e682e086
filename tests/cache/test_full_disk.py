"""A disk that is full, read-only or taken away: a real one, of four megabytes."""

import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from cache.suite import MEGABYTE, body_of

from proxy.cache.config import CacheConfig
from proxy.cache.disk import DiskStore
from proxy.cache.store import All, Entry

pytestmark = pytest.mark.anyio


def run(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "disk"
    path.mkdir()
    mount = shutil.which("mount")
    if mount is None or not run(mount, "-t", "tmpfs", "-o", "size=4m", "none", str(path)):
        pytest.skip("file systems cannot be mounted here")
    yield path
    run("umount", "--lazy", str(path))


@pytest.fixture
def config(disk: Path) -> CacheConfig:
    return CacheConfig(dir=str(disk / "cache"), disk_backoff_seconds=0)  # 10 GB, on a disk of 4 MB


@pytest.fixture
async def store(config: CacheConfig) -> AsyncIterator[DiskStore]:
    store = DiskStore(config)
    yield store
    await store.close()


def fill(disk: Path, leave: int = 0) -> Path:
    """Another program's file that takes what is left of the disk."""
    file = disk / "other"
    with file.open("wb", buffering=0) as writer:
        size = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize - leave
        while size > 0:
            size -= writer.write(bytes(min(size, 65536)))
    return file


async def test_a_budget_larger_than_the_disk_leaves_the_newest_entries(store: DiskStore) -> None:
    for number in range(60):
        await store.put("rendition", str(number), Entry(os.urandom(200_000)))
    left = [n for n in range(60) if await store.get("rendition", str(n)) is not None]
    assert left[-1] == 59
    assert len(left) >= 8


async def test_small_entries_are_evicted_too(store: DiskStore) -> None:
    for number in range(400):
        await store.put("rendition", str(number), Entry(os.urandom(20_000)))
    left = [n for n in range(400) if await store.get("rendition", str(n)) is not None]
    assert len(left) >= 50
    assert max(left) >= 390


async def test_a_disk_that_others_fill_is_read_from(store: DiskStore, disk: Path) -> None:
    body = os.urandom(50_000)
    await store.put("rendition", "old", Entry(body))
    file = fill(disk)
    assert body_of(await store.get("rendition", "old")) == body
    await store.put("rendition", "new", Entry(os.urandom(2 * MEGABYTE)))
    assert await store.get("rendition", "new") is None
    file.unlink()
    await store.put("rendition", "new", Entry(body))
    assert body_of(await store.get("rendition", "new")) == body


async def test_a_start_on_a_full_disk(store: DiskStore, disk: Path) -> None:
    file = fill(disk)
    await store.put("rendition", "k", Entry(b"body"))
    assert await store.get("rendition", "k") is None
    assert "space" in (await store.stats())["rendition"].error
    file.unlink()
    await store.put("rendition", "k", Entry(b"body"))
    assert body_of(await store.get("rendition", "k")) == b"body"


async def test_a_restart_on_a_disk_that_the_cache_itself_filled(
    config: CacheConfig, disk: Path
) -> None:
    before = DiskStore(config)
    for number in range(20):
        await before.put("rendition", str(number), Entry(os.urandom(200_000)))
    await before.close()
    fill(disk)
    after = DiskStore(config)
    for _ in range(2):
        await after.put("rendition", "k", Entry(b"body"))
    assert body_of(await after.get("rendition", "k")) == b"body"
    await after.close()


async def test_a_start_on_a_read_only_disk(config: CacheConfig, disk: Path) -> None:
    before = DiskStore(config)
    await before.put("rendition", "old", Entry(b"old"))
    await before.close()
    assert run("mount", "-o", "remount,ro", str(disk))
    store = DiskStore(config)
    await store.put("rendition", "new", Entry(b"new"))
    assert await store.get("rendition", "new") is None
    assert "read-only" in (await store.stats())["rendition"].error.lower()
    assert run("mount", "-o", "remount,rw", str(disk))
    await store.put("rendition", "new", Entry(b"new"))
    assert body_of(await store.get("rendition", "new")) == b"new"
    assert body_of(await store.get("rendition", "old")) == b"old"
    await store.close()


async def test_a_disk_that_was_taken_away(store: DiskStore, disk: Path) -> None:
    await store.put("rendition", "k", Entry(b"body"))
    assert run("umount", "--lazy", str(disk))
    assert await store.get("rendition", "k") is None
    await store.put("rendition", "k", Entry(b"body"))  # where the disk was there is a folder now
    assert body_of(await store.get("rendition", "k")) == b"body"
    assert (await store.purge(All()))["rendition"] == 1
