"""What an HTTP worker and a render process agree on: the works, the lanes, the wire.

One connection is one job. The worker sends an order, with the originals as descriptors beside it,
and reads frames until one says how it ended. Hanging up is the way to say that nobody waits.

    worker    length, order ─────────────────▶ renderer     (descriptors travel with the first byte)
    worker    ◀──────────── STARTED, DONE | FAILED | HEAVY

Both ends are ours, so the order is trusted; the renderer reads what strangers sent, so its answer
is read as data only: an outcome of a known type, or a failure out of `proxy.errors`.
"""

import os
import socket
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, TypeVar, get_args

import msgspec
from msgspec import Meta, Struct

from proxy import errors
from proxy.buffers import Buffer, SharedBuffer

Lane = Literal["live", "heavy", "background"]
"""Who waits with whom: somebody is waiting for a cheap picture, or for a dear one; nobody is."""

LANES: tuple[Lane, ...] = get_args(Lane)

ORDER_BYTES = 4 * 1024 * 1024
"""Longest order. Plans are bounded long before; this keeps the wire itself bounded."""

DESCRIPTORS = 64
"""Most originals in one order; the kernel would let 253 pass."""

Argument = TypeVar("Argument")
Result = TypeVar("Result")


class Heavy(Exception):
    """Raised by work on the live lane that knows by now that it belongs on the heavy one."""


@dataclass(frozen=True)
class Task(Generic[Argument, Result]):
    """What can be ordered, and the types that travel to and fro."""

    name: str
    argument: type[Argument]
    result: type[Result]


@dataclass(frozen=True)
class Work(Task[Argument, Result]):
    """A pure function that render processes do.

    ``does`` takes what came along (originals, or room for a result), the argument and the lane it
    runs on. It may raise a ProxyError, which is raised again at the caller's, or, on the live lane
    alone, Heavy as soon as it knows (from the header, say): then it is begun anew where dear work
    waits.
    """

    does: Callable[[Sequence[SharedBuffer], Argument, Lane], Result]

    @classmethod
    def of(
        cls,
        task: Task[Argument, Result],
        does: Callable[[Sequence[SharedBuffer], Argument, Lane], Result],
    ) -> "Work[Argument, Result]":
        return cls(task.name, task.argument, task.result, does)


def registry(works: Sequence[Work[Any, Any]]) -> Mapping[str, Work[Any, Any]]:
    return {work.name: work for work in works}


class Order(Struct, frozen=True, array_like=True):
    """``seconds`` is how long the work may last once it has begun."""

    work: str
    seconds: float
    descriptors: int
    argument: msgspec.Raw


class Kind(IntEnum):
    STARTED = 1
    """The payload is the moment, in seconds of the machine's monotonic clock."""

    DONE = 2
    FAILED = 3
    HEAVY = 4


RETIRE = b"r"
"""What an owner says to a fork server that others have taken over from. Silence is its own end."""

LENGTH = struct.Struct("!I")
FRAME = struct.Struct("!BQ")
MOMENT = struct.Struct("!d")


class RenderConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """The render processes of this machine, and the queue in front of them."""

    processes: Annotated[int, Meta(ge=0, le=256)] = 0
    """Render processes on this machine, shared by its HTTP workers; 0: one for each core."""

    max_queue: Annotated[int, Meta(ge=1, le=10_000)] = 64
    """Most renders that wait in one HTTP worker; one more is answered 503."""

    queue_timeout_seconds: Annotated[float, Meta(gt=0, le=300)] = 5.0
    """Longest wait for a render process, in seconds; then the answer is 503."""

    max_memory_bytes: Annotated[int, Meta(ge=64 * 1024 * 1024)] = 512 * 1024 * 1024
    """Memory that one render process may take for its work, in bytes; beyond it, the work fails."""

    max_memory_growth_bytes: Annotated[int, Meta(ge=16 * 1024 * 1024)] = 64 * 1024 * 1024
    """Growth in memory, in bytes, after which a render process is replaced between two jobs."""

    max_tasks_per_process: Annotated[int, Meta(ge=1, le=1_000_000)] = 2000
    """Jobs after which a render process is replaced."""

    nice: Annotated[int, Meta(ge=0, le=19)] = 15
    """How far render processes stand back, by the system's scale, when HTTP workers want a core:
    what is kept is answered at once while all cores render. At 0 they share alike."""

    sandbox: bool = True
    """Confine render processes by every means the kernel offers; `framekeep doctor` lists them."""

    patched: tuple[str, ...] = ()
    """Advisories, like CVE-2026-84383, that the libraries here are mended against though their
    version numbers are older: nothing is served with a known hole that a picture can reach."""

    @property
    def process_count(self) -> int:
        """How many render processes that makes."""
        return self.processes or cores()


def cores() -> int:
    """Cores that this process may use: by affinity, and by a container's share of them."""
    usable = len(os.sched_getaffinity(0))
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text("ascii").split()
    except (OSError, ValueError):
        return usable
    return usable if quota == "max" else max(1, min(usable, -(-int(quota) // int(period))))


def socket_path(directory: Path, lane: Lane) -> str:
    """Where the renderers of a machine are asked for work of a lane."""
    return str(directory / lane)


def send_order(line: socket.socket, order: bytes, descriptors: Sequence[int]) -> bytes:
    """Send what fits without waiting; the rest is returned. Raises OSError."""
    message = LENGTH.pack(len(order)) + order
    return message[socket.send_fds(line, [message], descriptors) :]


def receive_order(line: socket.socket) -> tuple[Order, list[int]]:
    """Read an order and the descriptors that came with it, which are the caller's to close.

    Raises OSError (also for a line that closed early) and msgspec.DecodeError.
    """
    chunk, descriptors, _, _ = socket.recv_fds(line, 65536, DESCRIPTORS)
    data = bytearray(chunk)
    while len(data) < LENGTH.size or len(data) < LENGTH.size + LENGTH.unpack_from(data)[0]:
        chunk = line.recv(65536)
        if not chunk or len(data) > ORDER_BYTES:
            raise ConnectionResetError("the line closed before the order was complete")
        data += chunk
    return msgspec.msgpack.decode(memoryview(data)[LENGTH.size :], type=Order), descriptors


def frame(kind: Kind, payload: bytes = b"") -> bytes:
    return FRAME.pack(kind, len(payload)) + payload


class Failure(Struct, frozen=True, array_like=True):
    """A ProxyError on its way: the class by name, and what it carries beside its words."""

    name: str
    message: str
    detail: str
    fields: dict[str, str | int | float | bool | None]


def write_failure(error: errors.ProxyError) -> bytes:
    fields = {name: value for name, value in vars(error).items() if name != "detail"}
    return msgspec.msgpack.encode(Failure(type(error).__name__, str(error), error.detail, fields))


def read_failure(payload: Buffer) -> errors.ProxyError:
    """The error that was written; only classes of `proxy.errors` are ever made.

    Raises msgspec.DecodeError, TypeError and ValueError for what no renderer of ours would write.
    """
    failure = msgspec.msgpack.decode(payload, type=Failure)
    kind = getattr(errors, failure.name, None)
    if not (isinstance(kind, type) and issubclass(kind, errors.ProxyError)):
        raise TypeError(f"{failure.name!r} is no failure of ours")
    return kind(failure.message, detail=failure.detail, **failure.fields)
