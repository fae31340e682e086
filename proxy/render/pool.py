"""The render processes as an HTTP worker sees them: a bounded queue, then a hard deadline.

The render processes belong to the machine and are shared by its workers. All of them accept on the
same sockets, one for each priority, so that the kernel hands each task to an idle process. Buffers
travel as file descriptors and are mapped there: their bytes are never copied.

What can go wrong:

1. A task that finds ``max_queue`` others waiting, or that no process accepts within
   ``queue_timeout_seconds``, raises Overloaded.
2. A process is killed at the deadline, inside any call: DeadlineExceeded.
3. A process that dies earlier costs one more try; the second death is RenderFailed.
4. A caller that is cancelled closes its connection, which ends the task soon after.
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
from proxy.render.ipc import (
    REPLY_HEADER,
    TIMESTAMP,
    Argument,
    ReplyType,
    Result,
    TaskMessage,
    TaskType,
    decode_error,
    send_task,
    socket_path,
)
from proxy.render.scheduling import Priority
from proxy.telemetry.request_context import stage

_DEADLINE_GRACE_SECONDS = 5.0
"""Time after the deadline in which a process that neither replies nor dies is waited for."""

_MAX_TRIES = 2


class _ProcessDied(Exception):
    """The render process was gone before it had replied."""


class RenderPool:
    """Sends tasks to render processes.

    ``outcomes`` counts how tasks ended: done, failed, crashed, deadline, rejected (overload) and
    cancelled; ``expensive`` counts those that started again at that priority.
    """

    def __init__(
        self,
        directory: Path,
        *,
        max_queue: int = 64,
        queue_timeout_seconds: float = 5.0,
        max_result_bytes: int = 64 * 1024 * 1024,
    ) -> None:
        """``directory`` is where the sockets of the render processes are."""
        self._directory = directory
        self._max_queue = max_queue
        self._queue_timeout_seconds = queue_timeout_seconds
        self._max_result_bytes = max_result_bytes
        self.waiting = 0
        self.running = 0
        self.outcomes: Counter[str] = Counter()

    async def run(
        self,
        task: TaskType[Argument, Result],
        argument: Argument,
        buffers: Sequence[SharedBuffer | OutputBuffer] = (),
        *,
        priority: Priority = "interactive",
        deadline_seconds: float = 10.0,
    ) -> Result:
        """Run the task in a render process; ``deadline_seconds`` counts from its start there.

        Raises:
            ProxyError: the task's own error.
            Overloaded: the queue is full, or no process became free in time.
            DeadlineExceeded: the task was killed at its deadline.
            RenderFailed: two processes died of the task, or its handler has a bug.
        """
        message = msgspec.msgpack.encode(
            TaskMessage(task.name, deadline_seconds, msgspec.Raw(msgspec.msgpack.encode(argument)))
        )
        reply, payload = await self._run_with_retry(message, buffers, priority, deadline_seconds)
        if reply is ReplyType.TOO_EXPENSIVE:
            self.outcomes["expensive"] += 1
            reply, payload = await self._run_with_retry(
                message, buffers, "expensive", deadline_seconds
            )
        try:
            if reply is ReplyType.DONE:
                result = msgspec.msgpack.decode(payload, type=task.result)
                self.outcomes["done"] += 1
                return result
            error = decode_error(payload)
        except (msgspec.DecodeError, TypeError, ValueError) as invalid:
            raise self._failure(f"invalid reply from a render process: {invalid}") from invalid
        self.outcomes["failed"] += 1
        raise error

    async def _run_with_retry(
        self,
        message: bytes,
        buffers: Sequence[SharedBuffer | OutputBuffer],
        priority: Priority,
        deadline_seconds: float,
    ) -> tuple[ReplyType, bytearray]:
        for _ in range(_MAX_TRIES):
            try:
                return await self._run_once(message, buffers, priority, deadline_seconds)
            except _ProcessDied:
                self.outcomes["crashed"] += 1
            except asyncio.CancelledError:
                self.outcomes["cancelled"] += 1
                raise
        raise self._failure(f"render process died {_MAX_TRIES} times")

    def _failure(self, detail: str) -> RenderFailed:
        self.outcomes["failed"] += 1
        return RenderFailed("the image could not be rendered", detail=detail)

    def _rejection(self, message: str) -> Overloaded:
        self.outcomes["rejected"] += 1
        return Overloaded(message, retry_after=max(1, round(self._queue_timeout_seconds)))

    async def _run_once(
        self,
        message: bytes,
        buffers: Sequence[SharedBuffer | OutputBuffer],
        priority: Priority,
        deadline_seconds: float,
    ) -> tuple[ReplyType, bytearray]:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.setblocking(False)
            try:
                with stage("queue"):
                    started_at = await self._wait_started(connection, message, buffers, priority)
                self.running += 1
                try:
                    with stage("render"):
                        return await self._wait_finished(connection, started_at, deadline_seconds)
                finally:
                    self.running -= 1
            except (ConnectionError, _ProcessDied) as error:
                raise _ProcessDied from error

    async def _wait_started(
        self,
        connection: socket.socket,
        message: bytes,
        buffers: Sequence[SharedBuffer | OutputBuffer],
        priority: Priority,
    ) -> float:
        """Send the task and wait until a process has started it; the monotonic time of that."""
        if self.waiting >= self._max_queue:
            raise self._rejection(f"render queue full: {self._max_queue} tasks are waiting")
        self.waiting += 1
        try:
            async with asyncio.timeout(self._queue_timeout_seconds):
                self._connect(connection, priority)
                rest = send_task(connection, message, [buffer.descriptor for buffer in buffers])
                if rest:  # to send nothing would fail where the process has replied already
                    await asyncio.get_running_loop().sock_sendall(connection, rest)
                reply, payload = await self._read_reply(connection)
                if reply is not ReplyType.STARTED or len(payload) != TIMESTAMP.size:
                    raise _ProcessDied
                started_at: float = TIMESTAMP.unpack(payload)[0]
                return min(started_at, time.monotonic())
        except TimeoutError as error:
            raise self._rejection(
                f"render queue timeout: no process free within {self._queue_timeout_seconds:g} s"
            ) from error
        finally:
            self.waiting -= 1

    def _connect(self, connection: socket.socket, priority: Priority) -> None:
        try:
            # A local connection is established at once or not at all. The loop's sock_connect would
            # take a full backlog, which is EAGAIN here, for a connection in progress.
            connection.connect(socket_path(self._directory, priority))
        except BlockingIOError as error:
            raise self._rejection(
                "render queue full: no room in the backlog of the socket"
            ) from error
        except (ConnectionRefusedError, FileNotFoundError) as error:
            raise self._failure(f"no render processes: {error}") from error

    async def _wait_finished(
        self, connection: socket.socket, started_at: float, deadline_seconds: float
    ) -> tuple[ReplyType, bytearray]:
        give_up_at = started_at + deadline_seconds + _DEADLINE_GRACE_SECONDS
        try:
            async with asyncio.timeout(give_up_at - time.monotonic()):
                return await self._read_reply(connection)
        except (ConnectionError, _ProcessDied):
            # The process kills itself by the same clock: a death this late was the deadline.
            if time.monotonic() - started_at < deadline_seconds:
                raise
        except TimeoutError:
            pass
        self.outcomes["deadline"] += 1
        raise DeadlineExceeded(f"render deadline exceeded after {deadline_seconds:g} s")

    async def _read_reply(self, connection: socket.socket) -> tuple[ReplyType, bytearray]:
        number, size = REPLY_HEADER.unpack(await _read_exactly(connection, REPLY_HEADER.size))
        try:
            reply = ReplyType(number)
        except ValueError as error:
            raise _ProcessDied from error
        if size > self._max_result_bytes:
            raise _ProcessDied
        return reply, await _read_exactly(connection, size)


async def _read_exactly(connection: socket.socket, size: int) -> bytearray:
    data = bytearray(size)
    view = memoryview(data)
    loop = asyncio.get_running_loop()
    while view:
        try:  # a payload arrives with its header: to wait for it would cost more than to read it
            count = connection.recv_into(view)
        except BlockingIOError:
            count = await loop.sock_recv_into(connection, view)
        if not count:
            raise _ProcessDied
        view = view[count:]
    return data
