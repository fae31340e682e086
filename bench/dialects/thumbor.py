"""thumbor and imagor beside Framekeep: 61 links in their grammar, whose results are PNG."""

import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import venv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import quote
from urllib.request import urlopen

import pyvips
from compare import Link
from urls import COLOR_FILTERS, FILTERS, SHAPES

from proxy.errors import ProxyError
from proxy.limits import Limits
from proxy.links.config import LinksConfig
from proxy.links.dialect import DialectContext
from proxy.links.thumbor import ImagorDialect, ThumborDialect
from proxy.links.thumbor.config import ImagorConfig, ThumborConfig
from proxy.operations import OPERATIONS
from proxy.operations.pipeline import render
from proxy.operations.registry import OperationRegistry
from proxy.smartcrop.detector import SubjectDetector

VERSION = "7.8.0"
ENVIRONMENT = Path(sys.prefix) / "thumbor"
_START_SECONDS = 60
_SETTINGS = """\
SECURITY_KEY = 'bench'
ALLOW_UNSAFE_URL = True
RESPECT_ORIENTATION = True
STORAGE = 'thumbor.storages.no_storage'
DETECTORS = []
"""


class ThumborRival:
    """It is installed with pip into an environment of its own."""

    how_to_install = "pip could not install it"
    links = (
        *(Link(shape) for shape in SHAPES),
        *(Link(text) for text in FILTERS),
        *(Link(text, shows_window=False) for text in COLOR_FILTERS),
    )
    dialect = staticmethod(ThumborDialect)
    config: ThumborConfig | ImagorConfig = ThumborConfig(allow_unsigned=True)

    def is_installed(self) -> bool:
        python = ENVIRONMENT / "bin" / "python"
        if not python.exists():
            venv.create(ENVIRONMENT, with_pip=True)
        install = [str(python), "-m", "pip", "install", "--quiet", f"thumbor=={VERSION}"]
        return subprocess.run(install, check=False).returncode == 0

    def version(self) -> str:
        return f"thumbor {VERSION}"

    def command(self, folder: Path, port: int) -> list[str]:
        settings = folder / "thumbor.conf"
        settings.write_text(_SETTINGS, encoding="utf-8")
        python = str(ENVIRONMENT / "bin" / "python")
        return [
            python,
            "-m",
            "thumbor.server",
            "-i",
            "127.0.0.1",
            "-p",
            str(port),
            "-c",
            str(settings),
        ]

    def render(self, links: Sequence[Link], original: Path) -> Sequence[bytes | str]:
        _draw_logo(original.with_name("logo.png"))
        port = _free_port()
        with (
            tempfile.TemporaryDirectory() as folder,
            _serving(original.parent) as files,
            _running(self.command(Path(folder), port), port),
        ):
            return [
                _fetch(f"http://127.0.0.1:{port}{_path(link, files + original.name, files)}")
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
        for link in links:
            path = _path(link, f"https://images.example/{original.name}", "https://images.example/")
            try:
                plan = dialect.parse(path.encode()).plan
                extra = dict.fromkeys(plan.extra_sources(), logo)
                rendered = render(body, plan, Limits(), detector=detector, extra_images=extra)
            except ProxyError as error:
                results.append(str(error))
            else:
                results.append(rendered.rendition.body)
        return results


class ImagorRival(ThumborRival):
    how_to_install = "put the binary imagor on the PATH"
    links = tuple(
        link
        for link in ThumborRival.links
        # imagor has no `orig`, and other values for these filters
        if not re.search(r"orig|rotate|round_corner|saturation|sharpen|blur\(", link.text)
    )
    dialect = staticmethod(ImagorDialect)
    config = ImagorConfig(allow_unsigned=True)

    def is_installed(self) -> bool:
        return shutil.which("imagor") is not None

    def version(self) -> str:
        return "imagor"

    def command(self, _folder: Path, port: int) -> list[str]:
        return ["imagor", "-imagor-unsafe", "-port", str(port)]


def _path(link: Link, source: str, files: str) -> str:
    """The path of a link; it asks for PNG, so that only the picture is compared."""
    text = link.text.format(logo=quote(f"{files}logo.png", safe=""))
    separator = ":" if "filters:" in text else "/filters:"
    return f"/unsafe/{text}{separator}format(png)/{quote(source, safe='')}"


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


@contextmanager
def _running(command: list[str], port: int) -> Iterator[None]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + _START_SECONDS
        while not _is_up(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"{command[0]} did not start")
            time.sleep(0.2)
        yield
    finally:
        process.terminate()
        process.wait(timeout=30)


def _is_up(port: int) -> bool:
    try:
        urlopen(f"http://127.0.0.1:{port}/healthcheck", timeout=2).close()
    except HTTPError:
        return True  # an answer is an answer
    except (URLError, OSError):
        return False
    return True
