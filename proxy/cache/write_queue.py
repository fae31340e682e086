"""Entries that wait in memory to be written to disk, so that no answer waits for the disk.

What is put while one batch is being written is the next batch: under load many entries share one
thread call and one transaction. An entry that waits is read from here. If the process dies first,
it is a miss later, and nothing else.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import NamedTuple

from proxy.cache.store import ChangeToken, Entry, Kind

Place = tuple[Kind, str]

_OVERHEAD_BYTES = 1024  # of an entry beside its bytes
_MAX_ENTRIES = 512  # of one batch: others can write to the index in between


class QueuedWrite(NamedTuple):
    """An entry with the time from which purges apply to it, in Unix seconds.

    ``is_current`` turns false when it is purged, or written.
    """

    entry: Entry
    started_at: float
    is_current: ChangeToken


class WriteQueue:
    """At most ``max_bytes`` of entries, those being written included."""

    def __init__(
        self, max_bytes: int, start: Callable[[Mapping[Place, QueuedWrite]], None]
    ) -> None:
        """``start`` begins to write a batch; `on_written` is called when that has ended."""
        self._max_bytes = max_bytes
        self._start = start
        self._queued: dict[Place, QueuedWrite] = {}
        self._written: dict[Place, QueuedWrite] = {}
        """The batch that is being written."""
        self._bytes = 0
        self._queued_waiters: list[asyncio.Future[None]] = []
        self._written_waiters: list[asyncio.Future[None]] = []
        self._is_starting = False

    def __len__(self) -> int:
        return len(self._queued) + len(self._written)

    def add(self, place: Place, write: QueuedWrite) -> bool:
        """Queue the write in place of an earlier one; false if there is no room for it."""
        before = self._queued.get(place)
        size = self._bytes + _size(write) - (_size(before) if before is not None else 0)
        if size > self._max_bytes or (before is None and len(self._queued) >= _MAX_ENTRIES):
            return False
        self._bytes = size
        self._queued[place] = write
        if not self._is_starting and not self._written:
            # What is put until the event loop goes on is written in one batch.
            self._is_starting = True
            asyncio.get_running_loop().call_soon(self._start_next)
        return True

    def get(self, place: Place) -> Entry | None:
        """Return an entry that waits, unless something changed it meanwhile."""
        write = self._queued.get(place) or self._written.get(place)
        return write.entry if write is not None and write.is_current() else None

    def written(self, timeout_seconds: float) -> "asyncio.Future[None] | None":
        """Return what is done when everything put so far is written, or at the timeout.

        None if nothing waits.
        """
        if not len(self):
            return None
        loop = asyncio.get_running_loop()
        waiter = loop.create_future()
        timer = loop.call_later(timeout_seconds, _finish, waiter)
        waiter.add_done_callback(lambda _: timer.cancel())
        (self._queued_waiters if self._queued else self._written_waiters).append(waiter)
        return waiter

    def on_written(self) -> None:
        """Forget the batch that was written, or could not be, and go on with the next one."""
        self._bytes -= sum(map(_size, self._written.values()))
        waiters = self._written_waiters
        self._written, self._written_waiters = {}, []
        for waiter in waiters:
            _finish(waiter)
        if self._queued:
            self._start_next()

    def _start_next(self) -> None:
        self._is_starting = False
        self._written, self._queued = self._queued, {}
        self._written_waiters, self._queued_waiters = self._queued_waiters, []
        self._start(self._written)


def _size(write: QueuedWrite) -> int:
    return len(write.entry.body) + len(write.entry.head) + _OVERHEAD_BYTES


def _finish(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():
        waiter.set_result(None)
