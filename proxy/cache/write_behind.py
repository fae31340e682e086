"""Write entries to the bucket later: no request waits for it, and what is lost is counted.

- Writes of one entry stay in order, and those that wait are joined: the last one counts.
- A write that fails is tried again. While the breaker is open writes wait, however long that takes.
- Bodies that wait take a bounded amount of memory. Above it an entry waits by reference, and is
  read from the cache of this machine when its turn comes.
- The number of writes that wait is bounded. Work that no client waits for waits for room; other
  writes above the bound are lost.
"""

import asyncio
import logging
import time
import zlib
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final, Literal, get_args

from msgspec import Struct

from proxy.cache.failure_rate_breaker import FailureRateBreaker
from proxy.cache.sqlite import StorageError
from proxy.cache.store import Entry, Kind
from proxy.runtime.background import describe

_log = logging.getLogger(__name__)

LossReason = Literal["queue_full", "failed", "stopped", "evicted", "too_large"]
LOSS_REASONS: tuple[LossReason, ...] = get_args(LossReason)
"""Why a write never reaches the bucket. ``evicted``: it waited by reference, and the cache of this
machine does not have the entry any more. ``stopped``: the server exited before."""

WRITERS: Final = 8
MAX_BODY_BYTES = 64 * 1024 * 1024
"""Of all entries that wait by value."""

_MAX_ATTEMPTS = 5
_RETRY_SECONDS = 0.05  # doubled with each attempt
_PATIENCE_SECONDS = 10.0  # of work that no client waits for
_LOG_SECONDS = 60.0


class PendingWrite(Struct):
    """An entry that was stored on this machine, or only tags that were added to it.

    ``began`` is when the work on it began, by the monotonic clock; None: that is not known.
    ``stored_at`` is when it was given to the cache of this machine, in Unix seconds. Without an
    ``entry`` it waits by reference.
    """

    kind: Kind
    key: str
    tags: tuple[str, ...]
    entry: Entry | None = None
    began: float | None = None
    stored_at: float = 0.0
    only_tags: bool = False
    attempts: int = 0

    @property
    def body_bytes(self) -> int:
        return 0 if self.entry is None else len(self.entry.body)

    def join(self, later: "PendingWrite") -> "PendingWrite":
        """Both writes as one."""
        if not later.only_tags:
            return later
        self.tags = tuple(dict.fromkeys((*self.tags, *later.tags)))
        return self


class WriteBehind:
    """The queue of writes. `write_next` must run again and again, for each of `WRITERS`."""

    def __init__(
        self,
        write: Callable[[PendingWrite], Awaitable[LossReason | None]],
        breaker: FailureRateBreaker,
        *,
        max_writes: int,
        timeout_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``write`` may raise what the breaker counts, or StorageError; then it is tried again.

        It returns why a write is lost for good, if it is.
        """
        self._write = write
        self._breaker = breaker
        self._failures: tuple[type[Exception], ...] = (*breaker.failures, StorageError)
        self._max_writes = max_writes
        self._timeout_seconds = timeout_seconds
        self._clock = clock
        self._queues: list[OrderedDict[tuple[Kind, str], PendingWrite]] = [
            OrderedDict() for _ in range(WRITERS)
        ]
        self._added = [asyncio.Event() for _ in range(WRITERS)]
        self._removed = asyncio.Event()
        self._writing = 0
        self._body_bytes = 0
        self._is_closing = False
        self._gave_up = asyncio.Event()
        self.lost: Counter[str] = Counter()
        """By `LossReason`."""
        self._logged: Counter[str] = Counter()
        self._logged_at = -_LOG_SECONDS

    def __len__(self) -> int:
        """How many writes wait or are being made."""
        return sum(map(len, self._queues)) + self._writing

    async def put(self, write: PendingWrite, *, is_patient: bool) -> None:
        """Queue a write. Where it ``is_patient``, wait some seconds for room."""
        if is_patient and not self._has_room(write):
            try:
                async with asyncio.timeout(_PATIENCE_SECONDS):
                    while not self._has_room(write):
                        await self._wait_removed()
            except TimeoutError:
                pass
            except asyncio.CancelledError:
                self.lose("queue_full")
                raise
        self.add(write)

    def add(self, write: PendingWrite) -> None:
        """Queue a write, or count it as lost."""
        if not self._has_room(write):
            self.lose("queue_full")
            return
        number = _queue_number(write)
        queue, name = self._queues[number], (write.kind, write.key)
        earlier = queue.pop(name, None)
        self._enqueue(number, write if earlier is None else self._forget(earlier).join(write))

    async def write_next(self, number: int) -> float:
        """Wait for a write of that queue, and make it; return after how long to make the next."""
        queue, added = self._queues[number], self._added[number]
        while not queue:
            added.clear()
            await added.wait()
        write: PendingWrite | None = None
        try:
            async with self._breaker.patient_call():
                if queue:  # else they were dropped meanwhile
                    write = self._forget(queue.popitem(last=False)[1])
                    await self._attempt(write)
        except self._failures as error:
            return 0.0 if write is None else self._on_failure(write, describe(error))
        finally:
            self._notify_removed()
        return 0.0

    async def join(self) -> None:
        """Wait until no write waits or is being made."""
        while len(self):
            await self._wait_removed()

    async def close(self, timeout_seconds: float) -> None:
        """Make the writes that wait, unless the bucket fails; count those that are left as lost.

        Those that are being made still are counted when their tasks are cancelled.
        """
        self._is_closing = True
        self._breaker.probe_soon()
        waits = [asyncio.ensure_future(wait) for wait in (self.join(), self._gave_up.wait())]
        try:
            await asyncio.wait(waits, timeout=timeout_seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)
        left = sum(map(len, self._queues))
        for queue in self._queues:
            queue.clear()
        if left:
            self.lose("stopped", left)

    def lose(self, reason: LossReason, count: int = 1) -> None:
        self.lost[reason] += count
        if not self._is_closing and self._clock() - self._logged_at >= _LOG_SECONDS:
            self.log_lost()

    def log_lost(self) -> None:
        """Log what was lost since the last time, if anything was."""
        news = self.lost - self._logged
        if news:
            _log.warning(
                "entries not written to the shared cache: %s",
                ", ".join(f"{reason} {count}" for reason, count in sorted(news.items())),
            )
            self._logged = self.lost.copy()
            self._logged_at = self._clock()

    async def _attempt(self, write: PendingWrite) -> None:
        self._writing += 1
        is_unexpected = True
        try:
            async with asyncio.timeout(self._timeout_seconds):
                lost = await self._write(write)
            is_unexpected = False
            if lost is not None:
                self.lose(lost)
        except self._failures:
            is_unexpected = False
            raise
        finally:
            self._writing -= 1
            if is_unexpected:  # a bug, or this task is cancelled
                self.lose("stopped" if self._is_closing else "failed")

    def _on_failure(self, write: PendingWrite, reason: str) -> float:
        """Queue the write again; return after how many seconds to go on."""
        if self._breaker.error:
            if self._is_closing:
                self._gave_up.set()
        else:
            write.attempts += 1
        if write.attempts >= _MAX_ATTEMPTS:
            _log.warning(
                "entry not written to the shared cache after %d attempts: kind=%s, %s",
                write.attempts,
                write.kind,
                reason,
            )
            self.lose("failed")
            return 0.0
        number = _queue_number(write)
        later = self._queues[number].pop((write.kind, write.key), None)
        self._enqueue(number, write if later is None else write.join(self._forget(later)))
        self._queues[number].move_to_end((write.kind, write.key), last=False)
        return _RETRY_SECONDS * float(2**write.attempts)

    def _has_room(self, write: PendingWrite) -> bool:
        is_waiting = (write.kind, write.key) in self._queues[_queue_number(write)]
        return is_waiting or len(self) < self._max_writes

    def _enqueue(self, number: int, write: PendingWrite) -> None:
        is_own = write.entry is not None and isinstance(write.entry.body, bytes)
        if not is_own or self._body_bytes + write.body_bytes > MAX_BODY_BYTES:
            write.entry = None  # else its descriptor or its memory would be held
        self._body_bytes += write.body_bytes
        self._queues[number][write.kind, write.key] = write
        self._added[number].set()

    def _forget(self, write: PendingWrite) -> PendingWrite:
        """Count the body of a write out that does not wait any more."""
        self._body_bytes -= write.body_bytes
        return write

    def _notify_removed(self) -> None:
        removed, self._removed = self._removed, asyncio.Event()
        removed.set()

    async def _wait_removed(self) -> None:
        await self._removed.wait()


def _queue_number(write: PendingWrite) -> int:
    return zlib.crc32(f"{write.kind}/{write.key}".encode()) % WRITERS
