"""Which deliveries are due, and whose turn it is: only their names are in memory.

Clients take turns. A client, and a receiver, have a share of the places, so that one that is slow
does not hold all of them. A receiver that does not answer is held back.
"""

import asyncio
import heapq
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable

from proxy.api.transform.queue import ScheduledItem

_MAX_SLEEP_SECONDS = 30.0
"""Due times are wall-clock times, and somebody may set that clock."""


class Schedule:
    """Up to ``max_names`` names by their due time; ``clock`` is in Unix seconds."""

    def __init__(
        self,
        max_names: int,
        *,
        max_per_client: int = 4,
        max_per_receiver: int = 2,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``max_per_client`` and ``max_per_receiver`` items are worked on at the same time."""
        self._max_names = max_names
        self._max_per_client = max_per_client
        self._max_per_receiver = max_per_receiver
        self._clock = clock
        self._heap: list[ScheduledItem] = []
        self._due: OrderedDict[str, OrderedDict[str, deque[ScheduledItem]]] = OrderedDict()
        """By client, and by receiver; who had a turn last is at the end."""
        self._names: set[str] = set()
        self._names_by_client: Counter[str] = Counter()
        self._working_by_client: Counter[str] = Counter()
        self._working_by_receiver: Counter[str] = Counter()
        self._held_until: dict[str, float] = {}
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        """The number of names that wait or are worked on."""
        return len(self._names)

    def add(self, item: ScheduledItem) -> None:
        """Add a name that is not there yet. A full schedule drops it."""
        share = self._max_names // 2 if item.client else self._max_names
        if (
            item.name in self._names
            or len(self._names) >= self._max_names
            or self._names_by_client[item.client] >= share
        ):
            return
        self._names.add(item.name)
        self._names_by_client[item.client] += 1
        heapq.heappush(self._heap, item)
        if self._heap[0] is item:
            self._changed.set()

    async def next_due(self) -> ScheduledItem:
        """Return the item whose turn it is, once there is one. Call `done` afterwards."""
        while (item := self._take()) is None:
            self._changed.clear()
            seconds = self._heap[0].due_at - self._clock() if self._heap else _MAX_SLEEP_SECONDS
            try:
                async with asyncio.timeout(min(seconds, _MAX_SLEEP_SECONDS)):
                    await self._changed.wait()
            except TimeoutError:
                pass
        return item

    def done(self, item: ScheduledItem) -> None:
        """Give the places of an item to others."""
        self._names.discard(item.name)
        for counter, key in (
            (self._names_by_client, item.client),
            (self._working_by_client, item.client),
            (self._working_by_receiver, item.receiver),
        ):
            counter[key] -= 1
            if not counter[key]:
                del counter[key]
        self._changed.set()

    def hold(self, receiver: str, seconds: float) -> None:
        """Begin nothing for a receiver for that long; 0 ends it."""
        self._held_until.pop(receiver, None)
        if seconds > 0:
            self._held_until[receiver] = self._clock() + seconds
        self._changed.set()

    def _take(self) -> ScheduledItem | None:
        now = self._clock()
        self._held_until = {key: until for key, until in self._held_until.items() if until > now}
        while self._heap and self._heap[0].due_at <= now:
            item = heapq.heappop(self._heap)
            receivers = self._due.setdefault(item.client, OrderedDict())
            receivers.setdefault(item.receiver, deque()).append(item)
        for client in list(self._due):
            if self._working_by_client[client] >= self._max_per_client:
                continue
            if (taken := self._take_of_client(client)) is not None:
                self._working_by_client[client] += 1
                self._working_by_receiver[taken.receiver] += 1
                return taken
        return None

    def _take_of_client(self, client: str) -> ScheduledItem | None:
        """Take the next item, and let other receivers and clients have the next turns."""
        receivers = self._due[client]
        taken = None
        for receiver in list(receivers):
            if (until := self._held_until.get(receiver)) is not None:
                for item in receivers.pop(receiver):
                    heapq.heappush(self._heap, item._replace(due_at=until))
            elif self._working_by_receiver[receiver] < self._max_per_receiver:
                taken = receivers[receiver].popleft()
                receivers.move_to_end(receiver)
                if not receivers[receiver]:
                    del receivers[receiver]
                self._due.move_to_end(client)
                break
        if not receivers:
            del self._due[client]
        return taken
