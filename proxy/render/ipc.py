"""The protocol between an HTTP worker and a render process: task types, messages, errors.

One connection carries one task. The worker sends a message, with file descriptors of the buffers
beside it, and reads replies until one ends the task. It cancels the task by closing the connection.
The fork server accepts the connection and hands it to an idle render process:

    worker    length, message ─▶ socket                              (descriptors: first byte)
    worker    ◀───── STARTED ─── fork server, connection ─▶ render process
    worker    ◀───── DONE | FAILED | TOO_EXPENSIVE ──────── render process
    worker    ◀───── the byte OUT_OF_CPU_TIME ───────────── render process
              fork server ◀───── IDLE ───────────────────── render process

What a worker and the fork server say is trusted. What a render process says is not, because it has
read an untrusted file: it is decoded as plain data only, a result of the declared type or an error
class of `proxy.errors`, and then checked against what was asked (`proxy.render.reply_checks`).
"""

import os
import select
import signal
import socket
import struct
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Struct

from proxy import errors
from proxy.buffers import Buffer, SharedBuffer
from proxy.render.reply_checks import (
    ERRORS,
    MAX_DETAIL_CHARS,
    MAX_MESSAGE_CHARS,
    check_error,
)
from proxy.render.scheduling import PRIORITIES, Priority

MAX_MESSAGE_BYTES = 4 * 1024 * 1024
"""Plans are bounded far below this; it bounds what a render process reads in any case."""

MAX_DESCRIPTORS = 64
"""Buffers of one task; the kernel would let 253 pass."""

Argument = TypeVar("Argument")
Result = TypeVar("Result")


class TooExpensive(Exception):
    """Raised by an interactive task that found out that it belongs among the expensive ones."""


def _accept_any(argument: object, result: object) -> None:
    """Check nothing."""


@dataclass(frozen=True)
class TaskType(Generic[Argument, Result]):
    """A task that render processes can run: its name, and the types that travel.

    ``check`` raises ValueError for a result that cannot be that of the argument.
    """

    name: str
    argument: type[Argument]
    result: type[Result]
    check: Callable[[Argument, Result], None] = field(default=_accept_any, kw_only=True)


TaskFunction = Callable[[Sequence[SharedBuffer], Argument, Priority], Result]
"""A pure function of buffers (originals, or memory for a result), an argument and a priority.

It may raise a ProxyError, which is raised again in the worker, and at the priority ``interactive``
also TooExpensive: then the task starts again at the priority ``expensive``."""


@dataclass(frozen=True)
class TaskHandler(TaskType[Argument, Result]):
    """A task type with the function that runs it."""

    function: TaskFunction[Argument, Result]

    @classmethod
    def for_task(
        cls, task: TaskType[Argument, Result], function: TaskFunction[Argument, Result]
    ) -> "TaskHandler[Argument, Result]":
        return cls(task.name, task.argument, task.result, function, check=task.check)


def handlers_by_name(
    handlers: Sequence[TaskHandler[Any, Any]],
) -> Mapping[str, TaskHandler[Any, Any]]:
    return {handler.name: handler for handler in handlers}


class TaskMessage(Struct, frozen=True, array_like=True):
    """A task for a render process, with what it may take: CPU time, and time since its start.

    ``buffer_sizes`` are those of the buffers when it was sent.
    """

    task: str
    cpu_seconds: float
    wall_seconds: float
    buffer_sizes: tuple[int, ...]
    argument: msgspec.Raw


class ReplyType(IntEnum):
    STARTED = 1
    """The payload is a `STARTED`: from the fork server, which chose the process."""

    DONE = 2
    FAILED = 3
    TOO_EXPENSIVE = 4


OUT_OF_CPU_TIME = signal.SIGPROF
"""The byte that ends a task in place of a reply: its CPU time is used up.

The interpreter's signal handler itself sends the number of the signal, inside any call."""

COMPONENT = "render_processes"
"""The name of the render processes in readiness and metrics."""

SANDBOX = "sandbox"
"""The name of what their sandbox lacks, likewise."""

REPLACED = b"r"
"""Tells a fork server that another one has taken its place: it must not remove the sockets."""

LENGTH = struct.Struct("!I")
REPLY_HEADER = struct.Struct("!BQ")
STARTED = struct.Struct("!dI")
"""When the task started, by the system's monotonic clock, and the pid of its process."""

IDLE = b"i"
"""What a render process tells the fork server when it can take a task."""


def socket_path(directory: Path, priority: Priority) -> str:
    """The socket on which render processes accept tasks of a priority."""
    return str(directory / priority)


def send_task(connection: socket.socket, message: bytes, descriptors: Sequence[int]) -> bytes:
    """Send as much as fits without waiting, and return the rest. Raises OSError."""
    data = LENGTH.pack(len(message)) + message
    return data[socket.send_fds(connection, [data], descriptors) :]


def hand_over(control: socket.socket, connection: socket.socket, priority: Priority) -> None:
    """Give a render process the connection of its next task. Raises OSError."""
    # Not waiting is a property of the open socket, which the process then shares.
    connection.setblocking(False)
    socket.send_fds(control, [bytes((PRIORITIES.index(priority),))], [connection.fileno()])


def receive_connection(control: socket.socket) -> tuple[socket.socket, Priority] | None:
    """Wait for the connection of the next task; None when the fork server has ended."""
    data, descriptors, _, _ = socket.recv_fds(control, 1, 1)
    if not data or not descriptors:
        return None
    # It does not block; with the type given, nothing has to be asked of or told to the kernel.
    kind = socket.SOCK_STREAM | socket.SOCK_NONBLOCK
    connection = socket.socket(socket.AF_UNIX, kind, 0, fileno=descriptors[0])
    return connection, PRIORITIES[data[0]]


def receive_task(
    connection: socket.socket, timeout_seconds: float
) -> tuple[TaskMessage, list[SharedBuffer]]:
    """Receive a task and its buffers from a connection that does not block.

    Raises OSError, also for a connection that was closed early, and `DECODE_ERRORS`.
    """
    until = time.monotonic() + timeout_seconds
    _wait_for(connection, select.POLLIN, until)
    chunk, descriptors, _, _ = socket.recv_fds(connection, 65536, MAX_DESCRIPTORS)
    buffers = [SharedBuffer(descriptor) for descriptor in descriptors]
    data = bytearray(chunk)
    while len(data) < LENGTH.size or len(data) < LENGTH.size + LENGTH.unpack_from(data)[0]:
        _wait_for(connection, select.POLLIN, until)
        chunk = connection.recv(65536)
        if not chunk or len(data) > MAX_MESSAGE_BYTES:
            raise ConnectionResetError("connection closed before the task message was complete")
        data += chunk
    return msgspec.msgpack.decode(memoryview(data)[LENGTH.size :], type=TaskMessage), buffers


def send_reply(connection: socket.socket, reply: bytes, timeout_seconds: float) -> None:
    """Send a reply to a worker that reads it in time. Raises OSError."""
    until = time.monotonic() + timeout_seconds
    rest = memoryview(reply)
    while rest:
        try:
            rest = rest[connection.send(rest) :]
        except BlockingIOError:
            _wait_for(connection, select.POLLOUT, until)


def _wait_for(connection: socket.socket, event: int, until: float) -> None:
    """Wait until this can be done with the connection. Raises TimeoutError."""
    poll = select.poll()
    poll.register(connection, event)
    if not poll.poll(max(0.0, until - time.monotonic()) * 1000):
        raise TimeoutError("the other end of the connection took too long")


@contextmanager
def open_process(pid: int) -> Iterator[Callable[[], None]]:
    """Within the block, a function that kills this process, even if its pid has another by then."""
    try:
        process = os.pidfd_open(pid)
    except OSError:  # it has ended
        yield lambda: None
        return

    def kill() -> None:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(process, signal.SIGKILL)

    try:
        yield kill
    finally:
        os.close(process)


def encode_reply(reply_type: ReplyType, payload: bytes = b"") -> bytes:
    return REPLY_HEADER.pack(reply_type, len(payload)) + payload


class EncodedError(Struct, frozen=True, array_like=True):
    """A ProxyError on the wire: the name of its class, its texts and its other attributes."""

    name: str
    message: str
    detail: str
    operation: int | None
    field: str | None


def encode_error(error: errors.ProxyError) -> bytes:
    """Encode an error of `reply_checks.ERRORS`; another one becomes a RenderFailed."""
    if not isinstance(error, ERRORS):
        detail = f"{type(error).__name__}: {error} ({error.detail})"
        error = errors.RenderFailed("the image could not be rendered", detail=detail)
    message = " ".join(str(error).split())[:MAX_MESSAGE_CHARS]
    operation, field = None, None
    if isinstance(error, errors.InvalidOperation):
        operation, field = error.operation, error.field
    detail = error.detail[:MAX_DETAIL_CHARS]
    return msgspec.msgpack.encode(
        EncodedError(type(error).__name__, message, detail, operation, field)
    )


def decode_error(payload: Buffer) -> errors.ProxyError:
    """The error that was encoded; only classes of `reply_checks.ERRORS` are ever instantiated.

    Raises `DECODE_ERRORS`, TypeError and ValueError for a payload that `encode_error` cannot have
    made.
    """
    encoded = msgspec.msgpack.decode(payload, type=EncodedError)
    error_class = getattr(errors, encoded.name, None)
    if not (isinstance(error_class, type) and issubclass(error_class, ERRORS)):
        raise TypeError(f"unexpected reply: an error {encoded.name[:100]!r}")
    check_error(encoded.name, encoded.message, encoded.detail, encoded.field)
    if issubclass(error_class, errors.InvalidOperation):
        return error_class(
            encoded.message,
            operation=encoded.operation,
            field=encoded.field,
            detail=encoded.detail,
        )
    return error_class(encoded.message, detail=encoded.detail)
