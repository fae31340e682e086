"""Entries that wait in memory to be written to disk, so that no answer waits for the disk.

What is put while one batch is being written is the next batch: under load many entries share one
thread call and one transaction. A transaction writes a dozen pages whatever it changes, so ten
entries together cost little more than one. Whoever must not go on before an entry is written waits
for its batch. If the process dies first, the entry is a miss later, and nothing else.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from proxy.cache.io_threads import DiskBusy
from proxy.cache.store import ChangeToken, Entry, Kind

Place = tuple[Kind, str]

_OVERHEAD_BYTES = 1024  # of an entry beside its bytes
_BATCH_ENTRIES = 512  # others can write to the index in between
_MAX_UNWAITED_ENTRIES = 1024
_MAX_ENTRIES = 2048


class QueuedWrite(NamedTuple):
    """An entry with the time from which purges apply to it, in Unix seconds.

    ``is_current`` turns false when the entry is purged or written, or by chance, when another one
    changes. None: a purge may select it already, and only the index knows.
    """

    entry: Entry
    started_at: float | None
    is_current: ChangeToken | None

    @property
    def is_readable(self) -> bool:
        """Whether the entry may be served now, before it is written."""
        return self.is_current is not None and self.is_current()


class Batch:
    """Writes that are made together: one for each entry, and of several the last one.

    ``started_at`` is when they began to be made, in Unix seconds. ``ended`` is done when that has
    ended, or raises why it was not possible.
    """

    def __init__(self) -> None:
        self.writes: dict[Place, QueuedWrite] = {}
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.started_at = math.inf

    def accepts(self, place: Place, write: QueuedWrite) -> bool:
        if self.started_at < math.inf:
            return False
        if place in self.writes:
            # What the index may drop must not take the place of what it would keep.
            return write.is_current is not None
        return len(self.writes) < _BATCH_ENTRIES

    def end(self, error: BaseException | None) -> None:
        if error is None:
            self.ended.set_result(None)
        else:
            self.ended.set_exception(error)
            self.ended.exception()  # else asyncio would log it where nobody waits


class WriteQueue:
    """Batches of writes in their order; the first one is being written.

    At most ``max_bytes`` of entries wait, and those whose callers wait too.
    """

    def __init__(
        self, max_bytes: int, start: Callable[[Batch], None], clock: Callable[[], float]
    ) -> None:
        """``start`` begins to write a batch; `on_ended` is called when that has ended.

        ``clock`` is in Unix seconds.
        """
        self._max_bytes = max_bytes
        self._start = start
        self._clock = clock
        self._batches: deque[Batch] = deque()
        self._bytes = 0
        self._count = 0

    def __len__(self) -> int:
        return self._count

    @property
    def is_over_limit(self) -> bool:
        """Whether so much waits that callers have to wait for what they add."""
        return self._bytes > self._max_bytes or self._count > _MAX_UNWAITED_ENTRIES

    def add(self, place: Place, write: QueuedWrite) -> Batch:
        """Queue the write, in place of an earlier one if possible; return its batch.

        Raises DiskBusy if too many wait.
        """
        batch = self._batches[-1] if self._batches else None
        if batch is None or not batch.accepts(place, write):
            batch = Batch()
        before = batch.writes.get(place)
        if before is None and self._count >= _MAX_ENTRIES:
            raise DiskBusy(f"disk queue full: {self._count} entries")
        if not batch.writes:
            if not self._batches:
                # What is put until the event loop goes on is written in one batch.
                asyncio.get_running_loop().call_soon(self._start_next)
            self._batches.append(batch)
        self._count += before is None
        self._bytes += _size(write) - (0 if before is None else _size(before))
        batch.writes[place] = write
        return batch

    def get(self, place: Place) -> tuple[QueuedWrite, Batch] | None:
        """Return the last write of an entry, with its batch."""
        for batch in reversed(self._batches):
            write = batch.writes.get(place)
            if write is not None:
                return write, batch
        return None

    def written(self, timeout_seconds: float) -> "asyncio.Future[None] | None":
        """Return what is done when everything put so far is written, or at the timeout.

        None if nothing waits.
        """
        if not self._batches:
            return None
        loop = asyncio.get_running_loop()
        waiter = loop.create_future()
        timer = loop.call_later(timeout_seconds, _finish, waiter)
        waiter.add_done_callback(lambda _: timer.cancel())
        self._batches[-1].ended.add_done_callback(lambda _: _finish(waiter))
        return waiter

    def on_ended(self, error: BaseException | None) -> None:
        """Forget the batch that was written, or could not be, and go on with the next one."""
        batch = self._batches.popleft()
        self._count -= len(batch.writes)
        self._bytes -= sum(map(_size, batch.writes.values()))
        batch.end(error)
        if self._batches:
            self._start_next()

    def _start_next(self) -> None:
        batch = self._batches[0]
        batch.started_at = self._clock()
        self._start(batch)


def _size(write: QueuedWrite) -> int:
    return len(write.entry.body) + len(write.entry.head) + _OVERHEAD_BYTES


def _finish(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():
        waiter.set_result(None)
