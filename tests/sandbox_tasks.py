"""Tasks that try, inside a render process, what no image needs."""

# ruff: noqa: ARG001 - a handler takes what every handler takes

import ctypes
import os
import resource
import socket
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from proxy.buffers import SharedBuffer
from proxy.render.ipc import TaskHandler
from proxy.render.scheduling import Priority


def _connect() -> object:
    return socket.create_connection(("127.0.0.1", 9), timeout=1)


def _fork_twice() -> object:
    return [os.fork() or os._exit(0) for _ in range(2)]


FORBIDDEN: dict[str, Callable[[], object]] = {
    "connect": _connect,
    "resolve": lambda: socket.getaddrinfo("localhost", 80),
    "listen": lambda: socket.create_server(("127.0.0.1", 0)),
    "a local socket": lambda: socket.socket(socket.AF_UNIX),
    "run a program": lambda: subprocess.run(["/bin/true"], check=True),
    "become a program": lambda: os.execv("/bin/true", ["true"]),  # noqa: S606 - there is no shell on purpose
    "fork": _fork_twice,
    "read /etc/passwd": lambda: Path("/etc/passwd").read_bytes(),
    "list /": lambda: list(Path("/").iterdir()),
    "read another's environment": lambda: Path(f"/proc/{os.getppid()}/environ").read_bytes(),
    "write a file": lambda: os.open("/tmp", os.O_TMPFILE | os.O_RDWR),  # noqa: S108 - it leaves no file behind
    "signal another": lambda: os.kill(os.getppid(), 0),
    "raise its limits": lambda: resource.setrlimit(resource.RLIMIT_CORE, (1, 1)),
    "mount": lambda: _libc("mount", b"none", b"/mnt", b"tmpfs", 0, None),
    "trace": lambda: _libc("ptrace", 16, os.getppid(), None, None),
    "take too much memory": lambda: len(bytes(4 * 1024**3)),
}


def _libc(name: str, *arguments: bytes | int | None) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if getattr(library, name)(*arguments) < 0:
        raise OSError(ctypes.get_errno(), "denied")


def _try(buffers: Sequence[SharedBuffer], action: str, priority: Priority) -> str:
    """The exception that a forbidden action raised; empty where it succeeded."""
    try:
        FORBIDDEN[action]()
    except (OSError, ValueError, MemoryError, subprocess.SubprocessError) as error:
        return type(error).__name__
    return ""


def _environment(
    buffers: Sequence[SharedBuffer], argument: None, priority: Priority
) -> dict[str, str]:
    return dict(os.environ)


TRY = TaskHandler("try", str, str, _try)
ENVIRONMENT = TaskHandler("environment", type(None), dict[str, str], _environment)

HANDLERS = (TRY, ENVIRONMENT)
