"""Functions of the C library that Python does not have."""

import ctypes
import os

_PR_SET_DUMPABLE, _PR_SET_NAME = 4, 15


def call(name: str, *arguments: int | bytes | ctypes.c_ulong | None) -> int:
    """Call a function of the C library. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    result: int = getattr(libc, name)(*arguments)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def set_process_name(name: str) -> None:
    """Set the name in `ps`, of up to 15 bytes; for the first thread of a process."""
    call("prctl", _PR_SET_NAME, name.encode(), 0, 0, 0)


def deny_inspection() -> None:
    """Let no process without a privilege read the memory, environment or open files of this one.

    Not even one of the same user, as a render process is. There are no core dumps either.
    """
    call("prctl", _PR_SET_DUMPABLE, 0, 0, 0, 0)
