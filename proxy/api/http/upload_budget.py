"""A bound on the bytes of request bodies that are held at the same time, taken as they arrive.

1. A body takes what has arrived of it, not what it announces: one that is slow holds little.
2. A client holds at most half, so that others find room.
3. What does not fit waits, first come, first served, with the rest of the body unread.
4. The oldest body never waits, nor does the oldest of a client for the share of this client. Else
   all could wait for each other. So the bound may be exceeded by the largest body.
"""

import asyncio
from collections import Counter, deque

from proxy.errors import Overloaded
from proxy.runtime.caller import current_caller

CLIENT_SHARE = 2
"""A client holds at most one of this many parts."""

_RETRY_AFTER_SECONDS = 5


class UploadBudget:
    """For one event loop."""

    def __init__(self, max_bytes: int, what: str) -> None:
        """``what`` names the bytes and their setting in the error of a wait that timed out."""
        self._max_bytes = max_bytes
        self._what = what
        self._holds: dict[UploadHold, None] = {}  # the oldest first
        self._used_by_client: Counter[str] = Counter()
        self._waiters: deque[tuple[UploadHold, int, asyncio.Future[None]]] = deque()
        self.used_bytes = 0

    def open(self, client: str) -> "UploadHold":
        """Begin a body; release what it holds at the end."""
        hold = UploadHold(self, client)
        self._holds[hold] = None
        return hold

    @property
    def waiting(self) -> int:
        """How many bodies wait."""
        return len(self._waiters)

    def fits(self, client: str, size: int) -> bool:
        """Return whether that many bytes of a client are within the bound and its share."""
        return self._fits_all(size) and self._fits_client(client, size)

    def add(self, hold: "UploadHold", size: int) -> None:
        hold.held_bytes += size
        self.used_bytes += size
        self._used_by_client[hold.client] += size

    def remove(self, hold: "UploadHold") -> None:
        self._holds.pop(hold, None)
        self.used_bytes -= hold.held_bytes
        self._used_by_client[hold.client] -= hold.held_bytes
        if not self._used_by_client[hold.client]:
            del self._used_by_client[hold.client]
        hold.held_bytes = 0
        self._wake()

    def may_take(self, hold: "UploadHold", size: int) -> bool:
        """Return whether the bytes are free for this body, and nobody waits for them."""
        blocked = any(not self._fits_all(needed) for _, needed, _ in self._waiters)
        return self._allows(hold, size) and (not blocked or self._is_oldest(hold))

    async def wait(self, hold: "UploadHold", size: int) -> None:
        """Wait until the bytes are taken. Raises Overloaded at the deadline of the caller."""
        granted = asyncio.get_running_loop().create_future()
        waiter = (hold, size, granted)
        self._waiters.append(waiter)
        deadline = current_caller().deadline
        try:
            with deadline.waiting(self._timeout_error):
                async with deadline.timeout():
                    await granted
        except BaseException as error:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
                self._wake()
            if isinstance(error, TimeoutError):
                raise self._timeout_error() from error
            raise  # what was granted meanwhile is released with the body

    def _wake(self) -> None:
        blocked = False
        for waiter in tuple(self._waiters):
            hold, size, granted = waiter
            if self._allows(hold, size) and (not blocked or self._is_oldest(hold)):
                self._waiters.remove(waiter)
                self.add(hold, size)
                if not granted.done():
                    granted.set_result(None)
            elif not self._fits_all(size):
                blocked = True

    def _allows(self, hold: "UploadHold", size: int) -> bool:
        return (self._fits_all(size) or self._is_oldest(hold)) and (
            self._fits_client(hold.client, size) or self._is_oldest_of_client(hold)
        )

    def _fits_all(self, size: int) -> bool:
        return self.used_bytes + size <= self._max_bytes

    def _fits_client(self, client: str, size: int) -> bool:
        return self._used_by_client[client] + size <= self._max_bytes // CLIENT_SHARE

    def _is_oldest(self, hold: "UploadHold") -> bool:
        return next(iter(self._holds), None) is hold

    def _is_oldest_of_client(self, hold: "UploadHold") -> bool:
        return next((other for other in self._holds if other.client == hold.client), None) is hold

    def _timeout_error(self) -> Overloaded:
        return Overloaded(
            f"no room for {self._what}: {self.used_bytes} of {self._max_bytes} bytes are in use, "
            f"of which one client may hold one part in {CLIENT_SHARE}",
            retry_after=_RETRY_AFTER_SECONDS,
        )


class UploadHold:
    """What one body holds of a budget."""

    def __init__(self, budget: UploadBudget, client: str) -> None:
        self._budget = budget
        self.client = client
        self.held_bytes = 0

    def try_take(self, size: int) -> bool:
        """Take bytes if they are within the bound and the share of the client."""
        if not (self._budget.fits(self.client, size) and self._budget.may_take(self, size)):
            return False
        self._budget.add(self, size)
        return True

    async def take(self, size: int) -> None:
        """Take bytes, and wait for them where there is no room. Raises Overloaded."""
        if self._budget.may_take(self, size):
            self._budget.add(self, size)
        else:
            await self._budget.wait(self, size)

    def release(self) -> None:
        """Give everything back."""
        self._budget.remove(self)
