"""The protocol between an HTTP worker and a render process: task types, messages, errors.

One connection carries one task. The worker sends a message, with file descriptors of the buffers
beside it, and reads replies until one ends the task. It cancels the task by closing the connection.

    worker    length, message ───────────────────▶ render process    (descriptors: first byte)
    worker    ◀───── STARTED, DONE | FAILED | TOO_EXPENSIVE
    worker    ◀───── STARTED, the byte OUT_OF_CPU_TIME

The message is trusted. The reply is not, because the render process has read an untrusted file:
it is decoded as plain data only, a result of the declared type or an error class of `proxy.errors`.
"""

import signal
import socket
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Struct

from proxy import errors
from proxy.buffers import Buffer, SharedBuffer
from proxy.render.scheduling import Priority

MAX_MESSAGE_BYTES = 4 * 1024 * 1024
"""Plans are bounded far below this; it bounds what a render process reads in any case."""

MAX_DESCRIPTORS = 64
"""Buffers of one task; the kernel would let 253 pass."""

Argument = TypeVar("Argument")
Result = TypeVar("Result")


class TooExpensive(Exception):
    """Raised by an interactive task that found out that it belongs among the expensive ones."""


@dataclass(frozen=True)
class TaskType(Generic[Argument, Result]):
    """A task that render processes can run: its name, and the types that travel."""

    name: str
    argument: type[Argument]
    result: type[Result]


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
        return cls(task.name, task.argument, task.result, function)


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
    """The payload is a `TIMESTAMP`: when the task started, by the system's monotonic clock."""

    DONE = 2
    FAILED = 3
    TOO_EXPENSIVE = 4


OUT_OF_CPU_TIME = signal.SIGPROF
"""The byte that ends a task in place of a reply: its CPU time is used up.

The interpreter's signal handler itself sends the number of the signal, inside any call."""

COMPONENT = "render_processes"
"""The name of the render processes in readiness and metrics."""

REPLACED = b"r"
"""Tells a fork server that another one has taken its place: it must not remove the sockets."""

LENGTH = struct.Struct("!I")
REPLY_HEADER = struct.Struct("!BQ")
TIMESTAMP = struct.Struct("!d")


def socket_path(directory: Path, priority: Priority) -> str:
    """The socket on which render processes accept tasks of a priority."""
    return str(directory / priority)


def send_task(connection: socket.socket, message: bytes, descriptors: Sequence[int]) -> bytes:
    """Send as much as fits without waiting, and return the rest. Raises OSError."""
    data = LENGTH.pack(len(message)) + message
    return data[socket.send_fds(connection, [data], descriptors) :]


def receive_task(connection: socket.socket) -> tuple[TaskMessage, list[SharedBuffer]]:
    """Receive a task and its buffers.

    Raises OSError, also for a connection that was closed early, and `DECODE_ERRORS`.
    """
    chunk, descriptors, _, _ = socket.recv_fds(connection, 65536, MAX_DESCRIPTORS)
    buffers = [SharedBuffer(descriptor) for descriptor in descriptors]
    data = bytearray(chunk)
    while len(data) < LENGTH.size or len(data) < LENGTH.size + LENGTH.unpack_from(data)[0]:
        chunk = connection.recv(65536)
        if not chunk or len(data) > MAX_MESSAGE_BYTES:
            raise ConnectionResetError("connection closed before the task message was complete")
        data += chunk
    return msgspec.msgpack.decode(memoryview(data)[LENGTH.size :], type=TaskMessage), buffers


def encode_reply(reply_type: ReplyType, payload: bytes = b"") -> bytes:
    return REPLY_HEADER.pack(reply_type, len(payload)) + payload


class EncodedError(Struct, frozen=True, array_like=True):
    """A ProxyError on the wire: the name of its class, its texts and its other attributes."""

    name: str
    message: str
    detail: str
    attributes: dict[str, str | int | float | bool | None]


def encode_error(error: errors.ProxyError) -> bytes:
    attributes = {name: value for name, value in vars(error).items() if name != "detail"}
    return msgspec.msgpack.encode(
        EncodedError(type(error).__name__, str(error), error.detail, attributes)
    )


def decode_error(payload: Buffer) -> errors.ProxyError:
    """The error that was encoded; only classes of `proxy.errors` are ever instantiated.

    Raises `DECODE_ERRORS`, TypeError and ValueError for a payload that `encode_error` cannot have
    made.
    """
    encoded = msgspec.msgpack.decode(payload, type=EncodedError)
    error_class = getattr(errors, encoded.name, None)
    if not (isinstance(error_class, type) and issubclass(error_class, errors.ProxyError)):
        raise TypeError(f"{encoded.name!r} is not an error class of proxy.errors")
    return error_class(encoded.message, detail=encoded.detail, **encoded.attributes)
