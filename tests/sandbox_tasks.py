"""Works that try, inside a render process, what no picture needs."""

# ruff: noqa: ARG001 - a work takes what every work takes

import ctypes
import os
import resource
import socket
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from proxy.buffers import SharedBuffer
from proxy.render.protocol import Lane, Work


def _connect() -> object:
    return socket.create_connection(("127.0.0.1", 9), timeout=1)


def _bomb() -> object:
    return [os.fork() or os._exit(0) for _ in range(2)]


FORBIDDEN: dict[str, Callable[[], object]] = {
    "connect": _connect,
    "resolve": lambda: socket.getaddrinfo("localhost", 80),
    "listen": lambda: socket.create_server(("127.0.0.1", 0)),
    "a local socket": lambda: socket.socket(socket.AF_UNIX),
    "run a program": lambda: subprocess.run(["/bin/true"], check=True),
    "become a program": lambda: os.execv("/bin/true", ["true"]),  # noqa: S606 - no shell is the point
    "fork": _bomb,
    "read /etc/passwd": lambda: Path("/etc/passwd").read_bytes(),
    "list /": lambda: list(Path("/").iterdir()),
    "read another's environment": lambda: Path(f"/proc/{os.getppid()}/environ").read_bytes(),
    "write a file": lambda: os.open("/tmp", os.O_TMPFILE | os.O_RDWR),  # noqa: S108 - it leaves nothing
    "signal another": lambda: os.kill(os.getppid(), 0),
    "raise its limits": lambda: resource.setrlimit(resource.RLIMIT_CORE, (1, 1)),
    "mount": lambda: _libc("mount", b"none", b"/mnt", b"tmpfs", 0, None),
    "trace": lambda: _libc("ptrace", 16, os.getppid(), None, None),
    "take too much memory": lambda: len(bytes(4 * 1024**3)),
}


def _libc(name: str, *arguments: bytes | int | None) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if getattr(library, name)(*arguments) < 0:
        raise OSError(ctypes.get_errno(), "refused")


def _try(originals: Sequence[SharedBuffer], argument: str, lane: Lane) -> str:
    """What came of trying something that no picture needs: empty, or what the system said."""
    try:
        FORBIDDEN[argument]()
    except (OSError, ValueError, MemoryError, subprocess.SubprocessError) as error:
        return type(error).__name__
    return ""


def _environment(originals: Sequence[SharedBuffer], argument: None, lane: Lane) -> dict[str, str]:
    return dict(os.environ)


TRY = Work("try", str, str, _try)
ENVIRONMENT = Work("environment", type(None), dict[str, str], _environment)

WORKS = (TRY, ENVIRONMENT)
