"""Works for the tests of the pool: what the fork server imports there in place of the real ones."""

# ruff: noqa: ARG001 - a work takes what every work takes

import os
import signal
from collections.abc import Sequence

from proxy.buffers import SharedBuffer
from proxy.errors import InvalidOperation
from proxy.render.protocol import Heavy, Lane, Work


def _size(originals: Sequence[SharedBuffer], argument: int, lane: Lane) -> list[int]:
    return [argument, *(len(original) for original in originals)]


def _wait(originals: Sequence[SharedBuffer], argument: None, lane: Lane) -> int:
    """Until the first byte of the original, which is shared memory, is no longer 0."""
    seen = memoryview(originals[0].view())
    while not seen[0]:
        pass
    return os.getpid()


def _die(originals: Sequence[SharedBuffer], argument: int, lane: Lane) -> int:
    """Die in the process of that number, or in any if it is 0."""
    if argument in (0, os.getpid()):
        os.kill(os.getpid(), signal.SIGKILL)
    return os.getpid()


def _refuse(originals: Sequence[SharedBuffer], argument: str, lane: Lane) -> None:
    raise InvalidOperation(argument, operation=3, field="width", detail="for the log")


def _fault(originals: Sequence[SharedBuffer], argument: None, lane: Lane) -> None:
    raise ZeroDivisionError


def _echo(originals: Sequence[SharedBuffer], argument: int, lane: Lane) -> bytes:
    return b"x" * argument


def _lane(originals: Sequence[SharedBuffer], argument: bool, lane: Lane) -> str:
    """The lane it was done on; dear work knows that it is."""
    if argument and lane == "live":
        raise Heavy
    return lane


def _blur(originals: Sequence[SharedBuffer], argument: int, lane: Lane) -> float:
    """One libvips call that takes minutes."""
    import pyvips

    return float(pyvips.Image.black(argument, argument).gaussblur(50).avg())


_kept: list[bytes] = []


def _leak(originals: Sequence[SharedBuffer], argument: int, lane: Lane) -> int:
    _kept.append(b"x" * argument)
    return os.getpid()


def _grow(originals: Sequence[SharedBuffer], argument: int, lane: Lane) -> int:
    """Memory in pieces that the allocator likes to keep."""
    return len([b"x" * 4096 for _ in range(argument // 4096)])


def _churn(originals: Sequence[SharedBuffer], argument: int, lane: Lane) -> int:
    """Memory as pixels need it, all of it done with."""
    return len([b"x" * 1_000_000 for _ in range(argument // 1_000_000)])


CHURN = Work("churn", int, int, _churn)
LEAK = Work("leak", int, int, _leak)
GROW = Work("grow", int, int, _grow)
SIZE = Work("size", int, list[int], _size)
WAIT = Work("wait", type(None), int, _wait)
DIE = Work("die", int, int, _die)
REFUSE = Work("refuse", str, type(None), _refuse)
FAULT = Work("fault", type(None), type(None), _fault)
ECHO = Work("echo", int, bytes, _echo)
LANE = Work("lane", bool, str, _lane)
BLUR = Work("blur", int, float, _blur)

WORKS = (CHURN, LEAK, GROW, SIZE, WAIT, DIE, REFUSE, FAULT, ECHO, LANE, BLUR)
