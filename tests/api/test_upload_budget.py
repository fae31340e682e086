"""Room for bodies."""

import asyncio

import pytest
from starlette.requests import Request

from proxy.api.http.upload_budget import UploadBudget
from proxy.errors import Overloaded

pytestmark = pytest.mark.anyio


def request(length: str | None = None) -> Request:
    headers = [(b"content-length", length.encode())] if length is not None else []
    return Request({"type": "http", "headers": headers})


async def held(room: UploadBudget, length: str | None, go: asyncio.Event, order: list[str | None]) -> None:
    async with room.reserve(request(length), 100):
        order.append(length)
        await go.wait()


async def turn() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_first_come_first_served() -> None:
    room, go, order = UploadBudget(100), asyncio.Event(), list[str | None]()
    tasks = [asyncio.create_task(held(room, one, go, order)) for one in ("60", "70", "30", "10")]
    await turn()
    assert order == ["60"]  # 30 would fit, but it would keep 70 waiting for ever
    go.set()
    await asyncio.gather(*tasks)
    assert order == ["60", "70", "30", "10"]


@pytest.mark.parametrize("length", [None, "x", "9" * 30, "٣"])
async def test_a_length_that_is_not_told_is_the_largest(length: str | None) -> None:
    room = UploadBudget(100, wait_seconds=0.001)
    async with room.reserve(request(length), 100):
        with pytest.raises(Overloaded):
            async with room.reserve(request("1"), 100):
                raise AssertionError


async def test_what_is_larger_than_all_room_is_let_in_alone() -> None:
    async with UploadBudget(10).reserve(request("1000"), 5000):
        pass


async def test_who_gives_up_leaves_room_for_others() -> None:
    room, go, order = UploadBudget(100), asyncio.Event(), list[str | None]()
    first = asyncio.create_task(held(room, "90", go, order))
    await turn()
    second = asyncio.create_task(held(room, "80", go, order))
    third = asyncio.create_task(held(room, "5", go, order))
    await turn()
    assert order == ["90"]
    second.cancel()
    await turn()
    assert order == ["90", "5"]
    go.set()
    await asyncio.gather(first, third)
    async with room.reserve(request("100"), 100):
        pass


async def test_who_waits_too_long_is_told_when_to_come_again() -> None:
    room = UploadBudget(100, wait_seconds=0.001)
    async with room.reserve(request("100"), 100):
        with pytest.raises(Overloaded) as caught:
            async with room.reserve(request("1"), 100):
                raise AssertionError
    assert caught.value.retry_after == 5
    async with room.reserve(request("100"), 100):
        pass
