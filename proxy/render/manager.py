"""The machine's render processes, for the one process that owns them.

The owner holds the listening sockets, in a directory that is its user's alone, so that they outlive
a fork server that died: it is started again, and whoever waited at the socket is served by the next
one. The fork server ends with its owner, however that ends.
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

from proxy.render.child_process import ended
from proxy.render.protocol import LANES, RETIRE, RenderConfig, socket_path
from proxy.telemetry.logging import LogConfig

log = logging.getLogger("framekeep.renderers")

_BACKLOG = 1024
"""Most jobs that wait on the machine, in one lane. Each worker's own queue is shorter."""

_STOP_SECONDS = 20.0
"""Longest wait for renderers to finish what they have in hand."""

_SHORT_LIFE = 5.0
_LONGEST_PAUSE = 5.0
"""Seconds: a fork server that lived shorter may do so again, so the next one has to wait."""

_PASSED_ON = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "HOME", "LD_LIBRARY_PATH", "TMPDIR")
"""What renderers see of our environment: nothing that could be a secret."""


class Renderers:
    """Render processes from ``start`` to ``stop``; also an asynchronous context."""

    def __init__(
        self,
        settings: RenderConfig,
        *,
        works: str = "proxy.render.tasks",
        imports: Sequence[str] = (),
        readable: Sequence[str] = (),
        log: LogConfig | None = None,
    ) -> None:
        """``works`` names the module whose ``WORKS`` can be ordered.

        What else they need is told beforehand, because renderers may not look for it: modules to
        import, and files and folders to read (detectors' models, say).
        """
        self._settings = settings
        self._works = works
        self._imports = imports
        self._readable = readable
        self._log = log or LogConfig()
        self._listeners: list[socket.socket] = []
        self._keepers: set[asyncio.Task[None]] = set()
        self._hold: int
        self._pause = 0.0
        self._stopping = False
        self.process: subprocess.Popen[bytes]
        self.directory = Path(tempfile.gettempdir(), f"framekeep-{secrets.token_hex(8)}")

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
        """Begin. Work can be ordered at once; it waits at the socket until a renderer is there."""
        self.directory.mkdir(mode=0o700)
        for lane in LANES:
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            listener.setblocking(False)
            listener.bind(socket_path(self.directory, lane))
            listener.listen(_BACKLOG)
            self._listeners.append(listener)
        self._begin()

    def renew(self) -> None:
        """Fresh processes take over; the old ones finish what they have in hand."""
        hold = self._hold
        self._begin()
        os.write(hold, RETIRE)
        os.close(hold)

    async def stop(self) -> None:
        """End: what is in hand is finished, what waits is not begun."""
        self._stopping = True
        for listener in self._listeners:
            listener.close()
        os.close(self._hold)
        if self._keepers:
            await asyncio.wait(self._keepers, timeout=_STOP_SECONDS)
        if self.process.poll() is None:
            self.process.kill()
            await ended(self.process)
        shutil.rmtree(self.directory, ignore_errors=True)

    def _begin(self) -> None:
        self.process, self._hold = self._spawn()
        loop = asyncio.get_running_loop()
        keeper = loop.create_task(self._keep(self.process, loop.time()))
        self._keepers.add(keeper)
        keeper.add_done_callback(self._keepers.discard)

    def _spawn(self) -> tuple[subprocess.Popen[bytes], int]:
        owner, hold = os.pipe()
        listeners = [listener.fileno() for listener in self._listeners]
        command = (sys.executable, "-P", "-m", "proxy.render.fork_server")
        words = [
            f"--works={self._works}",
            f"--settings={msgspec.json.encode(self._settings).decode()}",
            f"--log={msgspec.json.encode(self._log).decode()}",
            f"--owner={owner}",
            f"--listeners={','.join(map(str, listeners))}",
            f"--directory={self.directory}",
            "--imports",
            *self._imports,
            "--readable",
            *self._readable,
        ]
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [*command, *words],
            stdin=subprocess.DEVNULL,
            pass_fds=[owner, *listeners],
            env=renderer_environment(os.environ),
            start_new_session=True,  # Ctrl-C at a terminal is the owner's to hear
        )
        os.close(owner)
        return process, hold

    async def _keep(self, process: subprocess.Popen[bytes], began: float) -> None:
        """See the fork server end, and begin another where nobody wanted that."""
        await ended(process)
        if process is not self.process or self._stopping:
            return
        log.error("the fork server ended with %s; beginning another", process.returncode)
        short = asyncio.get_running_loop().time() - began < _SHORT_LIFE
        self._pause = min(_LONGEST_PAUSE, self._pause * 2 or 0.1) if short else 0.0
        await asyncio.sleep(self._pause)
        if process is self.process and not self._stopping:
            os.close(self._hold)
            self._begin()


def renderer_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """What a renderer's environment holds: places and languages, and how libraries shall behave."""
    passed = {name: environment[name] for name in _PASSED_ON if name in environment}
    return passed | {
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "VIPS_CONCURRENCY": "1",  # we schedule, it computes
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        # One job at a time needs one arena. Pixels are reused, not given back the moment they are
        # done with: to take them anew from the kernel was a fifth of what a smart crop cost
        # (25 ms of 135). A renderer gives memory back when it has nothing to do.
        "MALLOC_ARENA_MAX": "1",
        "MALLOC_MMAP_THRESHOLD_": "33554432",
        "MALLOC_TRIM_THRESHOLD_": "33554432",
        "VIPS_WARNING": "0",  # what libvips thinks of a stranger's file is no line of our log
        # No temporary files: memory is bounded, and disks are shut. libvips knows k, m and g.
        "VIPS_DISC_THRESHOLD": "999g",
    }
