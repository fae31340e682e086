"""The render processes as an HTTP worker sees them: a fair queue, then a hard deadline.

The render processes belong to the machine and are shared by its workers. Tasks wait at sockets, one
for each priority, and the fork server hands each to an idle process. Buffers travel as file
descriptors and are mapped there: their bytes are never copied.

What can go wrong:

1. A task that cannot be finished before the deadline of its caller raises Overloaded immediately.
2. A task that has used up its CPU time, or took too long, is stopped inside any call:
   DeadlineExceeded.
3. A process that dies earlier costs one more try; the second death is RenderFailed. A process whose
   reply cannot be that of its task is killed, which counts as a death.
4. A caller that is cancelled leaves the queue, or closes its connection, which ends the task soon
   after.
5. A client whose tasks end like 2 and 3 again and again is served when nothing else waits.
"""

import asyncio
import logging
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic

import msgspec

from proxy.buffers import OutputBuffer, SharedBuffer
from proxy.compat.msgspec import DECODE_ERRORS
from proxy.errors import DeadlineExceeded, Overloaded, ProxyError, RenderFailed
from proxy.render.admission import Admission, Place
from proxy.render.ipc import (
    OUT_OF_CPU_TIME,
    REPLY_HEADER,
    STARTED,
    Argument,
    ReplyType,
    Result,
    TaskMessage,
    TaskType,
    TooExpensive,
    decode_error,
    open_process,
    send_task,
    socket_path,
)
from proxy.render.pool_load import PoolLoad
from proxy.render.scheduling import FailureTracker, Priority
from proxy.runtime.caller import Caller, current_caller
from proxy.telemetry.request_context import stage

logger = logging.getLogger("framekeep.render.pool")

_DEADLINE_GRACE_SECONDS = 5.0
"""Time after the deadline in which a process that neither replies nor dies is waited for."""

_MAX_TRIES = 2


_MAX_DECODED_IN_LOOP_BYTES = 65_536
"""A smaller reply is decoded and checked faster than it is handed to a thread."""


class _ProcessDied(Exception):
    """The render process was gone before it had replied, or had to be killed."""


class _InvalidReply(Exception):
    """The render process sent what is no reply."""


class _CpuTimeUsedUp(Exception):
    """The task has used up its CPU time."""


@dataclass(frozen=True)
class _Work(Generic[Argument, Result]):
    """A task with its argument, and what is sent of it."""

    task: TaskType[Argument, Result]
    argument: Argument
    message: bytes
    buffers: Sequence[SharedBuffer | OutputBuffer]
    cpu_seconds: float

    def decode(self, reply: ReplyType, payload: bytearray) -> Result | ProxyError:
        """Raises `DECODE_ERRORS`, TypeError and ValueError for a reply that cannot be."""
        if reply is ReplyType.FAILED:
            return decode_error(payload)
        if reply is not ReplyType.DONE:
            raise ValueError(f"unexpected reply: {reply.name}")
        result = msgspec.msgpack.decode(payload, type=self.task.result)
        self.task.check(self.argument, result)
        return result


class RenderPool:
    """Sends tasks to render processes.

    ``outcomes`` counts how tasks ended: done, failed, crashed, deadline, rejected (overload) and
    cancelled; ``expensive`` counts those that started again at that priority.
    """

    def __init__(
        self,
        directory: Path,
        *,
        process_count: int = 1,
        max_result_bytes: int = 64 * 1024 * 1024,
        wall_seconds: float = 60.0,
        reserve_first: bool = True,
    ) -> None:
        """``directory`` is where the sockets of the ``process_count`` render processes are.

        A task may take ``wall_seconds`` from its start there, however little CPU time it gets.
        ``reserve_first`` is that of `RenderProcessManager`.
        """
        self._directory = directory
        self._admission = Admission(process_count, reserve_first=reserve_first)
        self._failures = FailureTracker()
        self._max_result_bytes = max_result_bytes
        self._wall_seconds = wall_seconds
        self.load = PoolLoad()
        self.outcomes: Counter[str] = Counter()

    def wait_seconds(self, priority: Priority) -> float:
        """How long a task at the end of the queue of this priority will wait, estimated."""
        return self._admission.queue(priority).wait_seconds()

    async def run(
        self,
        task: TaskType[Argument, Result],
        argument: Argument,
        buffers: Sequence[SharedBuffer | OutputBuffer] = (),
        *,
        priority: Priority = "interactive",
        cpu_seconds: float = 10.0,
    ) -> Result:
        """Run the task in a render process, where it may use so much CPU time.

        Raises:
            ProxyError: the task's own error.
            Overloaded: it could not be finished before the deadline of the current caller.
            DeadlineExceeded: the task was stopped; the message says which limit it has reached.
            RenderFailed: two processes died of the task, or its handler has a bug.
            OriginalChanged: the file behind a buffer was cut or extended.
        """
        message = msgspec.msgpack.encode(
            TaskMessage(
                task.name,
                cpu_seconds,
                self._wall_seconds,
                tuple(buffer.size for buffer in buffers),
                msgspec.Raw(msgspec.msgpack.encode(argument)),
            )
        )
        work = _Work(task, argument, message, buffers, cpu_seconds)
        try:
            result = await self._run_with_retry(work, priority)
        except TooExpensive:
            self.outcomes["expensive"] += 1
            result = await self._run_with_retry(work, "expensive")
        if isinstance(result, ProxyError):
            self.outcomes["failed"] += 1
            raise result
        self.outcomes["done"] += 1
        return result

    async def _run_with_retry(
        self, work: "_Work[Argument, Result]", priority: Priority
    ) -> Result | ProxyError:
        """Raises TooExpensive, CapacityError."""
        caller = current_caller()
        if self._failures.is_penalized(caller.client):
            priority = "background"
        reason = ""
        with self._admission.place(priority, caller) as place:
            for _ in range(_MAX_TRIES):
                try:
                    return await self._run_once(work, priority, place)
                except _ProcessDied as error:
                    self.outcomes["crashed"] += 1
                    reason = f": {error}" if str(error) else ""
                except asyncio.CancelledError:
                    self.outcomes["cancelled"] += 1
                    raise
        raise self._failure(f"render process died {_MAX_TRIES} times{reason}")

    def _failure(self, detail: str) -> RenderFailed:
        self.outcomes["failed"] += 1
        return RenderFailed("the image could not be rendered", detail=detail)

    async def _run_once(
        self, work: "_Work[Argument, Result]", priority: Priority, place: Place
    ) -> Result | ProxyError:
        with ExitStack() as stack:
            try:
                with (
                    stage("queue"),
                    place.caller.deadline.waiting(place.timeout_error),
                    self.load.count_waiting(priority),
                ):
                    await self._take(place)
                    # Not earlier: a task that waits needs no descriptor.
                    connection = stack.enter_context(socket.socket(socket.AF_UNIX))
                    connection.setblocking(False)
                    started_at, pid = await self._wait_started(connection, work, priority)
                with (
                    self.load.count_running(),
                    stage("render"),
                    self._count_failures(place.caller, started_at),
                    open_process(pid) as kill,
                ):
                    return await self._wait_result(connection, started_at, kill, work, priority)
            except ConnectionError as error:
                raise _ProcessDied from error

    async def _take(self, place: Place) -> None:
        try:
            await place.take()
        except Overloaded:
            self.outcomes["rejected"] += 1
            raise

    @contextmanager
    def _count_failures(self, caller: Caller, started_at: float) -> Iterator[None]:
        """Note whether this client's task was worth its time; a task that was cancelled is not."""
        try:
            yield
        except (DeadlineExceeded, ConnectionError, _ProcessDied):
            self._failures.record_failure(caller.client, time.monotonic() - started_at)
            raise
        self._failures.record_success(caller.client, time.monotonic() - started_at)

    async def _wait_started(
        self, connection: socket.socket, work: "_Work[Argument, Result]", priority: Priority
    ) -> tuple[float, int]:
        """Send the task and wait until a process has it: the monotonic time of that, and its pid.

        Both come from the fork server.
        """
        self._connect(connection, priority)
        descriptors = [buffer.descriptor for buffer in work.buffers]
        rest = send_task(connection, work.message, descriptors)
        if rest:  # to send nothing would fail where the process has replied already
            await asyncio.get_running_loop().sock_sendall(connection, rest)
        reply, payload = await self._read_reply(connection)
        if reply is not ReplyType.STARTED or len(payload) != STARTED.size:
            raise _ProcessDied
        started_at, pid = STARTED.unpack(payload)
        return started_at, pid

    def _connect(self, connection: socket.socket, priority: Priority) -> None:
        try:
            # A local connection is established immediately or never. The loop's sock_connect would
            # take a full backlog, which is EAGAIN here, for a connection in progress.
            connection.connect(socket_path(self._directory, priority))
        except BlockingIOError as error:
            self.outcomes["rejected"] += 1
            raise Overloaded("render queue full: no room in the backlog of the socket") from error
        except (ConnectionRefusedError, FileNotFoundError) as error:
            raise self._failure(f"no render processes: {error}") from error

    async def _wait_result(
        self,
        connection: socket.socket,
        started_at: float,
        kill: Callable[[], None],
        work: "_Work[Argument, Result]",
        priority: Priority,
    ) -> Result | ProxyError:
        """The result or the error of the task; a process that sends anything else is killed."""
        try:
            reply, payload = await self._wait_finished(connection, started_at, work.cpu_seconds)
        except (DeadlineExceeded, _InvalidReply) as error:
            kill()
            if isinstance(error, DeadlineExceeded):
                raise
            raise _killed(error) from error
        if reply is ReplyType.TOO_EXPENSIVE and priority == "interactive":
            raise TooExpensive
        try:
            if len(payload) <= _MAX_DECODED_IN_LOOP_BYTES:
                return work.decode(reply, payload)
            return await asyncio.to_thread(work.decode, reply, payload)
        except (*DECODE_ERRORS, TypeError, ValueError) as error:
            kill()
            raise _killed(error) from error

    async def _wait_finished(
        self, connection: socket.socket, started_at: float, cpu_seconds: float
    ) -> tuple[ReplyType, bytearray]:
        give_up_at = started_at + self._wall_seconds + _DEADLINE_GRACE_SECONDS
        try:
            async with asyncio.timeout(give_up_at - time.monotonic()):
                return await self._read_reply(connection)
        except (ConnectionError, _ProcessDied):
            # The process kills itself by the same clock: a death this late was the deadline.
            if time.monotonic() - started_at < self._wall_seconds:
                raise
        except _CpuTimeUsedUp:
            raise self._deadline_error(
                f"render deadline exceeded: {cpu_seconds:g} s of CPU time are used up "
                "(FRAMEKEEP_LIMITS_RENDER_TIMEOUT_SECONDS)"
            ) from None
        except TimeoutError:
            pass
        raise self._deadline_error(
            f"render deadline exceeded: not done {self._wall_seconds:g} s after its start, the "
            "machine is busy (FRAMEKEEP_LIMITS_RENDER_WALL_TIMEOUT_SECONDS)"
        )

    def _deadline_error(self, message: str) -> DeadlineExceeded:
        self.outcomes["deadline"] += 1
        return DeadlineExceeded(message)

    async def _read_reply(self, connection: socket.socket) -> tuple[ReplyType, bytearray]:
        header = await _read_exactly(connection, 1)
        if header[0] == OUT_OF_CPU_TIME:
            raise _CpuTimeUsedUp
        # Not appended to the first byte: the event loop may still hold the memory of that.
        rest = await _read_exactly(connection, REPLY_HEADER.size - 1)
        number, size = REPLY_HEADER.unpack(header + rest)
        try:
            reply = ReplyType(number)
        except ValueError as error:
            raise _InvalidReply(f"unexpected reply: type {number}") from error
        if size > self._max_result_bytes:
            raise _InvalidReply(f"unexpected reply: {size} bytes")
        return reply, await _read_exactly(connection, size)


def _killed(error: Exception) -> _ProcessDied:
    logger.warning("render process killed: %s", error)
    return _ProcessDied(str(error))


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
