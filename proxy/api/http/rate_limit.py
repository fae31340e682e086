"""How often a key may ask: a window of a minute that slides along."""

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from math import ceil

from msgspec import Struct

MINUTE = 60.0
_MOST_KEYS = 1024


class Turn(Struct, frozen=True):
    """Whether a request may go on.

    ``reset`` is the Unix second at which a place comes free, ``wait`` the seconds until then.
    """

    granted: bool
    remaining: int
    reset: int
    wait: int


class Rates:
    """Counts in this process alone: each worker grants as many."""

    def __init__(self, per_minute: int, now: Callable[[], float] = time.time) -> None:
        self.per_minute = per_minute
        self._now = now
        self._asked: OrderedDict[str, deque[float]] = OrderedDict()

    def take(self, key: str) -> Turn:
        """Take a turn; one that is not granted does not count."""
        now = self._now()
        asked = self._asked.setdefault(key, deque())
        self._asked.move_to_end(key)
        if len(self._asked) > _MOST_KEYS:
            self._asked.popitem(last=False)
        while asked and asked[0] <= now - MINUTE:
            asked.popleft()
        granted = len(asked) < self.per_minute
        if granted:
            asked.append(now)
        free = asked[0] + MINUTE
        return Turn(granted, self.per_minute - len(asked), ceil(free), max(1, ceil(free - now)))
