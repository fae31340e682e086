"""What all servers have in common: they are processes that listen on a port of loopback."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import proc_stats
from scenarios import ImageSpec

_START_SECONDS = 60.0


class NotStarted(Exception):
    """A server did not respond in time; the message has the end of its log."""


class Efforts(NamedTuple):
    """How hard encoders try: libwebp's method (0 to 6), and libaom's speed (0 to 9, 0 is best)."""

    webp: int
    avif_speed: int

    @property
    def avif(self) -> int:
        """The same as libvips and sharp count it: 9 is best."""
        return 9 - self.avif_speed


class Server:
    """A process and its children.

    ``workers`` is the number of processes that listen, for servers that have such a number; None
    for its own default. ``efforts`` are those of encoders, None for its own.
    """

    name = ""
    caches_results = False  # whether a second request is a hit
    health = ""  # the path of the health check, where there is one

    def __init__(
        self, folder: Path, *, workers: int | None = None, efforts: Efforts | None = None
    ) -> None:
        self.folder = folder / self.name.replace(" ", "")
        self.workers = workers
        self.efforts = efforts
        self.port = _free_port()
        self.start_seconds = 0.0
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    def missing(cls) -> str:
        """What has to be installed before this server can start; "" where nothing has."""
        return ""

    def version(self) -> str:
        """Versions of the server and of the libraries that it renders with."""
        raise NotImplementedError

    def command(self) -> list[str]:
        raise NotImplementedError

    def environment(self) -> Mapping[str, str]:
        return {}

    def link(self, spec: ImageSpec, source: str) -> str:
        """The path of a rendition; ``source`` is the URL of the original."""
        raise NotImplementedError

    @property
    def pids(self) -> tuple[int, ...]:
        """The processes whose descendants do the work."""
        assert self._process is not None
        return (self._process.pid,)

    def cpu_seconds(self) -> float:
        """CPU seconds used so far."""
        return proc_stats.cpu_seconds(*self.pids)

    def memory_bytes(self) -> int:
        return proc_stats.memory_bytes(*self.pids)

    def start(self) -> None:
        """Start with an empty cache; return when it responds. Raises NotStarted."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        environment = {**os.environ, **self.environment()}
        start = time.monotonic()
        with (self.folder / "log").open("wb") as log:
            try:
                self._process = subprocess.Popen(
                    self.command(),
                    stdout=log,
                    stderr=log,
                    cwd=self.folder,
                    env=environment,
                    start_new_session=True,
                )
            except OSError as error:
                raise NotStarted(f"{self.name} did not start: {error}") from error
        while not self._responds():
            if self._process.poll() is not None or time.monotonic() - start > _START_SECONDS:
                self.stop()
                end = (self.folder / "log").read_text(errors="replace").strip()[-300:]
                raise NotStarted(f"{self.name} did not start: {end or 'its log is empty'}")
            time.sleep(0.005)
        self.start_seconds = time.monotonic() - start

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(10)
        with suppress(ProcessLookupError):  # children that are still busy
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process = None

    def restart(self) -> None:
        """Stop, and start with an empty cache."""
        self.stop()
        self.start()

    def _responds(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                return connection.recv(9) != b""
        except OSError:
            return False


def find_program(*paths: Path | str) -> str | None:
    """The first of these programs that exists: a path, or a name on the PATH."""
    return next((found for path in paths if (found := shutil.which(path))), None)


def output_of(*command: str) -> str:
    """The first line that a command prints to stdout or stderr; "" where it fails."""
    try:
        done = subprocess.run(
            command, check=False, timeout=30, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode(errors="replace").strip().partition("\n")[0]


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
