"""The sandbox of a render process: it limits what a malicious image can do through its codec.

Each guard is used where the kernel supports it. None needs a privilege, and missing ones are
reported:

    privileges    capabilities are dropped, and no program that is run can gain any
    limits        memory and open files; no core dumps, which would contain an image
    landlock      files: read-only, and only Python, libraries, fonts and models; no TCP
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

_MAX_OPEN_FILES = 256

_SYSTEM_PATHS = (
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


def enter(*, readable_paths: Sequence[str], max_growth_bytes: int) -> Mapping[str, str]:
    """Turn on all guards; for each of them "on", or the reason why it is missing.

    ``readable_paths`` are files and folders besides those of the system and of Python.
    ``max_growth_bytes`` is the memory that the process may allocate beyond what it has now. Must be
    called in the first thread of the process, before it starts others.
    """
    guards: dict[str, Callable[[], None]] = {
        "privileges": _drop_privileges,
        "limits": lambda: _set_limits(max_growth_bytes),
        "landlock": lambda: _restrict_files([*_SYSTEM_PATHS, *_python_paths(), *readable_paths]),
        "seccomp": seccomp.install_filter,
    }
    return {name: _turn_on(guard) for name, guard in guards.items()}


def _turn_on(guard: Callable[[], None]) -> str:
    try:
        guard()
    except OSError as error:
        return error.strerror or str(error)
    return "on"


def _python_paths() -> Iterable[str]:
    yield str(Path(proxy.__file__).parent)
    for name in ("stdlib", "platstdlib", "purelib", "platlib"):
        yield sysconfig.get_path(name)
    yield from (str(Path(prefix, "lib")) for prefix in (sys.prefix, sys.base_prefix))


_PR_SET_NO_NEW_PRIVS = 38
_CAPABILITY_VERSION_3 = 0x20080522


def _drop_privileges() -> None:
    _call("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    # Version, process (0: this one); then effective, permitted, inheritable: none, in two halves.
    _call("capset", struct.pack("II", _CAPABILITY_VERSION_3, 0), bytes(24))


def _set_limits(max_growth_bytes: int) -> None:
    fields = Path("/proc/self/statm").read_text("ascii").split()
    data = int(fields[5]) * resource.getpagesize()
    for kind, limit in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, _MAX_OPEN_FILES),
        (resource.RLIMIT_DATA, data + max_growth_bytes),
    ):
        _, hard = resource.getrlimit(kind)
        effective = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(kind, (effective, effective))


# linux/landlock.h; these system call numbers are the same on every architecture.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_QUERY_VERSION, _PATH_BENEATH = 1, 1
_READ_FILE, _READ_DIRECTORY = 1 << 2, 1 << 3
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
"""The number of file access rights that each ABI version knows."""


def _restrict_files(paths: Iterable[str]) -> None:
    """Deny all other files, TCP, signals to other processes and abstract sockets."""
    version = _call("syscall", _CREATE_RULESET, None, 0, _QUERY_VERSION)
    files = (1 << _FILE_RIGHTS[min(version, max(_FILE_RIGHTS))]) - 1
    # struct landlock_ruleset_attr grew: files, then network (4), then scopes (6).
    attributes = struct.pack("QQQ", files, 0b11, 0b11)
    size = 8 if version < 4 else 16 if version < 6 else 24
    ruleset = _call("syscall", _CREATE_RULESET, attributes, size, 0)
    try:
        for path in dict.fromkeys(paths):
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
    """Call a function of the C library. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    result: int = getattr(libc, name)(*arguments)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
