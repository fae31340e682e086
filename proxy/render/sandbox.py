"""What a render process may still do once it has begun, whatever a picture makes of its codec.

Each guard is taken where the kernel offers it, none needs a privilege, and what is missing is told:

    privileges    none can be gained by running a program; those of root are given up
    limits        memory, open files; no core dumps, which would hold somebody's picture
    landlock      files: only those of Python, libraries, fonts and models, for reading; no TCP
    seccomp       system calls: see `proxy.render.seccomp`
"""

import ctypes
import os
import resource
import struct
import sys
import sysconfig
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import proxy
from proxy.render import seccomp

_DESCRIPTORS = 256

_SYSTEM_FILES = (
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/usr/share/fonts",
    "/usr/local/share/fonts",
    "/usr/share/fontconfig",
    "/etc/fonts",
    "/var/cache/fontconfig",
    "/etc/ld.so.cache",
    "/sys/devices/system/cpu",
    "/dev/null",
    "/dev/urandom",
)


def enter(*, readable: Sequence[str], growth: int) -> Mapping[str, str]:
    """Give up what rendering does not need; for each guard "on", or why it could not be had.

    ``readable`` are files and folders beside those of the system and of Python; ``growth`` is how
    much memory of its own the process may take beyond what it has, in bytes. For the first thread
    of a process, before others are started.
    """
    guards: dict[str, Callable[[], None]] = {
        "privileges": _give_up_privileges,
        "limits": lambda: _limit(growth),
        "landlock": lambda: _restrict_files([*_SYSTEM_FILES, *_python_files(), *readable]),
        "seccomp": seccomp.confine,
    }
    return {name: _attempt(guard) for name, guard in guards.items()}


def _attempt(guard: Callable[[], None]) -> str:
    try:
        guard()
    except OSError as error:
        return error.strerror or str(error)
    return "on"


def _python_files() -> Iterable[str]:
    yield str(Path(proxy.__file__).parent)
    for name in ("stdlib", "platstdlib", "purelib", "platlib"):
        yield sysconfig.get_path(name)
    yield from (str(Path(prefix, "lib")) for prefix in (sys.prefix, sys.base_prefix))


_PR_SET_NO_NEW_PRIVS = 38
_CAPABILITY_VERSION_3 = 0x20080522


def _give_up_privileges() -> None:
    _call("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    # Version, process (0: this one); then effective, permitted, inheritable: nothing, twice.
    _call("capset", struct.pack("II", _CAPABILITY_VERSION_3, 0), bytes(24))


def _limit(growth: int) -> None:
    fields = Path("/proc/self/statm").read_text("ascii").split()
    data = int(fields[5]) * resource.getpagesize()
    for kind, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, _DESCRIPTORS),
        (resource.RLIMIT_DATA, data + growth),
    ):
        _, hard = resource.getrlimit(kind)
        bound = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (bound, bound))


# linux/landlock.h; the numbers of the calls are the same on every machine.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_ASK_VERSION, _PATH_BENEATH = 1, 1
_READ_FILE, _READ_DIRECTORY = 1 << 2, 1 << 3
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
"""How many rights of files each version of the interface knows."""


def _restrict_files(readable: Iterable[str]) -> None:
    """Refuse every file but these, TCP, signals to others and abstract sockets."""
    version = _call("syscall", _CREATE_RULESET, None, 0, _ASK_VERSION)
    files = (1 << _FILE_RIGHTS[min(version, max(_FILE_RIGHTS))]) - 1
    # struct landlock_ruleset_attr grew: files, then network (4), then scopes (6).
    wanted = struct.pack("QQQ", files, 0b11, 0b11)
    size = 8 if version < 4 else 16 if version < 6 else 24
    ruleset = _call("syscall", _CREATE_RULESET, wanted, size, 0)
    try:
        for path in dict.fromkeys(readable):
            _allow_reading(ruleset, path)
        _call("syscall", _RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _allow_reading(ruleset: int, path: str) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        rights = _READ_FILE | (_READ_DIRECTORY if Path(path).is_dir() else 0)
        beneath = struct.pack("=Qi", rights, descriptor)
        _call("syscall", _ADD_RULE, ruleset, _PATH_BENEATH, beneath, 0)
    finally:
        os.close(descriptor)


def _call(name: str, *arguments: int | bytes | None) -> int:
    """A function of the C library. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    result: int = getattr(libc, name)(*arguments)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
