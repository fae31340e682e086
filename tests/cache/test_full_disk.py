"""A disk that is full, read-only or taken away: a real one, of four megabytes."""

import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from cache.suite import MEGABYTE, body_of

from proxy.cache.disk import CacheConfig, DiskStore
from proxy.cache.store import Entry, Everything

pytestmark = pytest.mark.anyio


def run(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    mount = shutil.which("mount")
    if mount is None or not run(mount, "-t", "tmpfs", "-o", "size=4m", "none", str(place)):
        pytest.skip("file systems cannot be mounted here")
    yield place
    run("umount", "--lazy", str(place))


@pytest.fixture
def settings(disk: Path) -> CacheConfig:
    return CacheConfig(dir=str(disk / "cache"), disk_backoff_seconds=0)  # 10 GB, on a disk of 4 MB


@pytest.fixture
async def store(settings: CacheConfig) -> AsyncIterator[DiskStore]:
    store = DiskStore(settings)
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


async def test_a_cache_larger_than_its_disk_keeps_the_newest(store: DiskStore) -> None:
    for number in range(60):
        await store.put("rendition", str(number), Entry(os.urandom(200_000)))
    kept = [n for n in range(60) if await store.get("rendition", str(n)) is not None]
    assert kept[-1] == 59
    assert len(kept) >= 8


async def test_small_entries_make_room_too(store: DiskStore) -> None:
    for number in range(400):
        await store.put("rendition", str(number), Entry(os.urandom(20_000)))
    kept = [n for n in range(400) if await store.get("rendition", str(n)) is not None]
    assert len(kept) >= 50
    assert max(kept) >= 390


async def test_a_disk_that_others_fill_is_served_from(store: DiskStore, disk: Path) -> None:
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
    assert "space" in (await store.stats())["rendition"].trouble
    file.unlink()
    await store.put("rendition", "k", Entry(b"body"))
    assert body_of(await store.get("rendition", "k")) == b"body"


async def test_a_restart_on_a_disk_that_the_cache_itself_filled(
    settings: CacheConfig, disk: Path
) -> None:
    before = DiskStore(settings)
    for number in range(20):
        await before.put("rendition", str(number), Entry(os.urandom(200_000)))
    await before.close()
    fill(disk)
    after = DiskStore(settings)
    for _ in range(2):
        await after.put("rendition", "k", Entry(b"body"))
    assert body_of(await after.get("rendition", "k")) == b"body"
    await after.close()


async def test_a_start_on_a_read_only_disk(settings: CacheConfig, disk: Path) -> None:
    before = DiskStore(settings)
    await before.put("rendition", "old", Entry(b"old"))
    await before.close()
    assert run("mount", "-o", "remount,ro", str(disk))
    store = DiskStore(settings)
    await store.put("rendition", "new", Entry(b"new"))
    assert await store.get("rendition", "new") is None
    assert "read-only" in (await store.stats())["rendition"].trouble.lower()
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
    assert (await store.purge(Everything()))["rendition"] == 1
