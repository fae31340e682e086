import asyncio
import logging
import os
import pickle
import shutil
import sqlite3
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from cache.disk_stores import PatientDiskStore
from cache.disk_stores import disk_config as config
from cache.suite import MEGABYTE, CacheSuite, Clock, body_of

from proxy.buffers import SharedBuffer
from proxy.cache.config import CacheConfig
from proxy.cache.disk import DiskStore
from proxy.cache.store import KINDS, All, ByTag, Entry, Kind, Selector, Store
from proxy.errors import StoreUnavailable


class TestDiskStore(CacheSuite):
    def make(self, folder: Path, clock: Clock, budget: int) -> Store:
        return PatientDiskStore(config(folder, budget), clock=clock)


pytestmark = pytest.mark.anyio

SMALL, LARGE = b"small" * 100, os.urandom(100_000)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def store(folder: Path) -> AsyncIterator[DiskStore]:
    store = PatientDiskStore(config(folder))
    yield store
    await store.close()


@pytest.fixture
async def other(folder: Path) -> AsyncIterator[DiskStore]:
    """The store of another process, as far as this can be had in one."""
    other = PatientDiskStore(config(folder))
    yield other
    await other.close()


def bodies(folder: Path, kind: Kind = "rendition") -> list[Path]:
    return sorted((folder / kind).glob("??/??/*"))


def in_index(folder: Path, statement: str, *values: object) -> None:
    with sqlite3.connect(folder / "rendition" / "cache.db") as connection:
        connection.execute(statement, values)
    connection.close()


async def put_both(store: DiskStore) -> None:
    """Put a small and a large entry, and wait until they are written, however busy the disk is."""
    await store.put("rendition", "small", Entry(SMALL, tags=("tag:a",)))
    await store.put("rendition", "large", Entry(LARGE, tags=("tag:a",)))
    await store.put("original", "blob", Entry(SharedBuffer.from_bytes(LARGE), tags=("tag:a",)))
    await store.flush()


async def found(store: Store) -> list[bytes | None]:
    return [
        body_of(await store.get("rendition", "small")),
        body_of(await store.get("rendition", "large")),
        body_of(await store.get("original", "blob")),
    ]


async def test_entries_outlive_the_process(store: DiskStore, folder: Path) -> None:
    await put_both(store)
    await store.close()
    again = PatientDiskStore(config(folder))
    assert await found(again) == [SMALL, LARGE, LARGE]
    await again.close()


async def test_another_process_reads_them(store: DiskStore, other: DiskStore) -> None:
    await put_both(store)
    assert await found(other) == [SMALL, LARGE, LARGE]


async def test_folder_and_files_are_private(store: DiskStore, folder: Path) -> None:
    await put_both(store)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for path in bodies(folder):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_a_folder_that_is_open_to_others_is_not_used(
    store: DiskStore, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder.mkdir(mode=0o755)
    (folder / "planted").touch()
    await store.put("rendition", "k", Entry(b"body"))
    assert await store.get("rendition", "k") is None
    assert list(folder.iterdir()) == [folder / "planted"]
    assert "chmod 700" in caplog.text
    folder.chmod(0o700)
    await store.put("rendition", "k", Entry(b"body"))
    assert body_of(await store.get("rendition", "k")) == b"body"


async def test_an_empty_folder_is_made_private_and_used(store: DiskStore, folder: Path) -> None:
    folder.mkdir(mode=0o755)
    await store.put("rendition", "k", Entry(b"body"))
    assert body_of(await store.get("rendition", "k")) == b"body"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


async def test_a_folder_of_another_user_is_not_used(
    store: DiskStore, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    if os.geteuid():
        pytest.skip("only root can give a folder to another user")
    folder.mkdir(mode=0o700)
    os.chown(folder, 12345, 12345)
    await store.put("rendition", "k", Entry(b"body"))
    assert await store.get("rendition", "k") is None
    assert "belongs to user 12345" in caplog.text


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def empty(path: Path) -> None:
    os.truncate(path, 0)


def extend(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"x")


def flip(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(50_000)
        (byte,) = file.read(1)
        file.seek(50_000)
        file.write(bytes([byte ^ 1]))


def delete(path: Path) -> None:
    path.unlink()


def link_elsewhere(path: Path) -> None:
    elsewhere = path.with_name("elsewhere")
    path.rename(elsewhere)
    path.symlink_to(elsewhere)


@pytest.mark.parametrize("damage", [cut, empty, extend, flip, delete, link_elsewhere])
async def test_a_damaged_file_is_a_miss_and_can_be_replaced(
    store: DiskStore, folder: Path, damage: Callable[[Path], None]
) -> None:
    await put_both(store)
    damage(*bodies(folder, "rendition"))
    damage(*bodies(folder, "original"))
    assert await found(store) == [SMALL, None, None]
    stats = await store.stats()
    assert (stats["rendition"].entries, stats["original"].entries) == (1, 0)
    await put_both(store)
    assert await found(store) == [SMALL, LARGE, LARGE]


async def test_swapped_files_are_misses(store: DiskStore, folder: Path) -> None:
    one, two = os.urandom(100_000), os.urandom(100_000)
    await store.put("rendition", "1", Entry(one))
    await store.put("rendition", "2", Entry(two))
    first, second = bodies(folder)
    temporary = first.with_suffix(".temporary")
    first.rename(temporary)
    second.rename(first)
    temporary.rename(second)
    assert await store.get("rendition", "1") is None
    assert await store.get("rendition", "2") is None


@pytest.mark.parametrize(
    "change",
    [
        "key = 'small' WHERE key = 'large'",
        "value = substr(value, 1, 40)",
        "value = x'00'",
        "value = x''",
        "value = NULL",
        "value = 'text'",
        "value = x'8004952e', mode = 4, filename = NULL",
        "mode = 3",
        "mode = 'x'",
        "filename = '../../../../etc/passwd', mode = 2",
        "filename = '/etc/passwd', mode = 2",
        "filename = x'00ff', mode = 2",
        "filename = 7, mode = 2",
        "store_time = NULL",
        "store_time = 'yesterday'",
        "store_time = 1e12",
        "soft_purged_at = 'never'",
    ],
)
async def test_a_row_that_was_tampered_with_is_a_miss(
    store: DiskStore, folder: Path, change: str
) -> None:
    await store.put("rendition", "small", Entry(SMALL, tags=("tag:small",)))
    await store.put("rendition", "large", Entry(LARGE))
    if change.startswith("key"):
        await store.purge(ByTag("tag:small"))
    in_index(folder, f"UPDATE Cache SET {change}")
    for key in ("small", "large"):
        assert await store.get("rendition", key) is None
    assert (await store.stats())["rendition"].entries == 0
    await store.put("rendition", "small", Entry(SMALL))
    assert body_of(await store.get("rendition", "small")) == SMALL


async def test_swapped_bodies_of_rows_are_misses(store: DiskStore, folder: Path) -> None:
    await store.put("rendition", "1", Entry(b"one"))
    await store.put("rendition", "2", Entry(b"two"))
    in_index(folder, "UPDATE Cache SET value = (SELECT value FROM Cache WHERE key = '2')")
    assert await store.get("rendition", "1") is None
    assert body_of(await store.get("rendition", "2")) == b"two"


class Trap:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


async def test_nothing_is_unpickled(store: DiskStore, folder: Path, tmp_path: Path) -> None:
    sprung = tmp_path / "sprung"
    trap = pickle.dumps(Trap(sprung))
    await put_both(store)
    in_index(folder, "UPDATE Cache SET value = ?, mode = 4, filename = NULL", trap)
    assert (await found(store))[:2] == [None, None]
    await put_both(store)
    in_index(folder, "UPDATE Cache SET key = ?, raw = 0 WHERE key = 'small'", trap)
    assert (await found(store))[:2] == [None, LARGE]
    await store.verify()
    await store.purge(All())
    assert not sprung.exists()


def overwrite(index: Path) -> None:
    index.write_bytes(os.urandom(50_000))


def cut_short(index: Path) -> None:
    os.truncate(index, 10_000)


def scramble(index: Path) -> None:
    with index.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * (index.stat().st_size - 100))


def replace(index: Path) -> None:
    index.unlink()
    connection = sqlite3.connect(index)
    connection.execute("CREATE TABLE Settings (key TEXT NOT NULL UNIQUE, value)")
    connection.execute("INSERT INTO Settings VALUES ('size_limit', 'a'), ('count', 'b')")
    connection.execute("INSERT INTO Settings VALUES ('sqlite_cache_size', x'00')")
    connection.execute("CREATE TABLE Cache (rowid INTEGER PRIMARY KEY, key BLOB)")
    connection.commit()
    connection.close()


@pytest.mark.parametrize("running", [True, False])
@pytest.mark.parametrize("damage", [overwrite, empty, cut_short, scramble, replace])
async def test_a_damaged_index_is_rebuilt(
    store: DiskStore, folder: Path, damage: Callable[[Path], None], *, running: bool
) -> None:
    await put_both(store)
    for number in range(200):
        await store.put("rendition", str(number), Entry(os.urandom(500)))
    if not running:
        await store.close()
    damage(folder / "rendition" / "cache.db")
    if not running:
        store = PatientDiskStore(config(folder))
    for number in range(200):
        await store.get("rendition", str(number))
    for _ in range(2):  # the first may be the one that detects the damage
        await put_both(store)
    assert await found(store) == [SMALL, LARGE, LARGE]
    await store.verify()
    await put_both(store)
    assert await found(store) == [SMALL, LARGE, LARGE]
    await store.close()


@pytest.mark.parametrize("damage", [empty, delete])
@pytest.mark.parametrize("suffix", ["-wal", "-shm"])
async def test_the_log_of_the_index_can_be_lost(
    store: DiskStore, other: DiskStore, folder: Path, suffix: str, damage: Callable[[Path], None]
) -> None:
    await put_both(store)
    await found(other)
    damage(folder / "rendition" / f"cache.db{suffix}")
    await found(store)
    await found(other)
    for _ in range(2):  # the first may be the one that detects the damage
        await put_both(other)
    assert await found(store) == [SMALL, LARGE, LARGE]
    assert await found(other) == [SMALL, LARGE, LARGE]


@pytest.mark.parametrize("removed", ["all", "rendition", "index", "counters"])
async def test_what_was_removed_is_created_again(
    store: DiskStore, other: DiskStore, folder: Path, removed: str
) -> None:
    await put_both(store)
    assert await found(other) == [SMALL, LARGE, LARGE]
    match removed:
        case "all":
            shutil.rmtree(folder)
        case "rendition":
            shutil.rmtree(folder / "rendition")
        case "index":
            for path in (folder / "rendition").glob("cache.db*"):
                path.unlink()
        case "counters":
            (folder / "change-counters").unlink()
    before = store.change_token(("rendition", "small"))
    await put_both(store)
    assert await found(store) == [SMALL, LARGE, LARGE]
    assert await found(other) == [SMALL, LARGE, LARGE]
    assert before is not None
    if removed in {"all", "counters"}:
        assert not before()
    is_current = other.change_token(("rendition", "small"))
    assert is_current is not None
    assert is_current()
    await put_both(store)
    assert not is_current()


async def test_a_path_that_is_not_a_folder_is_logged_once_and_recovered_from(
    store: DiskStore, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder.write_bytes(b"in the way")
    caplog.set_level(logging.WARNING, logger="proxy")
    for number in range(5):
        await store.put("rendition", str(number), Entry(b"body"))
        assert await store.get("rendition", str(number)) is None
    assert len(caplog.records) == 2  # one for reading, one for writing
    assert "File exists" in (await store.stats())["rendition"].error
    with pytest.raises(StoreUnavailable):
        await store.purge(ByTag("tag:a"))
    with pytest.raises(StoreUnavailable):
        await store.verify()
    folder.unlink()
    await store.put("rendition", "k", Entry(b"body"))
    assert body_of(await store.get("rendition", "k")) == b"body"
    assert (await store.stats())["rendition"].error == ""
    assert caplog.records[-1].message.startswith("cache read recovered")


async def test_a_kind_without_a_folder_is_a_miss(store: DiskStore, folder: Path) -> None:
    folder.mkdir(mode=0o700)
    (folder / "rendition").write_bytes(b"in the way")
    await put_both(store)
    assert await found(store) == [None, None, LARGE]
    assert "File exists" in (await store.stats())["rendition"].error


async def test_an_index_of_another_version_is_rebuilt(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = PatientDiskStore(config(folder))
    await put_both(store)
    await store.close()
    in_index(folder, "PRAGMA user_version = 1")
    again = PatientDiskStore(config(folder))
    assert await found(again) == [None, None, LARGE]
    assert "schema version 1" in caplog.text
    await put_both(again)
    assert await found(again) == [SMALL, LARGE, LARGE]
    await again.close()


async def test_verify_repairs_damage(store: DiskStore, folder: Path) -> None:
    for number in range(6):
        await store.put("rendition", str(number), Entry(os.urandom(100_000), tags=("tag:a",)))
    await store.put("rendition", "small", Entry(SMALL, tags=("tag:a",)))
    first, second, *_ = bodies(folder)
    delete(first)
    flip(second)
    orphan = second.with_name("orphan.val")
    orphan.touch()
    in_index(
        folder, "DELETE FROM EntryTag WHERE entry = (SELECT rowid FROM Cache WHERE key = 'small')"
    )
    in_index(folder, "UPDATE Settings SET value = 12345 WHERE key IN ('size', 'count')")
    # A file without a row is left alone while its writer may still be about to write the row.
    report = (await store.verify())["rendition"]
    assert (report.entries, report.damaged, report.missing) == (7, 1, 1)
    assert (report.orphans, report.retagged) == (0, 1)
    assert orphan.exists()
    stats = (await store.stats())["rendition"]
    assert stats.entries == 5
    assert 4 * 100_000 < stats.bytes < 5 * 100_000
    assert (await store.purge(ByTag("tag:a")))["rendition"] == 5


async def test_verify_removes_old_orphans(folder: Path) -> None:
    clock = Clock()
    clock.now = 4e9  # long after what the file system says
    store = PatientDiskStore(config(folder), clock=clock)
    await store.put("rendition", "k", Entry(LARGE))
    (body,) = bodies(folder)
    body.with_name("orphan.val").touch()
    assert (await store.verify())["rendition"].orphans == 1
    assert bodies(folder) == [body]
    assert body_of(await store.get("rendition", "k")) == LARGE
    await store.close()


async def test_old_staged_files_are_removed_at_the_next_start(folder: Path) -> None:
    store = PatientDiskStore(config(folder))
    await store.put("rendition", "k", Entry(LARGE))
    old = folder / "rendition" / "staging" / "old"
    old.touch()
    os.utime(old, (0, 0))
    new = old.with_name("new")
    new.touch()
    await store.close()
    again = PatientDiskStore(config(folder))
    assert body_of(await again.get("rendition", "k")) == LARGE
    assert not old.exists()
    assert new.exists()
    await again.close()


async def test_replaced_and_purged_bodies_leave_no_file(store: DiskStore, folder: Path) -> None:
    for _ in range(3):
        await store.put("rendition", "k", Entry(os.urandom(100_000)))
    assert len(bodies(folder)) == 1
    await store.purge(All())
    assert bodies(folder) == []
    assert list((folder / "rendition" / "staging").iterdir()) == []


async def test_entries_that_are_cheap_to_remake_are_evicted_first(tmp_path: Path) -> None:
    store = PatientDiskStore(config(tmp_path / "cache", MEGABYTE))
    for number in range(5):
        await store.put("rendition", f"expensive {number}", Entry(os.urandom(100_000), cost=3.0))
    for number in range(20):
        await store.put("rendition", f"cheap {number}", Entry(os.urandom(100_000), cost=0.1))
    assert all([await store.get("rendition", f"expensive {number}") for number in range(5)])
    assert await store.get("rendition", "cheap 0") is None
    assert await store.get("rendition", "cheap 19") is not None
    await store.close()


async def test_used_entries_stay_and_unused_ones_age(tmp_path: Path) -> None:
    store = PatientDiskStore(config(tmp_path / "cache", MEGABYTE))
    await store.put("rendition", "used", Entry(os.urandom(100_000), cost=0.1))
    await store.put("rendition", "expensive", Entry(os.urandom(100_000), cost=1.0))
    for number in range(150):
        await store.put("rendition", str(number), Entry(os.urandom(100_000), cost=0.1))
        await store.get("rendition", "used")
    assert await store.get("rendition", "used") is not None
    assert await store.get("rendition", "expensive") is None
    await store.close()


async def test_changes_reach_other_processes(store: DiskStore, other: DiskStore) -> None:
    assert store.change_token(("rendition", "k")) is None
    await store.put("rendition", "k", Entry(b"1", tags=("tag:a",)))
    await other.get("rendition", "k")
    changes: list[Awaitable[object]] = [
        store.put("rendition", "k", Entry(b"2", tags=("tag:a",))),
        store.add_tags("rendition", "k", ["tag:b"]),
        store.purge(ByTag("tag:a"), soft=True),
        store.purge(ByTag("tag:a")),
    ]
    for change in changes:
        is_current = other.change_token(("record", "other"), ("rendition", "k"))
        assert is_current is not None
        await store.get("rendition", "k")
        assert is_current()
        await change
        assert not is_current()


async def test_an_eviction_is_a_change(tmp_path: Path) -> None:
    store = PatientDiskStore(config(tmp_path / "cache", MEGABYTE))
    await store.put("rendition", "first", Entry(os.urandom(600_000)))
    is_current = store.change_token(("rendition", "first"))
    assert is_current is not None
    await store.put("rendition", "second", Entry(os.urandom(600_000)))
    assert not is_current()
    await store.close()


async def test_two_processes_read_and_write_at_once(store: DiskStore, other: DiskStore) -> None:
    async def one(store: DiskStore, number: int) -> None:
        body = os.urandom(40_000 if number % 2 else 400)
        key = str(number % 20)
        await store.put("rendition", key, Entry(body + key.encode()))
        found = body_of(await store.get("rendition", key))
        assert found is not None
        assert found.endswith(key.encode())

    for _ in range(4):
        await asyncio.gather(*(one(s, n) for n in range(30) for s in (store, other)))
    assert (await other.stats())["rendition"].entries == 20


async def test_each_kind_has_a_budget() -> None:
    assert set(CacheConfig().budgets()) == set(KINDS)


async def test_a_disk_that_hangs_blocks_only_its_threads(
    store: DiskStore, caplog: pytest.LogCaptureFixture
) -> None:
    await store.put("rendition", "k", Entry(b"body"))
    with store._tables["rendition"]._lock:  # as a thread does that hangs in the file system
        reads = [asyncio.ensure_future(store.get("rendition", "k")) for _ in range(1100)]
        done, waiting = await asyncio.wait(reads, return_when=asyncio.FIRST_COMPLETED)
        assert {one.result() for one in done} == {None}
        assert len(waiting) <= 4 + 1024
    assert [one for one in await asyncio.gather(*waiting) if body_of(one) == b"body"]
    assert "disk queue full" in caplog.text


@pytest.mark.parametrize("selector", [All(), ByTag("tag:a")])
@pytest.mark.parametrize("soft", [False, True])
async def test_a_purge_by_a_clock_that_was_ahead_is_clamped(
    tmp_path: Path, selector: Selector, *, soft: bool
) -> None:
    clock = Clock()
    store = PatientDiskStore(config(tmp_path / "cache"), clock=clock)
    await store.put("rendition", "old", Entry(b"old", tags=("tag:a",)))
    await store.put("rendition", "other", Entry(b"other"))
    clock.now += 86_400
    await store.purge(selector, soft=soft)
    clock.now -= 86_400
    await store.put("record", "first", Entry(b"1"), started_at=clock())
    await store.put("rendition", "first", Entry(b"1", tags=("tag:a",)), started_at=clock())
    old = await store.get("rendition", "old")
    assert (old is not None) is soft
    if old is not None:
        assert 0 < old.soft_purged_at <= clock.now
    clock.now += 60
    for key in ("new", "old"):
        await store.put("rendition", key, Entry(b"new", tags=("tag:a",)), started_at=clock())
        new = await store.get("rendition", key)
        assert new is not None
        assert (new.body, new.soft_purged_at) == (b"new", 0.0)
    await store.close()
