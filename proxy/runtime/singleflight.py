"""Single flight: many callers wait for one call, in a process and across the machine's workers.

1. A call belongs to none of its callers. Each may leave; when the last one has left, the call is
   cancelled.
2. Its result or error is given to all callers, and is not remembered afterwards.
3. A call has as much time as its most patient caller: it must not end for all because the first
   one would not wait.
4. Between processes, the one that works holds a lock, which the kernel releases when the process
   dies. The others wait for the lock, and then check first whether the work was done meanwhile.

The lock is one byte of a file, at an offset that is derived from the key. Nothing is created or
removed for a call, so a full disk changes nothing and no lock is left behind. While the file cannot
be opened, calls are shared in each process only; opening is retried with back-off.
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
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from proxy.errors import Overloaded, ProxyError
from proxy.runtime.caller import Caller, SharedDeadline, current_caller, serving

logger = logging.getLogger("framekeep.singleflight")

Result = TypeVar("Result")

_MIN_POLL_SECONDS = 0.001
_MAX_POLL_SECONDS = 0.02
"""Between two attempts at a lock that another process holds: a small part of a render."""

_MIN_RETRY_SECONDS = 1.0
_MAX_RETRY_SECONDS = 60.0
"""Between two attempts to open the lock file."""

_FLOCK = struct.Struct("hh4xqqi4x")
"""`struct flock` of 64-bit Linux: type, whence, start, length, process."""


class _Call:
    def __init__(self, work: Coroutine[Any, Any, Any], client: str) -> None:
        """Start the work, with a caller that represents all who wait for it."""
        self.deadline = SharedDeadline()
        self.waiters = 0
        with serving(Caller(client, self.deadline)):
            self.task = asyncio.get_running_loop().create_task(work)


class SingleFlight:
    """Calls by key; callers with the same key must want the same result."""

    def __init__(
        self,
        lock_file: Path | None = None,
        *,
        written: Callable[[], "asyncio.Future[None] | None"] = lambda: None,
    ) -> None:
        """``lock_file`` is on a local disk and the same for all workers; it stays empty.

        ``written`` returns what is done when other processes can find the results so far; until
        then a call that has ended still excludes them.
        """
        self._written = written
        self._locks = FileLocks(lock_file) if lock_file is not None else None
        self._calls: dict[str, _Call] = {}

    def __len__(self) -> int:
        return len(self._calls)

    async def do(
        self,
        key: str,
        fn: Callable[[], Awaitable[Result]],
        recheck: Callable[[], Awaitable[Result | None]] | None = None,
    ) -> Result:
        """The result of ``fn``, called once for all who ask for this key at the same time.

        ``recheck`` runs first, once no other process works on the key; if it returns a result,
        ``fn`` is not called. Only with ``recheck`` are calls shared between processes.

        Raises what ``fn`` raises; each caller gets its own copy of a ProxyError. Raises Overloaded
        when the server stops.
        """
        caller = current_caller()
        call = self._calls.get(key)
        is_first = call is None
        if call is None:
            call = _Call(self._run(key, fn, recheck), caller.client)
            self._calls[key] = call
            call.task.add_done_callback(partial(self._on_done, key))
        call.waiters += 1
        try:
            with call.deadline.joined_by(caller.deadline):
                await asyncio.wait((call.task,))
        finally:
            call.waiters -= 1
            if not call.waiters and not call.task.done():
                call.task.cancel()
                self._remove(key, call.task)  # the next caller starts a new call
        if call.task.cancelled():
            raise Overloaded("the server is stopping")
        error = call.task.exception()
        if isinstance(error, ProxyError) and not is_first:
            raise copy.copy(error) from error.__cause__  # a traceback belongs to one caller
        result: Result = call.task.result()
        return result

    async def close(self) -> None:
        """Cancel all calls."""
        tasks = [call.task for call in self._calls.values()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _on_done(self, key: str, task: asyncio.Task[Any]) -> None:
        self._remove(key, task)
        if not task.cancelled():
            task.exception()  # else asyncio would log it where all callers have left

    def _remove(self, key: str, task: asyncio.Task[Any]) -> None:
        if key in self._calls and self._calls[key].task is task:
            del self._calls[key]

    async def _run(
        self,
        key: str,
        fn: Callable[[], Awaitable[Result]],
        recheck: Callable[[], Awaitable[Result | None]] | None,
    ) -> Result:
        if recheck is None:
            return await fn()
        release = await self._locks.acquire(key) if self._locks is not None else _do_nothing
        try:
            found = await recheck()
            return found if found is not None else await fn()
        finally:
            written = self._written()
            if written is None:
                release()
            else:
                written.add_done_callback(lambda _: release())


def _do_nothing() -> None:
    pass


class FileLocks:
    """Locks by name, shared by the processes of a machine."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        """``clock`` is in seconds."""
        self._path = path
        self._clock = clock
        self._descriptor: int | None = None
        self._retry_seconds = 0.0
        self._retry_at = 0.0
        self._holders: Counter[int] = Counter()

    async def acquire(self, name: str) -> Callable[[], None]:
        """Take a lock that excludes other processes, but not other tasks of this process.

        Returns what releases it.
        """
        offset = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=7).digest())
        poll_seconds = _MIN_POLL_SECONDS
        with current_caller().deadline.waiting(_other_worker_error):
            while not self._try_lock(fcntl.F_WRLCK, offset):
                # To wait in the kernel would take a thread for each key, without cancellation.
                await asyncio.sleep(poll_seconds)
                poll_seconds = min(_MAX_POLL_SECONDS, poll_seconds * 1.5)
        self._holders[offset] += 1
        return partial(self._release, offset)

    def _release(self, offset: int) -> None:
        self._holders[offset] -= 1
        if not self._holders[offset]:  # else another call with this key is still ending
            del self._holders[offset]
            self._try_lock(fcntl.F_UNLCK, offset)

    def _try_lock(self, lock_type: int, offset: int) -> bool:
        """False if another process holds the lock. True also while there is no lock file."""
        if self._retry_seconds and self._clock() < self._retry_at:
            return True
        try:
            if self._descriptor is None:  # opened late: a fork would share an earlier descriptor
                self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                weakref.finalize(self, os.close, self._descriptor)
            # A lock of the open file, not of the process: closing another descriptor of the file
            # does not release it.
            fcntl.fcntl(
                self._descriptor,
                fcntl.F_OFD_SETLK,
                _FLOCK.pack(lock_type, os.SEEK_SET, offset, 1, 0),
            )
        except BlockingIOError:
            return False
        except OSError as error:
            if not self._retry_seconds:
                logger.warning(
                    "lock file unusable: calls are not shared between workers (%s: %s)",
                    self._path,
                    error,
                )
            self._retry_seconds = min(
                _MAX_RETRY_SECONDS, self._retry_seconds * 2 or _MIN_RETRY_SECONDS
            )
            self._retry_at = self._clock() + self._retry_seconds
        else:
            if self._retry_seconds:
                logger.info("lock file usable again (%s)", self._path)
            self._retry_seconds = 0.0
        return True


def _other_worker_error() -> Overloaded:
    return Overloaded("single flight timeout: another worker is still working on the same result")
