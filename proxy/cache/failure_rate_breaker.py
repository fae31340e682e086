"""Stop using a service for a while after too many of the last calls have failed.

A single slow or failed call changes nothing: the breaker opens when half of the last calls, and at
least five of them, have failed. After a while it is half-open: one call at a time tries the service
out, in the background, so that no request waits for it. Three that succeed in a row close it, one
that fails opens it again.
"""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from proxy.cache.circuit_breaker import BreakerState
from proxy.runtime.background import describe

_log = logging.getLogger(__name__)

WINDOW_CALLS = 20
MIN_FAILURES = 5
FAILURE_SHARE = 0.5
PROBES = 3

_MIN_OPEN_SECONDS = 0.05


class FailureRateBreaker:
    """``store`` names what it is for in logs and metrics; ``skipped`` counts calls not made."""

    def __init__(
        self,
        store: str,
        open_seconds: float,
        failures: tuple[type[Exception], ...],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``failures`` are the exceptions by which a call fails; others say nothing of it."""
        self.store = store
        self.skipped = 0
        self.error = ""
        """Why the service is not used at the moment; empty where it is."""
        self._open_seconds = max(open_seconds, _MIN_OPEN_SECONDS)
        self.failures = failures
        self._clock = clock
        self._window: deque[bool] = deque(maxlen=WINDOW_CALLS)  # whether each call failed
        self._probes_at = 0.0
        self._probing = False
        self._successes = 0
        self._changed = asyncio.Event()

    @property
    def state(self) -> BreakerState:
        if not self.error:
            return "closed"
        return "open" if self._clock() < self._probes_at else "half_open"

    def allows(self) -> bool:
        """Whether a call may be made that must not wait. Where it may not, it counts as skipped."""
        if not self.error:
            return True
        self.skipped += 1
        return False

    @contextmanager
    def call(self) -> Iterator[None]:
        """Make a call in the block, and count whether it fails."""
        with self._record(is_probe=False):
            yield

    @asynccontextmanager
    async def patient_call(self) -> AsyncIterator[None]:
        """Wait until a call may be made or is needed to try the service out; then as `call`."""
        while self.error and (self._probing or self.state == "open"):
            await self._wait_change(None if self._probing else self._probes_at - self._clock())
        is_probe = self._probing = bool(self.error)
        try:
            with self._record(is_probe=is_probe):
                yield
        finally:
            if is_probe:
                self._probing = False
                self._notify()

    async def wait_open(self) -> None:
        """Wait until it is not closed."""
        while not self.error:
            await self._wait_change(None)

    def probe_soon(self) -> None:
        """Try the service out now, where it is not used."""
        self._probes_at = 0.0
        self._notify()

    @contextmanager
    def _record(self, *, is_probe: bool) -> Iterator[None]:
        try:
            yield
        except self.failures as error:
            self._record_failure(describe(error), is_probe=is_probe)
            raise
        self._record_success(is_probe=is_probe)

    def _record_failure(self, reason: str, *, is_probe: bool) -> None:
        if self.error:
            if is_probe:
                self._open(reason)
            return  # the call began before others opened it
        self._window.append(True)
        failed = sum(self._window)
        if failed >= MIN_FAILURES and failed >= FAILURE_SHARE * len(self._window):
            _log.warning(
                "not used for %g s or more: %s, %d of the last %d calls failed, %s",
                self._open_seconds,
                self.store,
                failed,
                len(self._window),
                reason,
            )
            self._open(reason)

    def _record_success(self, *, is_probe: bool) -> None:
        if not self.error:
            self._window.append(False)
        elif is_probe:
            self._successes += 1
            if self._successes == PROBES:
                _log.warning("used again: %s", self.store)
                self.error = ""
                self._window.clear()
                self._notify()

    def _open(self, reason: str) -> None:
        self.error = reason
        self._successes = 0
        self._probes_at = self._clock() + self._open_seconds
        self._notify()

    def _notify(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def _wait_change(self, seconds: float | None) -> None:
        changed = self._changed
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await changed.wait()
