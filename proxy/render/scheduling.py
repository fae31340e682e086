"""Choose which priority a render process serves next.

Cheap tasks never wait behind expensive ones, and neither kind starves the other.
"""

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Literal, get_args

Priority = Literal["interactive", "expensive", "background"]
"""``interactive``: a caller waits for a cheap task. ``expensive``: a caller waits for a long task.
``background``: nobody waits."""

PRIORITIES: tuple[Priority, ...] = get_args(Priority)

_HALF_LIFE_SECONDS = 10.0
"""Seconds of work after which the time that was charged before counts half."""


def priorities_for_slot(
    slot: int, process_count: int, *, reserve_first: bool = True
) -> Sequence[Priority]:
    """Of several render processes, the first serves interactive tasks only, the others all.

    Without ``reserve_first`` each serves all: where nobody waits, none must be kept free.
    """
    if slot > 0 or process_count == 1 or not reserve_first:
        return PRIORITIES
    return ("interactive",)


class FairScheduler:
    """Prefers the priority that was charged the least time lately.

    Background tasks go last however little they were charged, because nobody waits for them.
    """

    def __init__(self, priorities: Sequence[Priority]) -> None:
        self.priorities = priorities
        self._charged = dict.fromkeys(priorities, 0.0)

    def next_order(self) -> Sequence[Priority]:
        """All priorities, the one to serve first in front."""
        return sorted(
            self.priorities,
            key=lambda priority: (priority == "background", self._charged[priority]),
        )

    def charge(self, priority: Priority, seconds: float) -> None:
        decay = 0.5 ** (seconds / _HALF_LIFE_SECONDS)
        for other in self.priorities:
            self._charged[other] *= decay
        self._charged[priority] += seconds


_FORGIVE_SECONDS = 60.0
"""Seconds after which the time that a client has cost counts half."""

_MIN_FAILURES = 1.5
"""One failure may be chance; two within about a minute are not."""

_CRASH_SECONDS = 1.0
"""What a crash costs at least, however soon it came: a process is replaced."""

_MAX_CLIENTS = 1024


class _Record:
    def __init__(self) -> None:
        self.failures = self.wasted = self.useful = 0.0
        self.updated_at = -math.inf


class FailureTracker:
    """Knows the clients whose tasks crash render processes or run into the render deadline.

    A client that gets more of this than of results has its tasks run at the priority
    ``background`` for a while: they cost others at most the processes that serve it, and only while
    nothing else waits there.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._records: OrderedDict[str, _Record] = OrderedDict()

    def record_failure(self, client: str, seconds: float) -> None:
        """Count a task that crashed or was killed after ``seconds``."""
        self._records.setdefault(client, _Record())
        record = self._current(client)
        record.failures += 1
        record.wasted += max(seconds, _CRASH_SECONDS)
        self._records.move_to_end(client)
        if len(self._records) > _MAX_CLIENTS:
            self._records.popitem(last=False)

    def record_success(self, client: str, seconds: float) -> None:
        if client in self._records:
            self._current(client).useful += seconds

    def is_penalized(self, client: str) -> bool:
        if client not in self._records:
            return False
        record = self._current(client)
        return record.failures >= _MIN_FAILURES and record.wasted > record.useful

    def _current(self, client: str) -> _Record:
        record, now = self._records[client], self._clock()
        decay = 0.5 ** ((now - record.updated_at) / _FORGIVE_SECONDS)
        record.failures *= decay
        record.wasted *= decay
        record.useful *= decay
        record.updated_at = now
        return record
