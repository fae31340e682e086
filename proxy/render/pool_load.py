"""How many tasks of an HTTP worker wait for a render process, and how many run."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from proxy.render.scheduling import PRIORITIES, Priority


class PoolLoad:
    """Counts tasks, and tells who waits for a condition when a count has changed."""

    def __init__(self) -> None:
        self.queue_lengths: dict[Priority, int] = dict.fromkeys(PRIORITIES, 0)
        """Tasks that no process has started yet."""
        self.running = 0
        self._changes: set[asyncio.Event] = set()

    @property
    def waiting(self) -> int:
        return sum(self.queue_lengths.values())

    @property
    def is_idle(self) -> bool:
        """Whether no task waits or runs."""
        return not (self.running or self.waiting)

    @property
    def has_urgent_tasks(self) -> bool:
        """Whether a caller waits for a process."""
        return bool(self.queue_lengths["interactive"] or self.queue_lengths["expensive"])

    @contextmanager
    def count_waiting(self, priority: Priority) -> Iterator[None]:
        self.queue_lengths[priority] += 1
        self._tell()
        try:
            yield
        finally:
            self.queue_lengths[priority] -= 1
            self._tell()

    @contextmanager
    def count_running(self) -> Iterator[None]:
        self.running += 1
        self._tell()
        try:
            yield
        finally:
            self.running -= 1
            self._tell()

    async def wait_for(self, condition: Callable[["PoolLoad"], bool]) -> None:
        """Wait until the condition is true; it is checked after each change."""
        change = asyncio.Event()
        self._changes.add(change)
        try:
            while not condition(self):
                change.clear()
                await change.wait()
        finally:
            self._changes.remove(change)

    def _tell(self) -> None:
        for change in self._changes:
            change.set()
