"""Entries that are put while others are being written share a transaction."""

import asyncio
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.buffers import SharedBuffer
from proxy.cache.disk_rows import NewEntry
from proxy.cache.disk_table import DiskTable
from proxy.cache.group_commit import GroupCommit
from proxy.cache.io_threads import DiskBusy
from proxy.cache.sqlite import StorageError
from proxy.cache.store import Entry

pytestmark = pytest.mark.anyio


def entry(key: str, body: bytes = b"body") -> NewEntry:
    return NewEntry(key, Entry(body))


class Disk:
    """Calls run in threads, one after the other, each when it is told to."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.may_go_on = asyncio.Event()

    async def submit(self, call: Callable[[], None]) -> None:
        await self.may_go_on.wait()
        await asyncio.to_thread(call)

    def write(self, entries: Sequence[NewEntry]) -> None:
        self.batches.append([one.key for one in entries])


async def test_entries_that_wait_are_written_together_in_their_order() -> None:
    disk = Disk()
    group = GroupCommit(disk.submit, disk.write, max_waiting=10)
    puts = [asyncio.create_task(group.put(entry(key))) for key in "abc"]
    disk.may_go_on.set()
    await asyncio.gather(*puts)
    assert disk.batches == [["a", "b", "c"]]


async def test_an_entry_that_comes_later_is_written_later() -> None:
    disk = Disk()
    disk.may_go_on.set()
    group = GroupCommit(disk.submit, disk.write, max_waiting=10)
    await group.put(entry("a"))
    await group.put(entry("b"))
    assert disk.batches == [["a"], ["b"]]


async def test_a_caller_that_leaves_takes_its_entry_from_nobody() -> None:
    disk = Disk()
    group = GroupCommit(disk.submit, disk.write, max_waiting=10)
    first, second = (asyncio.create_task(group.put(entry(key))) for key in "ab")
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    disk.may_go_on.set()
    await second
    assert disk.batches == [["a", "b"]]


async def test_what_cannot_be_submitted_is_dropped_for_all_who_wait() -> None:
    disk = Disk()
    is_busy = True

    async def submit(call: Callable[[], None]) -> None:
        if is_busy:
            raise DiskBusy("full")
        call()

    group = GroupCommit(submit, disk.write, max_waiting=10)
    found = await asyncio.gather(*(group.put(entry(key)) for key in "ab"), return_exceptions=True)
    assert [type(one) for one in found] == [DiskBusy, DiskBusy]
    is_busy = False
    await group.put(entry("c"))
    assert disk.batches == [["c"]]


async def test_a_bounded_number_of_entries_waits() -> None:
    disk = Disk()
    group = GroupCommit(disk.submit, disk.write, max_waiting=2)
    puts = [asyncio.create_task(group.put(entry(key))) for key in "ab"]
    await asyncio.sleep(0)
    with pytest.raises(DiskBusy, match="2 entries"):
        await group.put(entry("c"))
    disk.may_go_on.set()
    await asyncio.gather(*puts)
    assert disk.batches == [["a", "b"]]


@given(st.lists(st.lists(st.sampled_from("abcd"), max_size=5), max_size=8))
async def test_when_a_put_returns_its_entry_is_written_and_the_last_one_of_a_key_counts(
    bursts: Sequence[Sequence[str]],
) -> None:
    written: dict[str, int] = {}
    latest: dict[str, int] = {}

    def write(entries: Sequence[NewEntry]) -> None:
        for one in entries:
            written[one.key] = int(one.entry.head)

    async def submit(call: Callable[[], None]) -> None:
        await asyncio.to_thread(call)

    group = GroupCommit(submit, write, max_waiting=100)
    number = 0

    async def put(key: str, number: int) -> None:
        await group.put(NewEntry(key, Entry(b"", str(number).encode())))
        assert written[key] >= number

    puts = []
    for burst in bursts:
        for key in burst:
            number += 1
            latest[key] = number
            puts.append(asyncio.create_task(put(key, number)))
        await asyncio.sleep(0)
    await asyncio.gather(*puts)
    assert written == latest


def test_entries_of_one_transaction_are_all_there_and_one_of_a_key_replaces_the_other(
    tmp_path: Path,
) -> None:
    table = DiskTable(tmp_path, "rendition", 10_000_000)
    large = os.urandom(100_000)
    table.put_all([entry("a", b"old"), entry("b", large), entry("a", large[::-1])])
    found = {key: table.get(key) for key in "ab"}
    assert {key: one and read(one) for key, one in found.items()} == {
        "a": large[::-1],
        "b": large,
    }
    files = [path for path in tmp_path.rglob("*.val") if path.is_file()]
    assert len(files) == 2
    table.close()


def test_an_entry_that_cannot_be_written_costs_no_other(tmp_path: Path) -> None:
    table = DiskTable(tmp_path, "original", 1_000_000)
    path = tmp_path / "body"
    path.write_bytes(os.urandom(100_000))
    cut = SharedBuffer(os.open(path, os.O_RDONLY))
    assert cut.digest
    os.truncate(path, 10)
    too_large = entry("large", bytes(2_000_000))
    with pytest.raises(StorageError, match="shorter"):
        table.put_all(
            [entry("a"), too_large, NewEntry("cut", Entry(cut)), entry("b", bytes(50_000))]
        )
    assert [key for key in ("a", "large", "cut", "b") if table.get(key)] == ["a", "b"]
    table.put_all([entry("b", bytes(50_000)), too_large])
    assert table.get("b") is not None
    assert not list((tmp_path / "staging").iterdir())
    table.close()


def read(found: Entry) -> bytes:
    return found.body.read() if isinstance(found.body, SharedBuffer) else found.body
