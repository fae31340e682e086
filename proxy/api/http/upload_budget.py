"""Room for request bodies: so many bytes at a time, all faces of a worker together.

Who finds none waits with its body unread, so that the sender waits too and not our memory.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.requests import Request

from proxy.errors import Overloaded


class Room:
    def __init__(self, most_bytes: int, *, wait_seconds: float = 10.0) -> None:
        self._most = most_bytes
        self._free = most_bytes
        self._wait_seconds = wait_seconds
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def taken(self, request: Request, most: int) -> AsyncIterator[None]:
        """Room for the body of a request, or for ``most`` bytes where its length is not told.

        First come, first served. Raises Overloaded after a while.
        """
        told = request.headers.get("content-length", "")
        need = int(told) if told.isascii() and told.isdigit() and len(told) < 18 else most
        need = min(need, most, self._most)
        await self._take(need)
        try:
            yield
        finally:
            self._free += need
            self._pass_on()

    async def _take(self, need: int) -> None:
        if not self._waiting and need <= self._free:
            self._free -= need
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((need, turn))
        try:
            async with asyncio.timeout(self._wait_seconds):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self._free += need  # it was ours already
            else:
                self._waiting.remove((need, turn))
            self._pass_on()
            if isinstance(error, TimeoutError):
                message = "too much is being uploaded at the moment"
                raise Overloaded(message, retry_after=5) from error
            raise

    def _pass_on(self) -> None:
        while self._waiting and self._waiting[0][0] <= self._free:
            need, turn = self._waiting.popleft()
            if not turn.done():
                self._free -= need
                turn.set_result(None)
