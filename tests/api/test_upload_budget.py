"""The bytes that request bodies may hold at the same time."""

import asyncio
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.api.http.upload_budget import UploadBudget, UploadHold

pytestmark = pytest.mark.anyio


@pytest.fixture
def budget() -> UploadBudget:
    return UploadBudget(100, "bytes")


async def run_tasks() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def start(hold: UploadHold, size: int) -> asyncio.Task[None]:
    return asyncio.create_task(hold.take(size))


async def test_a_client_holds_at_most_half(budget: UploadBudget) -> None:
    holds = [budget.open("greedy") for _ in range(10)]
    tasks = [start(hold, 20) for hold in holds]
    await run_tasks()
    assert sum(task.done() for task in tasks) == 2
    await budget.open("other").take(50)
    holds[0].release()
    await run_tasks()
    assert sum(task.done() for task in tasks) == 3
    for hold in holds:
        hold.release()
    await asyncio.gather(*tasks)


async def test_first_come_first_served(budget: UploadBudget) -> None:
    first = budget.open("a")
    await first.take(50)
    await budget.open("b").take(40)
    late = [start(budget.open("c"), 20), start(budget.open("d"), 5)]
    await run_tasks()
    assert [task.done() for task in late] == [False, False]  # 5 would fit, but then 20 could starve
    first.release()
    await asyncio.gather(*late)


async def test_the_oldest_body_never_waits(budget: UploadBudget) -> None:
    oldest, younger = budget.open("a"), budget.open("b")
    await younger.take(50)
    await budget.open("c").take(50)
    await oldest.take(500)
    waiting = start(younger, 10)
    await run_tasks()
    assert not waiting.done()
    oldest.release()
    await waiting  # it is the oldest now


async def test_who_waits_leaves_without_a_trace(budget: UploadBudget) -> None:
    first, second, third = (budget.open(client) for client in "abc")
    await first.take(50)
    await second.take(50)
    waiting = start(third, 10)
    await run_tasks()
    waiting.cancel()
    await asyncio.wait([waiting])
    assert budget.waiting == 0
    third.release()
    assert budget.used_bytes == 100


@pytest.mark.parametrize("turns", range(4))
async def test_who_waits_may_leave_in_the_moment_of_a_release(
    budget: UploadBudget, turns: int
) -> None:
    first, second = budget.open("a"), budget.open("b")
    await first.take(100)
    waiting = start(second, 10)
    await run_tasks()
    first.release()
    for _ in range(turns):
        await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    second.release()
    assert budget.used_bytes == 0


def pieces(size: int) -> Iterator[int]:
    while size > 0:
        yield min(size, 7)
        size -= 7


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 90)), max_size=20))
def test_all_bodies_are_received_within_the_bound(bodies: list[tuple[str, int]]) -> None:
    """No body waits for one that waits for it, and the bound is exceeded by one body at most."""
    budget = UploadBudget(60, "bytes")
    most = 0

    async def receive(client: str, size: int) -> None:
        nonlocal most
        hold = budget.open(client)
        for piece in pieces(size):
            await hold.take(piece)
            most = max(most, budget.used_bytes)
            await asyncio.sleep(0)
        hold.release()

    async def receive_all() -> None:
        await asyncio.gather(*(receive(client, size) for client, size in bodies))

    asyncio.run(receive_all())
    assert most <= 60 + max((size for _, size in bodies), default=0)
    assert budget.used_bytes == 0
