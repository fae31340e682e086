"""A process that begins as a copy of this one: what was imported before is shared, not done again.

For a process of one thread. The copy goes by none of the ways of the original: its descriptors are
closed, its signals mean what they mean by default, and it ends when its own work does.
"""

import asyncio
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Collection, Iterable
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

_INPUT, _OUTPUT, _ERRORS = range(3)


class Child:
    """The process, to be waited for and signalled as a `subprocess.Popen`."""

    def __init__(self, does: Callable[[], int], *, keep: Collection[int]) -> None:
        """Begin; it does this, and ends with what that returns, or with 1 where that raises.

        Of our descriptors it has those in ``keep`` and, but for its input, the standard ones.
        """
        self.returncode: int | None = None
        # A signal for the copy is not for our handlers in it: they would wake the original.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            self.pid = os.fork()
            if not self.pid:
                _become(does, keep, before)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def send_signal(self, number: int) -> None:
        if self.returncode is None:  # else its number may be another's by now
            os.kill(self.pid, number)

    def wait(self) -> int:
        """Its exit status, negative for the signal that ended it."""
        if self.returncode is None:
            _, status = os.waitpid(self.pid, 0)
            self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode


async def ended(process: Child | subprocess.Popen[bytes]) -> int:
    """Wait for the end of a child without a thread, on any event loop; its exit status."""
    descriptor = os.pidfd_open(process.pid)
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(descriptor, ended.set)
    try:
        await ended.wait()
        return process.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def _become(does: Callable[[], int], keep: Collection[int], mask: Iterable[int]) -> NoReturn:
    status = 1
    try:
        os.setsid()  # Ctrl-C at a terminal is the original's to hear
        _forget_signals(mask)
        _close_all_but(keep)
        status = does()
    except BaseException:  # noqa: BLE001 - nothing may go back into what the original does
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(AttributeError, OSError, ValueError):  # there may be none, or nobody
                stream.flush()
        os._exit(status)


def _forget_signals(mask: Iterable[int]) -> None:
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _close_all_but(keep: Collection[int]) -> None:
    """The objects that these belonged to live in frames which are never left: none closes again."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), _INPUT)
    kept = {_INPUT, _OUTPUT, _ERRORS, *keep}
    for descriptor in [int(entry.name) for entry in Path("/proc/self/fd").iterdir()]:
        if descriptor not in kept:
            with suppress(OSError):  # the listing had one of its own
                os.close(descriptor)
