"""A root file system that holds nothing but a few paths, for render processes.

Landlock denies reading other files, but not looking them up: size, times and names of any file
could be found out by guessing its path. Below this root there is nothing else to look up, not even
``/proc``.

It is made once, by a helper process in a user namespace and a mount namespace of its own, and costs
each render process two system calls to enter. No privilege is needed where the kernel lets ordinary
users make user namespaces; the default profiles of many container runtimes do not.
"""

import ctypes
import os
import platform
import socket
import struct
from collections.abc import Iterable
from pathlib import Path

from proxy.render.libc import call

_NEW_USER, _NEW_MOUNTS = 0x10000000, 0x00020000
_READ_ONLY, _NO_SUID, _NO_DEV, _REMOUNT = 1, 2, 4, 32
_BIND, _RECURSIVE, _PRIVATE = 4096, 16384, 1 << 18
_DETACH = 2
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}

_ERROR = struct.Struct("!I")


class RootFilesystem:
    """The two namespaces of the file system, as descriptors."""

    def __init__(self, user_namespace: int, mount_namespace: int) -> None:
        self._namespaces = ((user_namespace, _NEW_USER), (mount_namespace, _NEW_MOUNTS))

    @classmethod
    def create(cls, paths: Iterable[str], folder: Path) -> "RootFilesystem":
        """Make a root with these files and folders, those that exist.

        ``folder`` is any folder of this user; nothing in it changes. Raises OSError where the
        system does not allow it. For a process with one thread.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours, theirs:
            pid = os.fork()
            if not pid:
                _run_helper(theirs, paths, str(folder))
            theirs.close()
            data, descriptors, _, _ = socket.recv_fds(ours, _ERROR.size, 2)
            os.waitpid(pid, 0)
        if len(descriptors) == len((_NEW_USER, _NEW_MOUNTS)):
            return cls(*descriptors)
        (code,) = _ERROR.unpack(data) if len(data) == _ERROR.size else (0,)
        raise OSError(code, os.strerror(code))

    def enter(self) -> None:
        """Make it the root of this process, which has one thread. Raises OSError."""
        for descriptor, kind in self._namespaces:
            call("setns", descriptor, kind)
        self.close()

    def close(self) -> None:
        for descriptor, _ in self._namespaces:
            os.close(descriptor)


def _run_helper(result: socket.socket, paths: Iterable[str], folder: str) -> None:
    code = 0
    try:
        namespaces = _make_namespaces(paths, folder)
        socket.send_fds(result, [_ERROR.pack(0)], namespaces)
    except OSError as error:
        code = error.errno or 0
        result.send(_ERROR.pack(code))
    finally:
        os._exit(1 if code else 0)


def _make_namespaces(paths: Iterable[str], folder: str) -> list[int]:
    if platform.machine() not in _PIVOT_ROOT:
        raise OSError(38, os.strerror(38))
    user, group = os.geteuid(), os.getegid()
    call("unshare", _NEW_USER | _NEW_MOUNTS)
    namespaces = [os.open(f"/proc/self/ns/{kind}", os.O_RDONLY) for kind in ("user", "mnt")]
    Path("/proc/self/setgroups").write_text("deny", "ascii")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1", "ascii")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1", "ascii")
    _mount("none", "/", _PRIVATE | _RECURSIVE)
    _mount("tmpfs", folder, _NO_SUID | _NO_DEV, "tmpfs", "mode=755,size=1m")
    for path in sorted({*map(os.path.realpath, paths)}):
        _add(path, folder)
    for path in paths:
        _add_link(path, folder)
    os.chdir(folder)
    call("syscall", _PIVOT_ROOT[platform.machine()], b".", b".")
    call("umount2", b".", _DETACH)
    _mount("none", "/", _REMOUNT | _BIND | _READ_ONLY | _NO_SUID | _NO_DEV)
    return namespaces


def _add(path: str, folder: str) -> None:
    """Show the file or folder in the new root, unless it is missing or below another one."""
    target = Path(folder + path)
    if not Path(path).exists() or target.exists():
        return
    if Path(path).is_dir():
        target.mkdir(parents=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    _mount(path, str(target), _BIND | _RECURSIVE)


def _add_link(path: str, folder: str) -> None:
    """Let a path through symbolic links lead to the same place in the new root."""
    target = Path(folder + path)
    if os.path.realpath(path) == path or not Path(path).exists() or os.path.lexists(target):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    target.symlink_to(os.path.realpath(path))


def _mount(source: str, target: str, flags: int, kind: str = "none", options: str = "") -> None:
    call(
        "mount",
        os.fsencode(source),
        os.fsencode(target),
        kind.encode(),
        ctypes.c_ulong(flags),
        options.encode(),
    )
