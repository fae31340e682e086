"""The budget for request bodies in memory."""

import asyncio

import pytest
from starlette.requests import Request

from proxy.api.http.upload_budget import UploadBudget
from proxy.errors import Overloaded

pytestmark = pytest.mark.anyio


def request(length: str | None = None) -> Request:
    headers = [(b"content-length", length.encode())] if length is not None else []
    return Request({"type": "http", "headers": headers})


async def reserve(
    budget: UploadBudget, length: str | None, done: asyncio.Event, order: list[str | None]
) -> None:
    async with budget.reserve(request(length), 100):
        order.append(length)
        await done.wait()


async def run_tasks() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_first_come_first_served() -> None:
    budget, done, order = UploadBudget(100), asyncio.Event(), list[str | None]()
    tasks = [
        asyncio.create_task(reserve(budget, length, done, order))
        for length in ("60", "70", "30", "10")
    ]
    await run_tasks()
    assert order == ["60"]  # 30 would fit, but then 70 could wait without end
    done.set()
    await asyncio.gather(*tasks)
    assert order == ["60", "70", "30", "10"]


@pytest.mark.parametrize("length", [None, "x", "9" * 30, "٣"])
async def test_an_unknown_length_reserves_the_largest_body(length: str | None) -> None:
    budget = UploadBudget(100, timeout_seconds=0.001)
    async with budget.reserve(request(length), 100):
        with pytest.raises(Overloaded):
            async with budget.reserve(request("1"), 100):
                raise AssertionError


async def test_a_body_larger_than_the_budget_reserves_all_of_it() -> None:
    async with UploadBudget(10).reserve(request("1000"), 5000):
        pass


async def test_a_cancelled_waiter_lets_the_next_one_pass() -> None:
    budget, done, order = UploadBudget(100), asyncio.Event(), list[str | None]()
    first = asyncio.create_task(reserve(budget, "90", done, order))
    await run_tasks()
    second = asyncio.create_task(reserve(budget, "80", done, order))
    third = asyncio.create_task(reserve(budget, "5", done, order))
    await run_tasks()
    assert order == ["90"]
    second.cancel()
    await run_tasks()
    assert order == ["90", "5"]
    done.set()
    await asyncio.gather(first, third)
    async with budget.reserve(request("100"), 100):
        pass


@pytest.mark.parametrize("released_before", [False, True])
async def test_a_waiter_may_be_cancelled_in_the_moment_of_a_release(released_before: bool) -> None:
    budget, done, order = UploadBudget(100), asyncio.Event(), list[str | None]()
    first = asyncio.create_task(reserve(budget, "100", done, order))
    await run_tasks()
    second = asyncio.create_task(reserve(budget, "100", done, order))
    await run_tasks()
    done.set()
    if released_before:
        await asyncio.sleep(0)
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    await first
    async with budget.reserve(request("100"), 100):
        pass


async def test_a_waiter_is_rejected_after_the_timeout() -> None:
    budget = UploadBudget(100, timeout_seconds=0.001)
    async with budget.reserve(request("100"), 100):
        with pytest.raises(Overloaded) as caught:
            async with budget.reserve(request("1"), 100):
                raise AssertionError
    assert caught.value.retry_after == 5
    async with budget.reserve(request("100"), 100):
        pass
