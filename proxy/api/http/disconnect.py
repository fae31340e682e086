"""Stop working for a client that has closed its connection."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from starlette.types import Receive

T = TypeVar("T")

LISTEN_DELAY = 0.05
"""Seconds until a task starts to listen for the disconnect: hits are done by then, and the second
task would make the images endpoint a third slower for them."""


class ClientDisconnected(Exception):
    """The client closed the connection before the response started."""


async def cancel_on_disconnect(receive: Receive, work: Awaitable[T]) -> T:
    """Await the work; cancel it and raise ClientDisconnected when the client disconnects.

    Work that others wait for too goes on in its single flight.
    """
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine is run by a task
    disconnected = False
    listener: asyncio.Task[None] | None = None

    async def listen() -> None:
        nonlocal disconnected
        while (await receive())["type"] != "http.disconnect":
            pass
        disconnected = True
        task.cancel()

    def start_listening() -> None:
        nonlocal listener
        listener = asyncio.ensure_future(listen())

    timer = asyncio.get_running_loop().call_later(LISTEN_DELAY, start_listening)
    try:
        return await work
    except asyncio.CancelledError:
        if disconnected:
            task.uncancel()
            raise ClientDisconnected from None
        raise
    finally:
        timer.cancel()
        if listener is not None:
            listener.cancel()
