"""Tasks for the tests of the pool: the fork server imports them in place of the real ones."""

# ruff: noqa: ARG001 - a handler takes what every handler takes

import os
import signal
import time
from collections.abc import Sequence

from proxy.buffers import SharedBuffer
from proxy.errors import InvalidOperation
from proxy.render.ipc import TaskHandler, TooExpensive
from proxy.render.scheduling import Priority


def _sizes(buffers: Sequence[SharedBuffer], argument: int, priority: Priority) -> list[int]:
    return [argument, *(len(buffer) for buffer in buffers)]


def _wait(buffers: Sequence[SharedBuffer], argument: None, priority: Priority) -> int:
    """Until the first byte of the buffer, which is shared memory, is no longer 0.

    Sets the second one when it begins.
    """
    os.pwrite(buffers[0].descriptor, b"\1", 1)
    shared = memoryview(buffers[0].view())
    while not shared[0]:
        pass
    return os.getpid()


def _die(buffers: Sequence[SharedBuffer], pid: int, priority: Priority) -> int:
    """Die in the process of that pid, or in any if it is 0."""
    if pid in (0, os.getpid()):
        os.kill(os.getpid(), signal.SIGKILL)
    return os.getpid()


def _fail(buffers: Sequence[SharedBuffer], message: str, priority: Priority) -> None:
    raise InvalidOperation(message, operation=3, field="width", detail="for the log")


def _bug(buffers: Sequence[SharedBuffer], argument: None, priority: Priority) -> None:
    raise ZeroDivisionError


def _bytes(buffers: Sequence[SharedBuffer], size: int, priority: Priority) -> bytes:
    return b"x" * size


def _priority(buffers: Sequence[SharedBuffer], expensive: bool, priority: Priority) -> str:
    """The priority at which it runs; an expensive task notices that it is one."""
    if expensive and priority == "interactive":
        raise TooExpensive
    return priority


def _blur(buffers: Sequence[SharedBuffer], side: int, priority: Priority) -> float:
    """One libvips call that takes minutes."""
    import pyvips

    return float(pyvips.Image.black(side, side).gaussblur(50).avg())


def _sleep(buffers: Sequence[SharedBuffer], seconds: float, priority: Priority) -> float:
    """Take time, but no CPU time."""
    time.sleep(seconds)
    return seconds


def _block(buffers: Sequence[SharedBuffer], size: int, priority: Priority) -> int:
    """One call in which no other thread of the interpreter can run, of minutes."""
    return sum(range(size))


_leaked: list[bytes] = []


def _leak(buffers: Sequence[SharedBuffer], size: int, priority: Priority) -> int:
    _leaked.append(b"x" * size)
    return os.getpid()


def _allocate_small(buffers: Sequence[SharedBuffer], size: int, priority: Priority) -> int:
    """Allocate and free memory in blocks that the allocator likes to retain."""
    return len([b"x" * 4096 for _ in range(size // 4096)])


def _allocate_large(buffers: Sequence[SharedBuffer], size: int, priority: Priority) -> int:
    """Allocate and free memory in blocks as pixels need it."""
    return len([b"x" * 1_000_000 for _ in range(size // 1_000_000)])


ALLOCATE_LARGE = TaskHandler("allocate-large", int, int, _allocate_large)
ALLOCATE_SMALL = TaskHandler("allocate-small", int, int, _allocate_small)
BLOCK = TaskHandler("block", int, int, _block)
BLUR = TaskHandler("blur", int, float, _blur)
BUG = TaskHandler("bug", type(None), type(None), _bug)
BYTES = TaskHandler("bytes", int, bytes, _bytes)
DIE = TaskHandler("die", int, int, _die)
FAIL = TaskHandler("fail", str, type(None), _fail)
LEAK = TaskHandler("leak", int, int, _leak)
PRIORITY = TaskHandler("priority", bool, str, _priority)
SLEEP = TaskHandler("sleep", float, float, _sleep)
SIZES = TaskHandler("sizes", int, list[int], _sizes)
WAIT = TaskHandler("wait", type(None), int, _wait)

HANDLERS = (
    ALLOCATE_LARGE,
    ALLOCATE_SMALL,
    BLOCK,
    BLUR,
    BUG,
    BYTES,
    DIE,
    FAIL,
    LEAK,
    PRIORITY,
    SIZES,
    SLEEP,
    WAIT,
)
