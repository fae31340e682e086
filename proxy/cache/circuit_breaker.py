"""Stop using a store that does not answer, instead of waiting for it again and again.

A breaker is closed as long as all is well. The first call without an answer in time opens it: calls
that wait are given up, and new ones are not made. It closes after a while, but not before the calls
that were given up have ended: then the store answers again. So no request has to try it out.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Literal, Protocol, get_args

_log = logging.getLogger(__name__)

BreakerState = Literal["closed", "half_open", "open"]
BREAKER_STATES: tuple[BreakerState, ...] = get_args(BreakerState)


class Breaker(Protocol):
    """What others may know of a breaker: of this one, and of `FailureRateBreaker`."""

    @property
    def store(self) -> str: ...

    @property
    def skipped(self) -> int: ...

    @property
    def error(self) -> str: ...

    @property
    def state(self) -> BreakerState: ...


class CircuitBreaker:
    """``store`` names what it is for in logs and metrics; ``skipped`` counts calls not made."""

    def __init__(
        self, store: str, open_seconds: float, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.store = store
        self.skipped = 0
        self._open_seconds = open_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._reason = ""
        self._closes_at = 0.0
        self._unanswered = 0
        self._opened: asyncio.Future[None] | None = None

    @property
    def error(self) -> str:
        """Why the store is not used at the moment; empty where it is."""
        if self._reason and not self._unanswered and self._clock() >= self._closes_at:
            _log.warning("cache store used again: %s", self.store)
            self._reason = ""
        return self._reason

    @property
    def state(self) -> BreakerState:
        return "open" if self.error else "closed"

    def allows(self) -> bool:
        """Whether a call may be made. Where it may not, it counts as skipped."""
        if not self.error:
            return True
        self.skipped += 1
        return False

    def opened(self) -> "asyncio.Future[None]":
        """Done as soon as the breaker opens; for one event loop."""
        if self._opened is None or self._opened.done():
            self._opened = asyncio.get_running_loop().create_future()
        return self._opened

    def open(self, reason: str, unanswered: "Future[Any] | None" = None) -> None:
        """Open it, at least until the ``unanswered`` call has ended. In the event loop only."""
        self._closes_at = self._clock() + self._open_seconds
        if not self._reason:
            _log.warning(
                "cache store not used for %g s or more: %s, %s",
                self._open_seconds,
                self.store,
                reason,
            )
        self._reason = reason
        if unanswered is not None:
            with self._lock:
                self._unanswered += 1
            unanswered.add_done_callback(self._on_answer)
        if self._opened is not None and not self._opened.done():
            self._opened.set_result(None)

    def _on_answer(self, _: "Future[Any]") -> None:
        with self._lock:
            self._unanswered -= 1
