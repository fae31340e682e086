"""Render processes, as an HTTP worker sees them: a short queue in front of a deadline that holds.

The processes belong to the machine and are shared by its workers. They all accept on the same
sockets, one for each lane, so the kernel deals the work out and nobody has to know who is idle.
An original goes over as a descriptor and is mapped there: its bytes are never copied.

What can go wrong is settled here:

1. A job that finds ``queue`` others waiting, or that nobody takes within ``queue_seconds``, is
   Overloaded.
2. A renderer ends itself at the deadline, inside whatever call it is: TookTooLong.
3. A renderer that dies earlier costs one more try; dying twice is RenderFailed.
4. A caller that gives up hangs up, and the work stops soon after.
"""

import asyncio
import socket
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec

from proxy.buffers import OutputBuffer, SharedBuffer
from proxy.errors import DeadlineExceeded, Overloaded, RenderFailed
from proxy.render.protocol import (
    FRAME,
    MOMENT,
    Argument,
    Kind,
    Lane,
    Order,
    Result,
    Task,
    read_failure,
    send_order,
    socket_path,
)
from proxy.telemetry import metrics

_GRACE = 5.0
"""Seconds beyond the deadline after which a renderer that neither answers nor dies is given up."""

_TRIES = 2


class _Died(Exception):
    """The renderer was gone before it had answered."""


class Pool:
    """``counts`` counts outcomes: done, failed, heavy, crashed, deadline, refused, abandoned."""

    def __init__(
        self,
        directory: Path,
        *,
        queue: int = 64,
        queue_seconds: float = 5.0,
        result_bytes: int = 64 * 1024 * 1024,
    ) -> None:
        """``directory`` holds the renderers' sockets; ``result_bytes`` bounds an answer."""
        self._directory = directory
        self._queue = queue
        self._queue_seconds = queue_seconds
        self._result_bytes = result_bytes
        self.waiting = 0
        self.running = 0
        self.counts: Counter[str] = Counter()

    async def run(
        self,
        work: Task[Argument, Result],
        argument: Argument,
        originals: Sequence[SharedBuffer | OutputBuffer] = (),
        *,
        lane: Lane = "live",
        seconds: float = 10.0,
    ) -> Result:
        """Have the work done; it may last ``seconds`` once it has begun.

        Raises:
            ProxyError: whatever the work raised.
            Overloaded: nobody had time for it.
            TookTooLong: it was ended at its deadline.
            RenderFailed: two renderers died of it, or it has a fault of its own.
        """
        order = msgspec.msgpack.encode(
            Order(work.name, seconds, len(originals), msgspec.Raw(msgspec.msgpack.encode(argument)))
        )
        kind, payload = await self._insist(order, originals, lane, seconds)
        if kind is Kind.HEAVY:
            self.counts["heavy"] += 1
            kind, payload = await self._insist(order, originals, "heavy", seconds)
        try:
            if kind is Kind.DONE:
                result = msgspec.msgpack.decode(payload, type=work.result)
                self.counts["done"] += 1
                return result
            failure = read_failure(payload)
        except (msgspec.DecodeError, TypeError, ValueError) as error:
            raise self._failed("a renderer answered nonsense", error) from error
        self.counts["failed"] += 1
        raise failure

    async def _insist(
        self,
        order: bytes,
        originals: Sequence[SharedBuffer | OutputBuffer],
        lane: Lane,
        seconds: float,
    ) -> tuple[Kind, bytearray]:
        for _ in range(_TRIES):
            try:
                return await self._attempt(order, originals, lane, seconds)
            except _Died:
                self.counts["crashed"] += 1
            except asyncio.CancelledError:
                self.counts["abandoned"] += 1
                raise
        raise self._failed("the picture could not be rendered", None)

    def _failed(self, message: str, cause: Exception | None) -> RenderFailed:
        self.counts["failed"] += 1
        return RenderFailed(message, detail=str(cause or "renderers died of it"))

    async def _attempt(
        self,
        order: bytes,
        originals: Sequence[SharedBuffer | OutputBuffer],
        lane: Lane,
        seconds: float,
    ) -> tuple[Kind, bytearray]:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
            line.setblocking(False)
            try:
                with metrics.stage("queue"):
                    began = await self._queued(line, order, originals, lane)
                self.running += 1
                try:
                    with metrics.stage("render"):
                        return await self._answer(line, began, seconds)
                finally:
                    self.running -= 1
            except (ConnectionError, _Died) as error:
                raise _Died from error

    async def _queued(
        self,
        line: socket.socket,
        order: bytes,
        originals: Sequence[SharedBuffer | OutputBuffer],
        lane: Lane,
    ) -> float:
        """Wait until a renderer has begun; the moment when it did."""
        if self.waiting >= self._queue:
            raise self._refused("too many pictures are waiting to be rendered")
        self.waiting += 1
        try:
            async with asyncio.timeout(self._queue_seconds):
                self._dial(line, lane)
                rest = send_order(line, order, [blob.descriptor for blob in originals])
                if rest:  # sending nothing would fail where the answer is here already
                    await asyncio.get_running_loop().sock_sendall(line, rest)
                kind, payload = await self._frame(line)
                if kind is not Kind.STARTED or len(payload) != MOMENT.size:
                    raise _Died
                began: float = MOMENT.unpack(payload)[0]
                return min(began, time.monotonic())
        except TimeoutError as error:
            raise self._refused("no renderer had time for the picture") from error
        finally:
            self.waiting -= 1

    def _dial(self, line: socket.socket, lane: Lane) -> None:
        try:
            # A local connection stands at once or not at all. The loop's own sock_connect would
            # take a full backlog, which is EAGAIN here, for a connection under way.
            line.connect(socket_path(self._directory, lane))
        except BlockingIOError as error:
            raise self._refused("too many pictures are waiting to be rendered") from error
        except (ConnectionRefusedError, FileNotFoundError) as error:
            raise self._failed("the picture could not be rendered", error) from error

    def _refused(self, message: str) -> Overloaded:
        self.counts["refused"] += 1
        return Overloaded(message, retry_after=max(1, round(self._queue_seconds)))

    async def _answer(
        self, line: socket.socket, began: float, seconds: float
    ) -> tuple[Kind, bytearray]:
        try:
            async with asyncio.timeout(began + seconds + _GRACE - time.monotonic()):
                return await self._frame(line)
        except (ConnectionError, _Died):
            # The renderer's own clock ends it, and both clocks are one: a death this late was that.
            if time.monotonic() - began < seconds:
                raise
        except TimeoutError:
            pass
        self.counts["deadline"] += 1
        raise DeadlineExceeded(f"rendering took longer than {seconds:g} seconds")

    async def _frame(self, line: socket.socket) -> tuple[Kind, bytearray]:
        number, size = FRAME.unpack(await _exactly(line, FRAME.size))
        try:
            kind = Kind(number)
        except ValueError as error:
            raise _Died from error
        if size > self._result_bytes:
            raise _Died
        return kind, await _exactly(line, size)


async def _exactly(line: socket.socket, size: int) -> bytearray:
    data = bytearray(size)
    view = memoryview(data)
    loop = asyncio.get_running_loop()
    while view:
        try:  # what follows a head is here with it: a wait would cost more than to read it
            read = line.recv_into(view)
        except BlockingIOError:
            read = await loop.sock_recv_into(line, view)
        if not read:
            raise _Died
        view = view[read:]
    return data
