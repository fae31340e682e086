"""Decide in an HTTP worker which task goes to the render processes next, and which cannot wait.

Tasks wait here, and only about as many as there are render processes lie in the kernel's sockets,
so the order is decided here. Each priority has a queue of its own:

1. Clients take turns (`FairQueue`): 10,000 tasks of one delay the next task of another by one.
2. A queue measures how fast it moves (`PaceMeter`). A task that could not be finished before the
   deadline of its caller is rejected immediately. Until something is measured, all are admitted.
3. A task that is cancelled leaves the queue.
"""

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from types import TracebackType
from typing import Generic, Self, TypeVar

from proxy.errors import Overloaded
from proxy.render.scheduling import PRIORITIES, Priority, priorities_for_slot
from proxy.runtime.caller import Caller

Item = TypeVar("Item")

MAX_RETRY_AFTER_SECONDS = 300

_MIN_OBSERVATIONS = 8
_AVERAGE_OVER = 64
"""How many of the last observations count, about."""

_MAX_JUMP = 4.0
"""An observation counts at most this many times the mean: a pause of the machine is no pace."""

_FORGET_SECONDS = 60.0
"""After this time without an observation, the next spike may be of other work."""


class FairQueue(Generic[Item]):
    """Items of clients that take turns; the items of one client stay in order.

    With k clients waiting, the n-th item of a client leaves after at most (k - 1) * n items of
    others that were pushed before or after it.
    """

    def __init__(self) -> None:
        self._turns: OrderedDict[str, OrderedDict[Item, None]] = OrderedDict()
        self._size = 0
        self._longer: list[int] = []
        """How many clients have more than n items, by n."""

    def __len__(self) -> int:
        return self._size

    def push(self, client: str, item: Item) -> None:
        items = self._turns.setdefault(client, OrderedDict())
        if len(items) == len(self._longer):
            self._longer.append(0)
        self._longer[len(items)] += 1
        items[item] = None
        self._size += 1

    def pop(self) -> Item:
        """Remove the next item. Raises IndexError if there is none."""
        if not self._turns:
            raise IndexError("pop from an empty queue")
        client, items = next(iter(self._turns.items()))
        item, _ = items.popitem(last=False)
        self._shrunk(client, items)
        if items:
            self._turns.move_to_end(client)
        return item

    def remove(self, client: str, item: Item) -> bool:
        """Remove an item that need not wait any longer; False if it has left the queue."""
        items = self._turns.get(client)
        if items is None or item not in items:
            return False
        del items[item]
        self._shrunk(client, items)
        return True

    def ahead_of(self, client: str) -> int:
        """How many items would leave before one that this client pushed now.

        It may be one less for each other client, whose turn is after this one's.
        """
        own = len(self._turns.get(client, ()))
        return self._size if own + 1 >= len(self._longer) else sum(self._longer[: own + 1])

    def _shrunk(self, client: str, items: OrderedDict[Item, None]) -> None:
        self._size -= 1
        self._longer[len(items)] -= 1
        if not self._longer[-1]:
            self._longer.pop()
        if not items:
            del self._turns[client]


class PaceMeter:
    """A moving average of seconds; it starts again after a minute without an observation."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._mean = 0.0
        self._count = 0
        self._observed_at = -math.inf

    def observe(self, seconds: float) -> None:
        now = self._clock()
        if now - self._observed_at > _FORGET_SECONDS:
            self._mean, self._count = 0.0, 0
        self._observed_at = now
        if self._count >= _MIN_OBSERVATIONS:
            seconds = min(seconds, self._mean * _MAX_JUMP)
        self._count = min(self._count + 1, _AVERAGE_OVER)
        self._mean += (seconds - self._mean) / self._count

    def mean(self) -> float | None:
        """None as long as too little has been observed."""
        is_old = self._clock() - self._observed_at > _FORGET_SECONDS
        return None if self._count < _MIN_OBSERVATIONS or is_old else self._mean


class AdmissionQueue:
    """The tasks of one priority: those that wait, and up to ``places`` at the render processes."""

    def __init__(self, places: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._places = places
        self._clock = clock
        self._free = places
        self._waiting: FairQueue[asyncio.Future[None]] = FairQueue()
        self._pace = PaceMeter(clock)
        """Time between two tasks that leave their place, while others wait."""
        self._duration = PaceMeter(clock)
        """Time that a task has its place."""
        self._last_left_at: float | None = None
        """When a place became free, or the first task began to wait; None while none waits."""

    def __len__(self) -> int:
        return len(self._waiting)

    def wait_seconds(self, client: str | None = None) -> float:
        """How long the next task of a client would wait; for None, one at the very end."""
        if not self._waiting:
            return 0.0
        ahead = len(self._waiting) if client is None else self._waiting.ahead_of(client)
        return (ahead + 1) * (self._pace.mean() or 0.0)

    def rejection(self, caller: Caller) -> Overloaded | None:
        """Why a task of this caller could not be finished in time, if it could not."""
        seconds = self.wait_seconds(caller.client) + (self._duration.mean() or 0.0)
        if seconds <= caller.deadline.remaining():
            return None
        return self._overloaded(caller, "render queue too long")

    def timeout_error(self, caller: Caller) -> Overloaded:
        """The error of a caller whose deadline passes in this queue."""
        return self._overloaded(caller, "render queue timeout")

    async def enter(self, caller: Caller) -> float:
        """Wait for a place; returns when that was, for `leave`. Raises Overloaded."""
        if self._free and not self._waiting:
            self._free -= 1
            return self._clock()
        rejection = self.rejection(caller)
        if rejection is not None:
            raise rejection
        place = asyncio.get_running_loop().create_future()
        if not self._waiting:
            self._last_left_at = self._clock()
        self._waiting.push(caller.client, place)
        try:
            await place
        except asyncio.CancelledError:
            if place.cancelled():
                self._waiting.remove(caller.client, place)
            else:  # it was given at the moment of the cancellation
                self._free += 1
                self._admit()
            raise
        if caller.deadline.remaining() < (self._duration.mean() or 0.0) / 2:
            # It would be killed at the deadline: the place is worth more to the next one.
            self._free += 1
            self._admit()
            raise self.timeout_error(caller)
        return self._clock()

    def leave(self, entered_at: float) -> None:
        """Give the place to the next task."""
        now = self._clock()
        self._duration.observe(now - entered_at)
        if self._last_left_at is not None:
            self._pace.observe(now - self._last_left_at)
        self._last_left_at = now if self._waiting else None
        self._free += 1
        self._admit()

    def _admit(self) -> None:
        while self._free and self._waiting:
            place = self._waiting.pop()
            if not place.done():
                self._free -= 1
                place.set_result(None)

    def _overloaded(self, caller: Caller, reason: str) -> Overloaded:
        """Retry when the queue is short enough that a caller with the same time is served."""
        wait = self.wait_seconds(caller.client)
        too_long = wait + (self._duration.mean() or 0.0) - caller.deadline.seconds
        return Overloaded(
            f"{reason}: {len(self._waiting)} tasks are waiting, which takes about {wait:.0f} s; "
            f"the request may take {caller.deadline.seconds:g} s",
            retry_after=round(min(max(1.0, math.ceil(too_long)), MAX_RETRY_AFTER_SECONDS)),
        )


class Admission:
    """The queues of one HTTP worker."""

    def __init__(
        self,
        process_count: int,
        clock: Callable[[], float] = time.monotonic,
        *,
        reserve_first: bool = True,
    ) -> None:
        """``process_count`` render processes, which other workers may use as well.

        ``reserve_first`` is that of `priorities_for_slot`.
        """
        serving = [
            priorities_for_slot(slot, process_count, reserve_first=reserve_first)
            for slot in range(process_count)
        ]
        # Twice the processes: each finds its next task in the socket, and waits for no worker.
        self._queues = {
            priority: AdmissionQueue(2 * sum(priority in served for served in serving), clock)
            for priority in PRIORITIES
        }

    def queue(self, priority: Priority) -> AdmissionQueue:
        return self._queues[priority]

    def place(self, priority: Priority, caller: Caller) -> "Place":
        return Place(self._queues[priority], caller)


class Place:
    """A place of a queue: taken once, given back at the end of the block."""

    def __init__(self, queue: AdmissionQueue, caller: Caller) -> None:
        self._queue = queue
        self.caller = caller
        self._entered_at: float | None = None

    def timeout_error(self) -> Overloaded:
        """The error of the caller if its deadline passes before its task has started."""
        return self._queue.timeout_error(self.caller)

    async def take(self) -> None:
        """Wait for it, unless it is taken. Raises Overloaded."""
        if self._entered_at is None:
            self._entered_at = await self._queue.enter(self.caller)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._entered_at is not None:
            self._queue.leave(self._entered_at)
