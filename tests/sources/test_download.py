"""Downloads and their memory budget."""

import asyncio
import gc
import hashlib
import threading

import pytest

from proxy.errors import Overloaded, SourceTooLarge
from proxy.originals import Original, OriginMetadata
from proxy.runtime.caller import Caller, Deadline, serving
from proxy.sources.download import DownloadBudget

pytestmark = pytest.mark.anyio


def test_the_written_bytes_are_the_original() -> None:
    with DownloadBudget(10).start() as download:
        download.write(b"hel")
        download.write(b"lo")
        original = download.finish(OriginMetadata(ttl=1))
    assert original.body.read() == b"hello"
    assert original.digest == hashlib.sha256(b"hello").hexdigest()
    assert original.metadata == OriginMetadata(ttl=1)


async def test_one_original_is_limited_by_its_announced_and_its_actual_size() -> None:
    with DownloadBudget(10).start() as download:
        await download.expect(10)
        download.write(bytes(10))
        with pytest.raises(SourceTooLarge, match="larger than 10 bytes"):
            download.write(b"1")
        with pytest.raises(SourceTooLarge):
            await download.expect(11)
        assert download.size == 10


async def download(budget: DownloadBudget, size: int) -> Original:
    await budget.wait_for_room()
    with budget.start() as one:
        await one.expect(size)
        one.write(bytes(size))
        return one.finish(OriginMetadata())


async def test_a_download_waits_until_another_original_is_not_needed_any_more() -> None:
    budget = DownloadBudget(10, max_inflight_bytes=15)
    first = [await download(budget, 10)]
    second = asyncio.create_task(download(budget, 10))
    await asyncio.sleep(0)
    third = asyncio.create_task(download(budget, 1))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not second.done()
    assert not third.done()  # it comes later, although it would fit
    first.clear()
    gc.collect()
    sizes = [len(one.body) for one in await asyncio.gather(second, third)]
    assert sizes == [10, 1]
    del second, third
    await asyncio.sleep(0)  # until then the loop holds the result that it woke this task with
    gc.collect()
    assert budget.memory.used_bytes == 0


async def test_one_host_takes_half_of_the_memory() -> None:
    budget = DownloadBudget(10, max_inflight_bytes=40)
    with budget.start("slow") as first, budget.start("slow") as second:
        await first.expect(10)
        await second.expect(10)
        with serving(Caller("", Deadline(0.001))), pytest.raises(Overloaded, match="one host"):
            await budget.wait_for_room("slow")
        with serving(Caller("", Deadline(0.001))), pytest.raises(Overloaded, match="one host"):
            await budget.start("slow").expect(1)
        await budget.wait_for_room("other")
        with budget.start("other") as third:
            await third.expect(10)
    assert budget.memory.used_bytes == 0
    await budget.wait_for_room("slow")


async def test_an_original_of_unknown_size_is_refused_where_there_is_no_memory_for_it() -> None:
    budget = DownloadBudget(10, max_inflight_bytes=15)
    with budget.start() as first:
        first.write(bytes(10))
        with budget.start() as second:
            second.write(bytes(5))
            with pytest.raises(Overloaded, match="unknown size"):
                second.write(b"1")
    with budget.start() as third, budget.start() as fourth:
        third.write(bytes(10))
        fourth.write(bytes(5))


async def test_originals_of_unknown_size_take_turns_where_memory_is_short() -> None:
    budget = DownloadBudget(10, max_inflight_bytes=15)
    most = 0

    async def receive(host: str) -> int:
        nonlocal most
        with budget.start(host) as one:
            for _ in range(10):
                await one.add(b"1")
                await asyncio.sleep(0)  # the others go on, too
                most = max(most, budget.memory.used_bytes)
            return one.finish(OriginMetadata()).body.size

    hosts = ["one", "other", "one", ""] * 5
    assert await asyncio.gather(*map(receive, hosts)) == [10] * len(hosts)
    assert 15 < most <= 25
    gc.collect()
    assert budget.memory.used_bytes == 0
    assert not budget.turn.locked()


async def test_who_waits_for_a_turn_is_refused_at_the_deadline() -> None:
    budget = DownloadBudget(10, max_inflight_bytes=10)
    with budget.start() as first, budget.start() as second, budget.start() as third:
        await first.add(bytes(9))
        await second.add(b"1")
        await first.add(b"1")  # has the turn, and more than the budget
        with serving(Caller("", Deadline(0.001))), pytest.raises(Overloaded, match="unknown size"):
            await third.add(b"1")
        with pytest.raises(SourceTooLarge):
            await first.add(b"1")
    with budget.start() as next_one:
        await next_one.add(bytes(10))
    assert budget.memory.used_bytes == 0


async def test_who_waits_for_memory_is_refused_at_the_deadline() -> None:
    budget = DownloadBudget(10, max_inflight_bytes=10)
    first = await download(budget, 10)
    with serving(Caller("", Deadline(0.001))), pytest.raises(Overloaded, match="no room"):
        await download(budget, 1)
    assert budget.memory.used_bytes == len(first.body)


async def test_a_thread_waits_for_memory_too() -> None:
    budget = DownloadBudget(10, max_inflight_bytes=10)
    first = [await download(budget, 10)]
    loop, waiting = asyncio.get_running_loop(), threading.Event()

    def read() -> int:
        with budget.start() as one:
            waiting.set()
            one.expect_in_thread(10, loop, 60)
            one.write(bytes(10))
            return one.size

    reading = asyncio.create_task(asyncio.to_thread(read))
    await asyncio.to_thread(waiting.wait)
    first.clear()
    assert await reading == 10
    assert budget.memory.used_bytes == 0


def test_a_failed_download_releases_its_memory() -> None:
    budget = DownloadBudget(10, max_inflight_bytes=10)
    with budget.start() as failing:
        failing.write(bytes(10))
        with pytest.raises(SourceTooLarge):
            failing.write(b"1")
    with budget.start() as next_one:
        next_one.write(bytes(10))
