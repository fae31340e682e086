"""A server that fetches its originals and answers by HTTP, beside Framekeep."""

import socket
import subprocess
import tempfile
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import pyvips
from compare import Link
from msgspec import Struct

from proxy.errors import ProxyError
from proxy.limits import Limits
from proxy.links.config import LinksConfig
from proxy.links.dialect import Dialect, DialectContext
from proxy.operations import OPERATIONS
from proxy.operations.pipeline import render
from proxy.operations.registry import OperationRegistry
from proxy.smartcrop.detector import SubjectDetector

_START_SECONDS = 60


class HttpRival(ABC):
    """``dialect`` and ``config`` are what reads the same links here."""

    links: Sequence[Link]
    dialect: Callable[[DialectContext], Dialect]
    config: Struct
    health_path = "/healthcheck"

    @abstractmethod
    def command(self, folder: Path, port: int) -> list[str]:
        """The command that starts the server; files that it needs go into the folder."""

    @abstractmethod
    def path(self, link: Link, source: str, files: str) -> str:
        """The path of a link that asks for PNG, so that only the picture is compared.

        ``files`` is the URL of the folder of the source.
        """

    def environment(self) -> Mapping[str, str] | None:
        """The environment of the server; None for that of this process."""
        return None

    def render(self, links: Sequence[Link], original: Path) -> Sequence[bytes | str]:
        _draw_logo(original.with_name("logo.png"))
        port = _free_port()
        with (
            tempfile.TemporaryDirectory() as folder,
            _serving(original.parent) as files,
            self._running(self.command(Path(folder), port), port),
        ):
            return [
                _fetch(f"http://127.0.0.1:{port}{self.path(link, files + original.name, files)}")
                for link in links
            ]

    def render_here(self, links: Sequence[Link], original: Path) -> Sequence[bytes | str]:
        context = DialectContext(
            OperationRegistry(OPERATIONS), LinksConfig(), sections=[self.config]
        )
        dialect, detector = self.dialect(context), SubjectDetector()
        body = original.read_bytes()
        logo = original.with_name("logo.png").read_bytes()
        results: list[bytes | str] = []
        files = "https://images.example/"
        for link in links:
            path = self.path(link, files + original.name, files)
            try:
                plan = dialect.parse(path.encode()).plan
                extra = dict.fromkeys(plan.extra_sources(), logo)
                rendered = render(body, plan, Limits(), detector=detector, extra_images=extra)
            except ProxyError as error:
                results.append(str(error))
            else:
                results.append(rendered.rendition.body)
        return results

    @contextmanager
    def _running(self, command: list[str], port: int) -> Iterator[None]:
        process = subprocess.Popen(
            command,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=self.environment(),
        )
        try:
            deadline = time.monotonic() + _START_SECONDS
            while not _is_up(f"http://127.0.0.1:{port}{self.health_path}"):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit(f"{command[0]} did not start")
                time.sleep(0.2)
            yield
        finally:
            process.terminate()
            process.wait(timeout=30)


def _draw_logo(path: Path) -> None:
    logo = pyvips.Image.black(60, 40, bands=3).linear(1, [255, 128, 0], uchar=True)
    path.write_bytes(logo.copy(interpretation="srgb").pngsave_buffer())


def _fetch(url: str) -> bytes | str:
    try:
        with urlopen(url, timeout=120) as response:  # noqa: S310 - a server on loopback
            body: bytes = response.read()
            return body
    except HTTPError as error:
        return f"HTTP {error.code}"


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class _QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


@contextmanager
def _serving(folder: Path) -> Iterator[str]:
    """Serve the files of a folder, for the other server to fetch; yields the URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_QuietHandler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


def _is_up(url: str) -> bool:
    try:
        urlopen(url, timeout=2).close()  # noqa: S310 - a server on loopback
    except HTTPError:
        return True  # an answer is an answer
    except (URLError, OSError):
        return False
    return True
