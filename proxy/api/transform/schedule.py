"""Which deliveries are due, and when the next one will be: only their names are in memory."""

import asyncio
import heapq
import time
from collections.abc import Callable

from proxy.api.transform.queue import ScheduledItem

_MAX_SLEEP_SECONDS = 30.0
"""Due times are wall-clock times, and somebody may set that clock."""


class Schedule:
    """Up to ``max_names`` names by their due time; ``clock`` is in Unix seconds."""

    def __init__(self, max_names: int, *, clock: Callable[[], float] = time.time) -> None:
        self._max_names = max_names
        self._clock = clock
        self._heap: list[ScheduledItem] = []
        self._names: set[str] = set()
        self._added = asyncio.Event()

    def __len__(self) -> int:
        return len(self._names)

    def add(self, item: ScheduledItem) -> None:
        """Add a name that is not there yet. A full schedule drops it."""
        if item.name in self._names or len(self._names) >= self._max_names:
            return
        heapq.heappush(self._heap, item)
        self._names.add(item.name)
        if self._heap[0] is item:
            self._added.set()

    async def next_due(self) -> str:
        """Remove and return the name that is due first, once it is due."""
        while not self._heap or self._heap[0].due_at > self._clock():
            self._added.clear()
            seconds = self._heap[0].due_at - self._clock() if self._heap else _MAX_SLEEP_SECONDS
            try:
                async with asyncio.timeout(min(seconds, _MAX_SLEEP_SECONDS)):
                    await self._added.wait()
            except TimeoutError:
                pass
        name = heapq.heappop(self._heap).name
        self._names.discard(name)
        return name
