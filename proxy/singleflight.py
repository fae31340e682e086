"""Single flight: many callers, one piece of work; in a process, and across the machine's workers.

1. A flight belongs to no caller. Whoever leaves gets off; when the last has left, it is cancelled.
2. What it yields, result or failure, is every passenger's; nothing is remembered afterwards.
3. Between processes the one that works holds a lock that the kernel drops when the process dies.
   The others wait for the lock and then look first whether the work has been done meanwhile.

The lock is a byte of one file, at an offset that the key gives: nothing is made or removed for a
flight, so a full disk changes nothing, and no lock is left behind. While the file cannot be had,
flights are single in each process only; it is tried again, after a pause that grows to a minute.
"""

import asyncio
import copy
import fcntl
import hashlib
import logging
import os
import struct
import time
import weakref
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from proxy.errors import Overloaded, ProxyError

log = logging.getLogger("framekeep.flights")

Result = TypeVar("Result")

_FIRST_LOOK = 0.001
_LONGEST_LOOK = 0.02
"""Seconds between two tries for a lock that another process holds: a small part of a render."""

_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 60.0
"""Seconds between two tries for a file that cannot be had."""

_LOCK = struct.Struct("hh4xqqi4x")
"""`struct flock` of 64-bit Linux: type, whence, start, length, process."""


class _Flight:
    def __init__(self, task: asyncio.Task[Any]) -> None:
        self.task = task
        self.aboard = 0


class SingleFlight:
    """Flights by key; whoever asks under the same key asks for the same."""

    def __init__(self, locks: Path | None = None) -> None:
        """``locks`` is a file on a local disk that all workers name alike; it stays empty."""
        self._locks = Locks(locks) if locks is not None else None
        self._flights: dict[str, _Flight] = {}

    def __len__(self) -> int:
        return len(self._flights)

    async def do(
        self,
        key: str,
        make: Callable[[], Awaitable[Result]],
        look: Callable[[], Awaitable[Result | None]] | None = None,
    ) -> Result:
        """What ``make`` yields, made once for everybody who asks under this key meanwhile.

        ``look`` is asked before, once no other process works on the same: what it finds is taken.
        Raises whatever ``make`` raises; passengers get copies of a ProxyError.
        """
        flight = self._flights.get(key)
        first = flight is None
        if flight is None:
            flight = _Flight(asyncio.get_running_loop().create_task(self._fly(key, make, look)))
            self._flights[key] = flight
            flight.task.add_done_callback(partial(self._land, key))
        flight.aboard += 1
        try:
            await asyncio.wait((flight.task,))
        finally:
            flight.aboard -= 1
            if not flight.aboard and not flight.task.done():
                flight.task.cancel()
                self._forget(key, flight.task)  # who comes now begins anew
        if flight.task.cancelled():
            raise Overloaded("the server is stopping")
        error = flight.task.exception()
        if isinstance(error, ProxyError) and not first:
            raise copy.copy(error) from error.__cause__  # one error, many tracebacks
        result: Result = flight.task.result()
        return result

    async def close(self) -> None:
        """Cancel what is in the air."""
        flights = [flight.task for flight in self._flights.values()]
        for task in flights:
            task.cancel()
        if flights:
            await asyncio.wait(flights)

    def _land(self, key: str, task: asyncio.Task[Any]) -> None:
        self._forget(key, task)
        if not task.cancelled():
            task.exception()  # known now, also where everybody has left

    def _forget(self, key: str, task: asyncio.Task[Any]) -> None:
        if key in self._flights and self._flights[key].task is task:
            del self._flights[key]

    async def _fly(
        self,
        key: str,
        make: Callable[[], Awaitable[Result]],
        look: Callable[[], Awaitable[Result | None]] | None,
    ) -> Result:
        if look is None:
            return await make()
        async with self._locks.held(key) if self._locks is not None else nullcontext():
            found = await look()
            return found if found is not None else await make()


class Locks:
    """Locks by name that the processes of a machine share."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        """``clock`` is in seconds."""
        self._path = path
        self._clock = clock
        self._descriptor: int | None = None
        self._pause = 0.0
        self._retry_at = 0.0
        self._holders: Counter[int] = Counter()

    @asynccontextmanager
    async def held(self, name: str) -> AsyncIterator[None]:
        """Hold the lock of that name against other processes, not against others of this one."""
        at = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=7).digest())
        pause = _FIRST_LOOK
        while not self._set(fcntl.F_WRLCK, at):
            # Waiting in the kernel would take a thread for each key, and it could not be left.
            await asyncio.sleep(pause)
            pause = min(_LONGEST_LOOK, pause * 1.5)
        self._holders[at] += 1
        try:
            yield
        finally:
            self._holders[at] -= 1
            if not self._holders[at]:  # else a flight that was left is still on its way down
                del self._holders[at]
                self._set(fcntl.F_UNLCK, at)

    def _set(self, kind: int, at: int) -> bool:
        """False when another process holds the lock; true also where there are no locks."""
        if self._pause and self._clock() < self._retry_at:
            return True
        try:
            if self._descriptor is None:  # not before: a descriptor from before a fork is shared
                self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                weakref.finalize(self, os.close, self._descriptor)
            # Of the open file, not of the process: closing another descriptor leaves it alone.
            fcntl.fcntl(
                self._descriptor, fcntl.F_OFD_SETLK, _LOCK.pack(kind, os.SEEK_SET, at, 1, 0)
            )
        except BlockingIOError:
            return False
        except OSError as error:
            if not self._pause:
                log.warning(
                    "no locks in %s (%s): flights are single in each process", self._path, error
                )
            self._pause = min(_LONGEST_PAUSE, self._pause * 2 or _FIRST_PAUSE)
            self._retry_at = self._clock() + self._pause
        else:
            if self._pause:
                log.info("locks in %s again", self._path)
            self._pause = 0.0
        return True
