"""The sandbox of a render process: it limits what a malicious image can do through its codec.

Each guard is used where the kernel supports it. None needs a privilege, and missing ones are
reported:

    limits        memory and open files; no core dumps, which would contain an image
    root          only Python, libraries, fonts and models exist: `proxy.render.root_filesystem`
    privileges    capabilities are dropped, and no program that is run can gain any; others cannot
                  inspect the process; it does not outlive the fork server
    landlock      files: read-only, and only Python, libraries, fonts and models; no TCP
    seccomp       system calls: see `proxy.render.seccomp`

Without ``root`` the names, sizes and times of other files can be found out, but not what is in
them. Many container runtimes do not allow it, so it is the only guard that may be missing in a
complete sandbox.
"""

import os
import resource
import signal
import struct
import sys
import sysconfig
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import proxy
from proxy.render import seccomp
from proxy.render.libc import call, deny_inspection
from proxy.render.root_filesystem import RootFilesystem

OPTIONAL_GUARDS = frozenset({"root"})

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


def enter(
    *, readable_paths: Sequence[str], max_growth_bytes: int, root: RootFilesystem | str
) -> Mapping[str, str]:
    """Turn on all guards; for each of them "on", or the reason why it is missing.

    ``readable_paths`` are files and folders besides those of the system and of Python.
    ``max_growth_bytes`` is the memory that the process may allocate beyond what it has now.
    ``root`` is the result of `make_root`. Must be called in the first thread of the process, before
    it starts others.
    """
    guards: dict[str, Callable[[], None]] = {
        "limits": lambda: _set_limits(max_growth_bytes),
        "root": lambda: _enter_root(root),
        "privileges": _drop_privileges,
        "landlock": lambda: _restrict_files(_all_paths(readable_paths)),
        "seccomp": seccomp.install_filter,
    }
    return {name: _turn_on(guard) for name, guard in guards.items()}


def missing_guards(guards: Mapping[str, str]) -> str:
    """What a sandbox lacks to be complete, with the reasons; empty where it is complete."""
    return ", ".join(
        f"{name} ({state})"
        for name, state in guards.items()
        if state != "on" and name not in OPTIONAL_GUARDS
    )


def make_root(readable_paths: Sequence[str], folder: Path) -> RootFilesystem | str:
    """The root for processes that are forked later, or the reason why there is none.

    ``folder`` is any folder of this user. For a process with one thread.
    """
    try:
        return RootFilesystem.create(_all_paths(readable_paths), folder)
    except OSError as error:
        return error.strerror or str(error)


def _turn_on(guard: Callable[[], None]) -> str:
    try:
        guard()
    except OSError as error:
        return error.strerror or str(error)
    return "on"


def _all_paths(readable_paths: Iterable[str]) -> Sequence[str]:
    return tuple(dict.fromkeys([*_SYSTEM_PATHS, *_python_paths(), *readable_paths]))


def _python_paths() -> Iterable[str]:
    yield str(Path(proxy.__file__).parent)
    for name in ("stdlib", "platstdlib", "purelib", "platlib"):
        yield sysconfig.get_path(name)
    yield from (str(Path(prefix, "lib")) for prefix in (sys.prefix, sys.base_prefix))


def _enter_root(root: RootFilesystem | str) -> None:
    if isinstance(root, str):
        raise OSError(root)
    root.enter()


_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
_CAPABILITY_VERSION_3 = 0x20080522


def _drop_privileges() -> None:
    call("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    # Version, process (0: this one); then effective, permitted, inheritable: none, in two halves.
    call("capset", struct.pack("II", _CAPABILITY_VERSION_3, 0), bytes(24))
    deny_inspection()
    call("prctl", _PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


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
    version = call("syscall", _CREATE_RULESET, None, 0, _QUERY_VERSION)
    files = (1 << _FILE_RIGHTS[min(version, max(_FILE_RIGHTS))]) - 1
    # struct landlock_ruleset_attr grew: files, then network (4), then scopes (6).
    attributes = struct.pack("QQQ", files, 0b11, 0b11)
    size = 8 if version < 4 else 16 if version < 6 else 24
    ruleset = call("syscall", _CREATE_RULESET, attributes, size, 0)
    try:
        for path in paths:
            _allow_reading(ruleset, path)
        call("syscall", _RESTRICT_SELF, ruleset, 0)
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
        call("syscall", _ADD_RULE, ruleset, _PATH_BENEATH, beneath, 0)
    finally:
        os.close(descriptor)
