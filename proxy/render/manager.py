"""Start, replace and stop the render processes of a machine, for the one process that owns them.

The owner holds the listening sockets, in a folder of mode 0700, so that they outlive a fork server
that died: it is started again, and callers that wait at the socket are served by the next one. The
fork server ends with its owner, however that ends.
"""

import asyncio
import logging
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from proxy.render.child_process import wait_exit
from proxy.render.config import RenderConfig
from proxy.render.ipc import REPLACED, socket_path
from proxy.render.scheduling import PRIORITIES
from proxy.telemetry.config import LogConfig

logger = logging.getLogger("framekeep.render.manager")

_BACKLOG = 1024
"""Tasks of one priority that wait on the machine. The queue of each worker is shorter."""

_STOP_TIMEOUT_SECONDS = 20.0
"""For render processes to finish the tasks that they run."""

_SHORT_LIFE_SECONDS = 5.0
"""A fork server that died sooner may do so again at once: the next one starts after a backoff."""

_MIN_BACKOFF_SECONDS = 0.1
_MAX_BACKOFF_SECONDS = 5.0

_PASSED_VARIABLES = (
    "PATH",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "HOME",
    "LD_LIBRARY_PATH",
    "TMPDIR",
)
"""The variables that render processes inherit: none that could hold a secret."""


class RenderProcessManager:
    """Runs render processes from ``start`` to ``stop``; also an asynchronous context manager."""

    def __init__(
        self,
        config: RenderConfig,
        *,
        handlers: str = "proxy.render.handlers",
        preload: Sequence[str] = (),
        readable_paths: Sequence[str] = (),
        log: LogConfig | None = None,
        runtime_dir: Path | None = None,
    ) -> None:
        """``handlers`` names the module whose ``HANDLERS`` run the tasks.

        The sandbox of render processes allows neither imports nor reads later on, so both are
        declared here: ``preload`` are modules to import before the fork, ``readable_paths`` are
        files and folders such as those of models. ``runtime_dir`` is where the folder of sockets is
        made; by default that is the temporary directory of the system.
        """
        self._config = config
        self._handlers = handlers
        self._preload = preload
        self._readable_paths = readable_paths
        self._log_config = log or LogConfig()
        self._listeners: list[socket.socket] = []
        self._supervisors: set[asyncio.Task[None]] = set()
        self._owner_pipe: int
        self._backoff = 0.0
        self._stopping = False
        self.fork_server: subprocess.Popen[bytes]
        self.directory = (
            runtime_dir or Path(tempfile.gettempdir())
        ) / f"framekeep-{secrets.token_hex(8)}"

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    def start(self) -> None:
        """Start; tasks can be sent at once and wait at the socket for the first process."""
        self.directory.mkdir(mode=0o700)
        for priority in PRIORITIES:
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            listener.setblocking(False)
            listener.bind(socket_path(self.directory, priority))
            listener.listen(_BACKLOG)
            self._listeners.append(listener)
        self._start_fork_server()

    def reload(self) -> None:
        """Start fresh processes; the old ones finish the tasks that they run, and end."""
        old_pipe = self._owner_pipe
        self._start_fork_server()
        os.write(old_pipe, REPLACED)
        os.close(old_pipe)

    async def stop(self) -> None:
        """Finish the tasks that run, drop those that wait, and end all processes."""
        self._stopping = True
        for listener in self._listeners:
            listener.close()
        os.close(self._owner_pipe)
        if self._supervisors:
            await asyncio.wait(self._supervisors, timeout=_STOP_TIMEOUT_SECONDS)
        if self.fork_server.poll() is None:
            self.fork_server.kill()
            await wait_exit(self.fork_server)
        shutil.rmtree(self.directory, ignore_errors=True)

    def _start_fork_server(self) -> None:
        self.fork_server, self._owner_pipe = self._spawn()
        loop = asyncio.get_running_loop()
        supervisor = loop.create_task(self._supervise(self.fork_server, loop.time()))
        self._supervisors.add(supervisor)
        supervisor.add_done_callback(self._supervisors.discard)

    def _spawn(self) -> tuple[subprocess.Popen[bytes], int]:
        """The process, and the end of the pipe whose closing ends it."""
        read_end, write_end = os.pipe()
        listeners = [listener.fileno() for listener in self._listeners]
        command = (sys.executable, "-P", "-m", "proxy.render.fork_server")
        options = [
            f"--handlers={self._handlers}",
            f"--config={msgspec.json.encode(self._config).decode()}",
            f"--log-config={msgspec.json.encode(self._log_config).decode()}",
            f"--owner-pipe={read_end}",
            f"--listeners={','.join(map(str, listeners))}",
            f"--directory={self.directory}",
            "--preload",
            *self._preload,
            "--readable-paths",
            *self._readable_paths,
        ]
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [*command, *options],
            stdin=subprocess.DEVNULL,
            pass_fds=[read_end, *listeners],
            env=render_process_environment(os.environ),
            start_new_session=True,  # Ctrl-C at a terminal signals the owner only
        )
        os.close(read_end)
        return process, write_end

    async def _supervise(self, process: subprocess.Popen[bytes], started_at: float) -> None:
        """Wait until the fork server exits, and start another unless that was intended."""
        await wait_exit(process)
        if process is not self.fork_server or self._stopping:
            return
        logger.error("fork server exited with %s; restarting", process.returncode)
        lifetime = asyncio.get_running_loop().time() - started_at
        self._backoff = (
            min(_MAX_BACKOFF_SECONDS, self._backoff * 2 or _MIN_BACKOFF_SECONDS)
            if lifetime < _SHORT_LIFE_SECONDS
            else 0.0
        )
        await asyncio.sleep(self._backoff)
        if process is self.fork_server and not self._stopping:
            os.close(self._owner_pipe)
            self._start_fork_server()


def render_process_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of render processes: paths, locale, and how libraries are to behave."""
    passed = {name: environment[name] for name in _PASSED_VARIABLES if name in environment}
    return passed | {
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        # We schedule: one task runs at a time, in one thread.
        "VIPS_CONCURRENCY": "1",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        # One task at a time needs one arena. Memory of pixels is reused, not released as soon as it
        # is free: to get it anew from the kernel was a fifth of the cost of a smart crop (25 ms of
        # 135). An idle render process releases it.
        "MALLOC_ARENA_MAX": "1",
        "MALLOC_MMAP_THRESHOLD_": "33554432",
        "MALLOC_TRIM_THRESHOLD_": "33554432",
        "VIPS_WARNING": "0",  # warnings of libvips about a stranger's file do not belong in our log
        # No temporary files: memory is bounded, and the sandbox denies writes. libvips accepts the
        # units k, m and g.
        "VIPS_DISC_THRESHOLD": "999g",
    }
