"""Work ends when the one who asked for it has gone; what others wait for goes on in its flight."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from starlette.types import Receive

T = TypeVar("T")

GRACE = 0.05
"""Seconds before somebody starts to listen for the caller: hits are done by then, and a second
task would make the images face a third slower for them."""


class CallerLeft(Exception):
    """The connection was closed before there was an answer."""


async def unless_left(receive: Receive, work: Awaitable[T]) -> T:
    """What the work returns. Raises CallerLeft, and cancels the work, when the caller leaves."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine is run by a task
    left = False
    listener: asyncio.Task[None] | None = None

    async def listen() -> None:
        nonlocal left
        while (await receive())["type"] != "http.disconnect":
            pass
        left = True
        task.cancel()

    def begin() -> None:
        nonlocal listener
        listener = asyncio.ensure_future(listen())

    timer = asyncio.get_running_loop().call_later(GRACE, begin)
    try:
        return await work
    except asyncio.CancelledError:
        if left:
            task.uncancel()
            raise CallerLeft from None
        raise
    finally:
        timer.cancel()
        if listener is not None:
            listener.cancel()
