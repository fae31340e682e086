"""Start, replace and stop the render processes of a machine, for the one process that owns them.

The owner holds the listening sockets, in a folder of mode 0700, so that they outlive a fork server
that died or that could not be started: it is started again, and callers that wait at the socket are
served by the next one. The fork server ends with its owner, however that ends.
"""

import asyncio
import logging
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from proxy.render.child_process import wait_exit
from proxy.render.config import RenderConfig
from proxy.render.ipc import COMPONENT, REPLACED, socket_path
from proxy.render.libc import deny_inspection
from proxy.render.scheduling import PRIORITIES
from proxy.runtime.background import BackgroundTasks, TaskFailed, describe
from proxy.runtime.components import ComponentStatus, StatusFile
from proxy.runtime.run_folder import RunFolder
from proxy.telemetry.config import LogConfig

logger = logging.getLogger("framekeep.render.manager")

_BACKLOG = 1024
"""Tasks of one priority that wait on the machine. The queue of each worker is shorter."""

_STOP_TIMEOUT_SECONDS = 20.0
"""For render processes to finish the tasks that they run."""

_TASK = "fork_server"

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
        task_seconds: float = 60.0,
        reserve_first: bool = True,
    ) -> None:
        """``handlers`` names the module whose ``HANDLERS`` run the tasks.

        The sandbox of render processes allows neither imports nor reads later on, so both are
        declared here: ``preload`` are modules to import before the fork, where their function
        ``before_fork`` is called if they have one; it must start no thread. ``readable_paths`` are
        files and folders such as those of models. ``runtime_dir`` is where the folder of sockets is
        made; by default that is the temporary directory of the system. A process is killed when it
        has had a task for longer than ``task_seconds``, whatever the task's own limit is. With
        ``reserve_first`` one of several processes is kept free for interactive tasks.
        """
        self._reserve_first = reserve_first
        self._config = config
        self._handlers = handlers
        self._preload = preload
        self._readable_paths = readable_paths
        self._task_seconds = task_seconds
        self._log_config = log or LogConfig()
        self._listeners: list[socket.socket] = []
        self._background = BackgroundTasks(on_change=self._report_status)
        self._supervisors: list[asyncio.Task[None]] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._owner_pipe = -1
        self._generation = 0
        self._stopping = False
        self._folder = RunFolder(runtime_dir or Path(tempfile.gettempdir()))
        self.directory = self._folder.path

    @property
    def fork_server(self) -> subprocess.Popen[bytes]:
        """The fork server that runs. Raises LookupError while there is none."""
        if self._process is None:
            raise LookupError("no fork server is running")
        return self._process

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
        """Start; tasks can be sent immediately and wait at the socket for the first process.

        A fork server that cannot be started now is started later.
        """
        if self._config.sandbox:
            deny_inspection()  # render processes are of the same user
        self._folder.sweep()
        self._folder.create()
        for priority in PRIORITIES:
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            listener.setblocking(False)
            listener.bind(socket_path(self.directory, priority))
            listener.listen(_BACKLOG)
            self._listeners.append(listener)
        try:
            self._start_fork_server()
        except OSError as error:
            self._background.record_failure(_TASK, error)
        self._supervise_generation()

    def reload(self) -> None:
        """Start fresh processes; the old ones finish the tasks that they run, and end.

        Raises OSError where these cannot be started; then the old ones stay.
        """
        had_process, old_pipe = self._process is not None, self._owner_pipe
        self._start_fork_server()
        self._generation += 1
        self._supervise_generation()
        if had_process:
            with suppress(BrokenPipeError):  # it has just died
                os.write(old_pipe, REPLACED)
            os.close(old_pipe)

    async def stop(self) -> None:
        """Finish the tasks that run, drop those that wait, and end all processes."""
        self._stopping = True
        for listener in self._listeners:
            listener.close()
        if self._process is None:
            await self._background.close()
        else:
            os.close(self._owner_pipe)
            await asyncio.wait(self._supervisors, timeout=_STOP_TIMEOUT_SECONDS)
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            await wait_exit(self._process)
        self._folder.remove()

    def _start_fork_server(self) -> None:
        """Raises OSError."""
        read_end, write_end = os.pipe()
        try:
            self._process = self._spawn(read_end)
        except OSError:
            os.close(write_end)
            raise
        finally:
            os.close(read_end)
        self._owner_pipe = write_end

    def _spawn(self, read_end: int) -> subprocess.Popen[bytes]:
        """Start the process; it ends when the pipe is closed. Raises OSError."""
        listeners = [listener.fileno() for listener in self._listeners]
        command = (sys.executable, "-P", "-m", "proxy.render.fork_server")
        options = [
            f"--handlers={self._handlers}",
            f"--config={msgspec.json.encode(self._config).decode()}",
            f"--log-config={msgspec.json.encode(self._log_config).decode()}",
            f"--owner-pipe={read_end}",
            f"--listeners={','.join(map(str, listeners))}",
            f"--directory={self.directory}",
            f"--task-seconds={self._task_seconds}",
            *(() if self._reserve_first else ("--no-reserve",)),
            "--preload",
            *self._preload,
            "--readable-paths",
            *self._readable_paths,
        ]
        return subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [*command, *options],
            stdin=subprocess.DEVNULL,
            pass_fds=[read_end, *listeners],
            env=render_process_environment(os.environ),
            start_new_session=True,  # Ctrl-C at a terminal signals the owner only
        )

    def _supervise_generation(self) -> None:
        supervise = partial(self._supervise, self._generation, self._process)
        self._supervisors = [task for task in self._supervisors if not task.done()]
        self._supervisors.append(self._background.restart(_TASK, supervise))

    async def _supervise(self, generation: int, first: subprocess.Popen[bytes] | None) -> None:
        """Start a fork server where there is none; raise TaskFailed if it exits unexpectedly.

        Each reload begins another generation. The supervisor of an old one starts nothing, and
        waits until the ``first`` process of its generation has exited.
        """
        if generation != self._generation:
            if first is not None and first.returncode is None:
                await wait_exit(first)
            return
        if self._process is None:
            self._start_fork_server()
        status = await wait_exit(self.fork_server)
        if generation == self._generation and not self._stopping:
            self._process = None
            os.close(self._owner_pipe)
            raise TaskFailed(f"fork server exited with {status}")

    def _report_status(self) -> None:
        """Report that there are no render processes; the next fork server reports that it has."""
        reason = self._background.failing.get(_TASK)
        if reason is not None and self._process is None:
            status = ComponentStatus("down", f"no render processes: {reason}; trying again")
            try:
                StatusFile(self.directory, COMPONENT).write(status)
            except OSError as error:
                logger.warning("status of render processes not reported: %s", describe(error))


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
        # is free: to get it again from the kernel was a fifth of the cost of a smart crop (25 ms of
        # 135). An idle render process releases it.
        "MALLOC_ARENA_MAX": "1",
        "MALLOC_MMAP_THRESHOLD_": "33554432",
        "MALLOC_TRIM_THRESHOLD_": "33554432",
        "VIPS_WARNING": "0",  # warnings of libvips about untrusted files do not belong in our log
        # No temporary files: memory is bounded, and the sandbox denies writes. libvips accepts the
        # units k, m and g.
        "VIPS_DISC_THRESHOLD": "999g",
    }
