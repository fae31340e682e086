"""Group commit: entries that are put while others are being written share one transaction.

A transaction writes a dozen pages whatever it changes, so ten entries together cost little more
than one.
"""

import asyncio
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Sequence

from proxy.cache.disk_rows import NewEntry
from proxy.cache.io_threads import DiskBusy

_MAX_ENTRIES = 64
"""In one transaction, so that others can write in between."""


class GroupCommit:
    """The entries of one kind that wait to be written, for callers in one event loop."""

    def __init__(
        self,
        submit: Callable[[Callable[[], None]], Awaitable[None]],
        write: Callable[[Sequence[NewEntry]], None],
        *,
        max_waiting: int,
    ) -> None:
        """``submit`` has a thread call what it is given, and may raise DiskBusy instead.

        ``write`` is called in that thread. More than ``max_waiting`` entries never wait.
        """
        self._submit = submit
        self._write = write
        self._max_waiting = max_waiting
        self._waiting: deque[NewEntry] = deque()
        self._call: asyncio.Task[None] | None = None
        self._writing = threading.Lock()

    async def put(self, new: NewEntry) -> None:
        """Write the entry, with those that wait. Raises DiskBusy."""
        if len(self._waiting) >= self._max_waiting:
            raise DiskBusy(f"disk queue full: {len(self._waiting)} entries")
        self._waiting.append(new)
        call = self._call
        if call is None or call.done():
            call = self._call = asyncio.get_running_loop().create_task(self._submit_all())
        await asyncio.shield(call)

    async def _submit_all(self) -> None:
        try:
            await self._submit(self._write_all)
        except DiskBusy:
            self._waiting.clear()
            raise

    def _write_all(self) -> None:
        # First: whoever puts an entry from now on submits another call, which waits for the lock.
        self._call = None
        with self._writing:
            while batch := self._take():
                self._write(batch)

    def _take(self) -> list[NewEntry]:
        taken: list[NewEntry] = []
        while self._waiting and len(taken) < _MAX_ENTRIES:
            taken.append(self._waiting.popleft())
        return taken
