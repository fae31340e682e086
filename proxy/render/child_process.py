"""Fork a process that runs one function: what was imported before the fork is shared, not redone.

For a process with one thread. The copy never returns into the code of the original: its descriptors
are closed, its signal handlers are the default ones, and it exits when its function returns.
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

_STDIN, _STDOUT, _STDERR = range(3)


class ForkedProcess:
    """A forked child; it is waited for and signaled like a `subprocess.Popen`."""

    def __init__(self, target: Callable[[], int], *, pass_fds: Collection[int]) -> None:
        """Fork; the child exits with what ``target`` returns, or with 1 where that raises.

        The child has the descriptors of ``pass_fds``, stdout and stderr. Raises OSError.
        """
        self.returncode: int | None = None
        # A signal for the child must not reach our handlers in it: they would wake this process.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            self.pid = os.fork()
            if not self.pid:
                _run_child(target, pass_fds, mask)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def send_signal(self, number: int) -> None:
        if self.returncode is None:  # else the pid may belong to another process by now
            os.kill(self.pid, number)

    def wait(self) -> int:
        """The exit status, negative for the signal that killed it."""
        if self.returncode is None:
            _, status = os.waitpid(self.pid, 0)
            self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode


async def wait_exit(process: ForkedProcess | subprocess.Popen[bytes]) -> int:
    """Wait until a child exits, without a thread and on any event loop; its exit status."""
    pidfd = os.pidfd_open(process.pid)
    exited = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(pidfd, exited.set)
    try:
        await exited.wait()
        return process.wait()
    finally:
        loop.remove_reader(pidfd)
        os.close(pidfd)


def _run_child(
    target: Callable[[], int], pass_fds: Collection[int], mask: Iterable[int]
) -> NoReturn:
    status = 1
    try:
        os.setsid()  # Ctrl-C at a terminal signals the original only
        _reset_signals(mask)
        _close_all_but(pass_fds)
        status = target()
    except BaseException:  # noqa: BLE001 - nothing may propagate into the code of the original
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(AttributeError, OSError, ValueError):  # it may be missing or closed
                stream.flush()
        os._exit(status)


def _reset_signals(mask: Iterable[int]) -> None:
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _close_all_but(pass_fds: Collection[int]) -> None:
    """Close what was inherited.

    No object closes its descriptor a second time: the frames that own them are never left.
    """
    os.dup2(os.open(os.devnull, os.O_RDONLY), _STDIN)
    open_fds = {_STDIN, _STDOUT, _STDERR, *pass_fds}
    for descriptor in [int(entry.name) for entry in Path("/proc/self/fd").iterdir()]:
        if descriptor not in open_fds:
            with suppress(OSError):  # the listing had a descriptor of its own
                os.close(descriptor)
