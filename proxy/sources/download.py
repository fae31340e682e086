"""Downloads of originals, limited one by one and all together."""

import asyncio
import weakref
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Self
from weakref import WeakValueDictionary

from proxy.buffers import Buffer, SharedBufferWriter
from proxy.errors import Overloaded, SourceTooLarge
from proxy.originals import Original, OriginMetadata
from proxy.runtime.byte_budget import ByteBudget
from proxy.runtime.caller import current_caller

MAX_INFLIGHT_BYTES = 256 * 1024 * 1024

_WHAT = "originals in flight (FRAMEKEEP_SOURCES_MAX_INFLIGHT_BYTES)"


class DownloadBudget:
    """Memory for originals in flight: from their first byte until nothing needs them any more.

    ``max_bytes`` is for one original, ``max_inflight_bytes`` for all at a time, and half of that
    for those of one host, because a slow host holds them for long. A download for which there is
    no memory waits. Those of unknown size hold what has arrived while they wait for more, so one of
    them at a time may go on with more memory than there is: that of one largest original.
    """

    def __init__(self, max_bytes: int, max_inflight_bytes: int = MAX_INFLIGHT_BYTES) -> None:
        self._max_bytes = max_bytes
        self._host_bytes = max(max_bytes, max_inflight_bytes // 2)
        self._hosts: WeakValueDictionary[str, ByteBudget] = WeakValueDictionary()
        self.memory = ByteBudget(max(max_bytes, max_inflight_bytes), _WHAT)
        self.turn = asyncio.Lock()
        """Of downloads of unknown size that need more memory than is free."""

    async def wait_for_room(self, host: str = "") -> None:
        """Wait until there is memory, before the request: a wait would count as the source's.

        Raises Overloaded at the deadline of the current caller.
        """
        for budget in self._budgets(host):
            budget.release(await budget.acquire(1))

    def start(self, host: str = "") -> "Download":
        """Begin a download; ``host`` where it comes from one that may be slow."""
        return Download(self, self._budgets(host))

    def _budgets(self, host: str) -> Sequence[ByteBudget]:
        """What a download takes its memory from, in this order."""
        if not host:
            return (self.memory,)
        share = self._hosts.get(host) or ByteBudget(self._host_bytes, f"{_WHAT} from one host")
        self._hosts[host] = share
        return (share, self.memory)

    @property
    def max_bytes(self) -> int:
        """Of one original."""
        return self._max_bytes

    def check_size(self, size: int) -> None:
        """Raise SourceTooLarge for an original of more bytes than one may have."""
        if size > self._max_bytes:
            raise SourceTooLarge(
                f"original too large: larger than {self._max_bytes} bytes "
                "(FRAMEKEEP_LIMITS_MAX_SOURCE_BYTES)"
            )


class Download:
    """One original being downloaded, and its memory."""

    def __init__(self, budget: DownloadBudget, memory: Sequence[ByteBudget]) -> None:
        """``memory`` are the budgets that each byte is taken from."""
        self._budget = budget
        self._memory = memory
        self._writer = SharedBufferWriter()
        self._reserved = 0
        self._has_turn = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _release(self._memory, self._reserved)
        if self._has_turn:
            self._budget.turn.release()

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return self._writer.size

    async def expect(self, size: int) -> None:
        """Wait for memory of the size that a source announces; 0 where it announces none.

        Raises SourceTooLarge, or Overloaded at the deadline of the current caller.
        """
        self._budget.check_size(size)
        await self._reserve(size)

    async def add(self, chunk: Buffer) -> None:
        """Write a chunk; where more arrives than was expected, wait for memory.

        Raises SourceTooLarge, or Overloaded at the deadline of the current caller.
        """
        size = self.size + len(chunk)
        self._budget.check_size(size)
        if size > self._reserved and not self._reserve_now(size - self._reserved):
            await self._wait_for_turn()
            await self._reserve(size - self._reserved, overdraft=self._budget.max_bytes)
        self._writer.write(chunk)

    async def _wait_for_turn(self) -> None:
        """Nobody else has it until the end of this download."""
        if self._has_turn:
            return
        deadline = current_caller().deadline
        try:
            with deadline.waiting(_no_memory):
                async with deadline.timeout():
                    self._has_turn = await self._budget.turn.acquire()
        except TimeoutError as error:
            raise _no_memory() from error

    async def _reserve(self, size: int, *, overdraft: int = 0) -> None:
        taken: list[ByteBudget] = []
        try:
            for budget in self._memory:
                await budget.acquire(size, overdraft=overdraft)
                taken.append(budget)
        except BaseException:
            _release(taken, size)
            raise
        self._reserved += size

    def expect_in_thread(
        self, size: int, loop: asyncio.AbstractEventLoop, timeout_seconds: float
    ) -> None:
        """The same for a thread beside the event loop."""
        self._budget.check_size(size)
        if self._reserve_now(size):
            return
        waiting = asyncio.run_coroutine_threadsafe(self._reserve(size), loop)
        try:
            waiting.result(timeout_seconds)
        except TimeoutError as error:
            waiting.cancel()
            raise Overloaded(f"no memory for originals within {timeout_seconds:g} s") from error

    def write(self, chunk: Buffer) -> None:
        """Raise SourceTooLarge, or Overloaded if more was not expected and there is no memory."""
        size = self.size + len(chunk)
        self._budget.check_size(size)
        if size > self._reserved and not self._reserve_now(size - self._reserved):
            raise _no_memory()
        self._writer.write(chunk)

    def _reserve_now(self, size: int) -> bool:
        """Reserve without waiting; False if there is no memory now."""
        taken: list[ByteBudget] = []
        for budget in self._memory:
            if not budget.try_acquire(size):
                _release(taken, size)
                return False
            taken.append(budget)
        self._reserved += size
        return True

    def finish(self, metadata: OriginMetadata) -> Original:
        """Complete the original, which has its memory as long as it exists."""
        body = self._writer.finish()
        weakref.finalize(body, _release, self._memory, body.size)
        self._reserved -= body.size
        return Original(body, body.digest, metadata)


def _no_memory() -> Overloaded:
    return Overloaded(
        "no memory for an original of unknown size; try again "
        "(FRAMEKEEP_SOURCES_MAX_INFLIGHT_BYTES)"
    )


def _release(budgets: Iterable[ByteBudget], size: int) -> None:
    for budget in budgets:
        budget.release(size)
