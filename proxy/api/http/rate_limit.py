"""Limit the requests per API key with a sliding window of one minute."""

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from math import ceil

from msgspec import Struct

WINDOW_SECONDS = 60.0
_MAX_KEYS = 1024


class RateLimitResult(Struct, frozen=True):
    """Whether a request is allowed.

    ``reset_at`` is the Unix second at which the window has room for one more request,
    ``retry_after`` the seconds until then.
    """

    allowed: bool
    remaining: int
    reset_at: int
    retry_after: int


class RateLimiter:
    """Counts in this process only: each worker allows as many."""

    def __init__(self, per_minute: int, now: Callable[[], float] = time.time) -> None:
        self.per_minute = per_minute
        self._now = now
        self._requests: OrderedDict[str, deque[float]] = OrderedDict()

    def acquire(self, key: str) -> RateLimitResult:
        """Count a request of this key; one that is not allowed does not count."""
        now = self._now()
        requests = self._requests.setdefault(key, deque())
        self._requests.move_to_end(key)
        if len(self._requests) > _MAX_KEYS:
            self._requests.popitem(last=False)
        while requests and requests[0] <= now - WINDOW_SECONDS:
            requests.popleft()
        allowed = len(requests) < self.per_minute
        if allowed:
            requests.append(now)
        reset_at = requests[0] + WINDOW_SECONDS
        return RateLimitResult(
            allowed=allowed,
            remaining=self.per_minute - len(requests),
            reset_at=ceil(reset_at),
            retry_after=max(1, ceil(reset_at - now)),
        )
