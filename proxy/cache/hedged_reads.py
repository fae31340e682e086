"""Send a read a second time where the first one takes longer than nearly all others.

Of many reads from a bucket a few take ten times as long as the rest, for no reason that lasts. So
after the time in which 95 % of the last reads were answered, or as soon as the first one failed, a
second one is sent, and the first answer counts ("The Tail at Scale", Dean and Barroso, 2013). At
most one read in twenty is sent twice, so that a bucket that is slow gets no more load than that.
"""

import asyncio
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

T = TypeVar("T")

MAX_SHARE: Final = 0.05
_BURST = 10.0
_SAMPLES, _MIN_SAMPLES = 100, 20
_PERCENTILE = 0.95
_MIN_DELAY_SECONDS = 0.005


class HedgedReads:
    """``outcomes`` counts second reads: ``won`` where it was answered first, else ``lost``."""

    def __init__(
        self, max_delay_seconds: float, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """A second read is sent after ``max_delay_seconds`` at the latest; at first always then."""
        self.outcomes: Counter[str] = Counter()
        self._max_delay_seconds = max_delay_seconds
        self._clock = clock
        self._durations: deque[float] = deque(maxlen=_SAMPLES)
        self._budget = _BURST

    @property
    def delay_seconds(self) -> float:
        """After how long a second read is sent."""
        if len(self._durations) < _MIN_SAMPLES:
            return self._max_delay_seconds
        ordered = sorted(self._durations)
        typical = ordered[int(_PERCENTILE * len(ordered))]
        return min(self._max_delay_seconds, max(_MIN_DELAY_SECONDS, typical))

    async def do(self, read: Callable[[], Awaitable[T]]) -> T:
        """The first result of one or two reads; the last error where all have failed."""
        self._budget = min(_BURST, self._budget + MAX_SHARE)
        started = self._clock()
        first = asyncio.ensure_future(read())
        reads = [first]
        try:
            await asyncio.wait(reads, timeout=self.delay_seconds)
            if not _succeeded(first) and self._budget >= 1:
                self._budget -= 1
                reads.append(asyncio.ensure_future(read()))
            done = await _first_success(reads)
            if len(reads) > 1:
                self.outcomes["lost" if done is first else "won"] += 1
            result = done.result()
            self._durations.append(self._clock() - started)
            return result
        finally:
            for one in reads:
                one.cancel()
            await asyncio.gather(*reads, return_exceptions=True)


async def _first_success(reads: list[asyncio.Task[T]]) -> asyncio.Task[T]:
    """The first read that succeeds; where none does, one that failed."""
    pending = {read for read in reads if not read.done()}
    while pending and not any(map(_succeeded, reads)):
        _, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
    return next(filter(_succeeded, reads), reads[-1])


def _succeeded(read: asyncio.Task[T]) -> bool:
    return read.done() and not read.cancelled() and read.exception() is None
