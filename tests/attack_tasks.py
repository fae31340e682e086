"""What code could try that has taken over a render process: tasks, and an operation.

It runs inside a real render process, behind all guards, as the exploit of a decoder would.
"""

# ruff: noqa: ARG001 - handlers take all; the plain calls are the attacks

import contextlib
import ctypes
import fcntl
import mmap
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any

import msgspec

from proxy.buffers import SharedBuffer
from proxy.imaging.picture import Picture
from proxy.operations.operation import Operation
from proxy.render.ipc import (
    IDLE,
    EncodedError,
    ReplyType,
    TaskHandler,
    encode_reply,
)
from proxy.render.scheduling import Priority

_LIBC = ctypes.CDLL(None, use_errno=True)
_MEGABYTE = 1 << 20

_held: list[object] = []
"""What an attack needs to stay open or mapped."""


def _check(result: int) -> None:
    if result < 0:
        raise OSError(ctypes.get_errno(), "denied")


def _reopen(descriptor: int) -> None:
    os.close(os.open(f"/proc/self/fd/{descriptor}", os.O_RDWR))


CHANGES: dict[str, Callable[[int], object]] = {
    "write": lambda descriptor: os.pwrite(descriptor, b"evil", 0),
    "append": lambda descriptor: os.pwrite(descriptor, b"evil", os.fstat(descriptor).st_size),
    "shorten": lambda descriptor: _check(_LIBC.ftruncate(descriptor, ctypes.c_long(0))),
    "map for writing": lambda descriptor: mmap.mmap(descriptor, 4, access=mmap.ACCESS_WRITE),
    "open for writing": _reopen,
    "make a hole": lambda descriptor: _check(_LIBC.fallocate(descriptor, 3, 0, 4)),
}


def _change(buffers: Sequence[SharedBuffer], argument: None, priority: Priority) -> list[str]:
    """The changes to the first buffer that succeeded."""
    succeeded = []
    for name, change in CHANGES.items():
        with contextlib.suppress(OSError, ValueError):
            change(buffers[0].descriptor)
            succeeded.append(name)
    return succeeded


def _descriptors() -> list[int]:
    found = []
    for descriptor in range(256):
        with contextlib.suppress(OSError):
            os.fstat(descriptor)
            found.append(descriptor)
    return found


def _break_sockets(buffers: Sequence[SharedBuffer], argument: None, priority: Priority) -> int:
    """Try on every open descriptor what would disturb those who share it; how many succeeded."""
    succeeded = 0
    for descriptor in _descriptors():
        for attack in (
            lambda fd: _check(_LIBC.shutdown(fd, socket.SHUT_RDWR)),
            lambda fd: _check(
                _LIBC.setsockopt(fd, socket.SOL_SOCKET, socket.SO_RCVBUF, b"\0" * 4, 4)
            ),
            lambda fd: fcntl.fcntl(
                fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) ^ os.O_NONBLOCK
            ),
            lambda fd: fcntl.fcntl(fd, fcntl.F_SETOWN, os.getppid()),
            lambda fd: _check(_LIBC.accept4(fd, None, None, socket.SOCK_NONBLOCK)),
        ):
            with contextlib.suppress(OSError):
                attack(descriptor)
                succeeded += 1
    return succeeded


def _ignore_alarms() -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    for timer in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF):
        signal.setitimer(timer, 0)
    vars(os)["_exit"] = time.sleep  # which the thread that watches the caller would call


def _never_end(buffers: Sequence[SharedBuffer], argument: None, priority: Priority) -> None:
    """Ignore all limits, and the caller; the first buffer gets the pid."""
    _ignore_alarms()
    os.pwrite(buffers[0].descriptor, b"%9d" % os.getpid(), 0)
    while True:
        time.sleep(3600)


def _chatter(buffers: Sequence[SharedBuffer], argument: None, priority: Priority) -> None:
    """Ask for further tasks while this one goes on; the first buffer gets the pid."""
    os.pwrite(buffers[0].descriptor, b"%9d" % os.getpid(), 0)
    control = next(
        value
        for frame in _frames()
        for value in frame.values()
        if type(value).__name__ == "RenderProcess"
    )._control
    _ignore_alarms()
    while True:
        control.send(IDLE)


def _frames() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        found.append(frame.f_locals)
        frame = frame.f_back
    return found


def _shared_mapping() -> object:
    memory = mmap.mmap(-1, 256 * _MEGABYTE, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)
    memory[::4096] = b"x" * (256 * _MEGABYTE // 4096)
    return memory


def _growing_stack() -> object:
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x0100
    return mmap.mmap(-1, 256 * _MEGABYTE, flags=flags)


def _memory_file() -> object:
    descriptor = os.memfd_create("hoard")
    os.pwrite(descriptor, bytes(32 * _MEGABYTE), 0)
    return descriptor


MEMORY: dict[str, Callable[[], object]] = {
    "private memory": lambda: bytearray(256 * _MEGABYTE),
    "shared memory": _shared_mapping,
    "a stack that grows": _growing_stack,
    "a file in memory": _memory_file,
    "pipes": os.pipe,
}


def _take_memory(buffers: Sequence[SharedBuffer], argument: None, priority: Priority) -> list[str]:
    """The kinds of memory of which there is no end; the first buffer is for a result."""
    succeeded = []
    for name, take in MEMORY.items():
        with contextlib.suppress(OSError, MemoryError):
            _held.append(take())
            succeeded.append(name)
    with contextlib.suppress(OSError):
        os.pwrite(buffers[0].descriptor, b"x", buffers[0].size)
        succeeded.append("a result that grows")
    return succeeded


PATHS: dict[str, Callable[[str], object]] = {
    "stat": os.stat,
    "access": lambda path: _check(_LIBC.access(os.fsencode(path), os.F_OK)),
    "open": lambda path: os.open(path, os.O_PATH),
    "statvfs": os.statvfs,
}


def _look_up(buffers: Sequence[SharedBuffer], path: str, priority: Priority) -> list[str]:
    """By which calls the path was found."""
    found = []
    for name, look in PATHS.items():
        with contextlib.suppress(OSError):
            look(path)
            found.append(name)
    return found


def _read_first(buffers: Sequence[SharedBuffer], paths: list[str], priority: Priority) -> list[str]:
    """Those of the paths that could be read or listed."""
    found = []
    for path in paths:
        with contextlib.suppress(OSError):
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.read(descriptor, 1)
            except IsADirectoryError:
                os.listdir(descriptor)  # noqa: PTH208 - of a descriptor
            except OSError as error:
                if (
                    error.errno != 5
                ):  # memory at address 0 is not mapped: it was opened all the same
                    raise
            found.append(path)
    return found


CHANGE = TaskHandler("change", type(None), list[str], _change)
BREAK_SOCKETS = TaskHandler("break-sockets", type(None), int, _break_sockets)
NEVER_END = TaskHandler("never-end", type(None), type(None), _never_end)
CHATTER = TaskHandler("chatter", type(None), type(None), _chatter)
TAKE_MEMORY = TaskHandler("take-memory", type(None), list[str], _take_memory)
LOOK_UP = TaskHandler("look-up", str, list[str], _look_up)
READ = TaskHandler("read", list[str], list[str], _read_first)

HANDLERS = (CHANGE, BREAK_SOCKETS, NEVER_END, CHATTER, TAKE_MEMORY, LOOK_UP, READ)


_PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
_TINY = _PNG + (1).to_bytes(4, "big") * 2


def _rendition(body: bytes = _TINY, **fields: object) -> dict[str, object]:
    size = {"width": 1, "height": 1}
    return {"rendition": {"body": body, "format": "png", "size": size, **fields}}


def _subject(*region: object) -> dict[str, object]:
    return {**_rendition(), "detected_subject": {"regions": [region]}}


def _done(result: object) -> bytes:
    return encode_reply(ReplyType.DONE, msgspec.msgpack.encode(result))


def _failed(name: str, message: str = "no", field: str | None = None) -> bytes:
    encoded = EncodedError(name, message, "", None, field)
    return encode_reply(ReplyType.FAILED, msgspec.msgpack.encode(encoded))


REPLIES: dict[str, Callable[[], bytes]] = {
    "a script": lambda: _done(_rendition(b"<svg onload=alert(1)>", format="svg")),
    "a script that is called a picture": lambda: _done(_rendition(b"<svg onload=alert(1)>")),
    "another format": lambda: _done(_rendition(b"GIF89a\1\0\1\0", format="gif")),
    "an unknown format": lambda: _done(_rendition(format="html")),
    "another size": lambda: _done(_rendition(size={"width": 2, "height": 1})),
    "no bytes": lambda: _done(_rendition(b"")),
    "a size that is none": lambda: _done(_rendition(size={"width": -1, "height": 0})),
    "too many pixels": lambda: _done(
        _rendition(_PNG + (8000).to_bytes(4, "big") * 2, size={"width": 8000, "height": 8000})
    ),
    "a text that ends a header": lambda: _done(
        _rendition(crop_reason="face\r\nset-cookie: evil=1")
    ),
    "a subject that is nowhere": lambda: _done(_subject(float("nan"), 0, 1, 1, 1, "face")),
    "a subject that is endless": lambda: _done(_subject(0, 0, 1e300, 1, 1, "face")),
    "an error of somebody else": lambda: _failed("InvalidSignature"),
    "no error": lambda: _failed("os"),
    "a message of several lines": lambda: _failed("BrokenImage", "no\r\nset-cookie: evil=1"),
    "a field of several lines": lambda: _failed("InvalidOperation", "no", "a\nb"),
    "no reply": lambda: b"\x63" + bytes(8),
    "an endless reply": lambda: encode_reply(ReplyType.DONE)[:1] + b"\xff" * 8,
    "nonsense": lambda: encode_reply(ReplyType.DONE, b"\xc1"),
    "the start of another task": lambda: encode_reply(ReplyType.STARTED, bytes(12)),
}


class Forge(Operation, frozen=True):
    """Send a forged reply to the HTTP worker, and go on as if nothing had happened."""

    reply_number: int

    def apply(self, picture: Picture) -> Picture:
        connection = next(frame["connection"] for frame in _frames() if "connection" in frame)
        connection.send([*REPLIES.values()][self.reply_number]())
        _ignore_alarms()
        while True:
            time.sleep(3600)
