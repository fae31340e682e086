"""The servers that take part: how each is started, and how it is told a wish."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote, urlencode

from scenarios import Wish

from proxy.links.native import NativeDialect
from proxy.links.signing import Keyring
from proxy.operations import OPERATIONS
from proxy.operations.plan import OperationRegistry

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
WORK = REPOSITORY / "bench" / ".work"
KEY = "00" * 32
_START_SECONDS = 20.0


class NotStarted(Exception):
    """A server did not answer in time; its log is named."""


class Server:
    """A process and all below it, answering on a port of loopback. Only it is ever ended."""

    name = ""
    keeps = False  # whether a second answer is a hit
    health = "/healthcheck"

    def __init__(self, folder: Path, workers: int) -> None:
        self.folder = folder / self.name
        self.workers = workers
        self.port = _free_port()
        self.started_in = 0.0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def command(self) -> list[str]:
        raise NotImplementedError

    def environment(self) -> Mapping[str, str]:
        return {}

    def link(self, wish: Wish, source: str) -> str:
        """The path that asks for a wish; ``source`` is the original's address."""
        raise NotImplementedError

    @classmethod
    def present(cls) -> bool:
        return True

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, **self.environment()}
        began = time.monotonic()
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                self.command(),
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=environment,
                start_new_session=True,
            )
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() - began > _START_SECONDS:
                self.stop()
                raise NotStarted(f"{self.name} did not start; see {self.folder / 'log'}")
            time.sleep(0.005)
        self.started_in = time.monotonic() - began

    def stop(self) -> None:
        if self._process is None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGTERM)
        self._process = None

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as line:
                line.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                return line.recv(9) != b""
        except OSError:
            return False


class Framekeep(Server):
    name = "framekeep"
    keeps = True
    health = "/health/live"

    def __init__(self, folder: Path, workers: int) -> None:
        super().__init__(folder, workers)
        self._native = NativeDialect(OperationRegistry(OPERATIONS), Keyring.from_hex([KEY]))

    def command(self) -> list[str]:
        program = str(Path(sys.executable).with_name("framekeep"))
        return [program, "serve", "--workers", str(self.workers), "--port", str(self.port)]

    def environment(self) -> Mapping[str, str]:
        shutil.rmtree(self.folder / "cache", ignore_errors=True)
        return {
            "FRAMEKEEP_LINKS_KEYS": KEY,
            "FRAMEKEEP_SOURCES_ALLOW_NETS": "127.0.0.0/8",
            "FRAMEKEEP_CACHE_DIR": str(self.folder / "cache"),
            # All on one machine, and as patient as its peers: nobody is refused for being late.
            "FRAMEKEEP_RENDER_QUEUE_TIMEOUT_SECONDS": "60",
            "FRAMEKEEP_LIMITS_REQUEST_TIMEOUT_SECONDS": "120",
            "FRAMEKEEP_SOURCES_READ_TIMEOUT_SECONDS": "30",
        }

    def link(self, wish: Wish, source: str) -> str:
        if wish.smart:
            steps = [f"smart_crop:{wish.width}:{wish.height}"]
        else:
            steps = [f"resize:{wish.width}:{wish.height or ''}"]
        if wish.sharpen:
            steps.append(f"sharpen:{wish.sharpen}")
        steps.append(f"convert:{wish.format}:{wish.quality}")
        return self._native.build(self._native.make_request(source, steps))


class Thumbor(Server):
    name = "thumbor"
    keeps = True

    def command(self) -> list[str]:
        (self.folder / "thumbor.conf").write_text(
            f"""
RESULT_STORAGE = 'thumbor.result_storages.file_storage'
RESULT_STORAGE_FILE_STORAGE_ROOT_PATH = {str(self.folder / "results")!r}
RESULT_STORAGE_STORES_UNSAFE = True
STORAGE = 'thumbor.storages.no_storage'
HTTP_LOADER_REQUEST_TIMEOUT = 120
HTTP_LOADER_CONNECT_TIMEOUT = 120
DETECTORS = ['thumbor.detectors.face_detector', 'thumbor.detectors.feature_detector']
"""
        )
        shutil.rmtree(self.folder / "results", ignore_errors=True)
        return [
            str(WORK / "thumbor" / "bin" / "thumbor"),
            *("--port", str(self.port), "--ip", "127.0.0.1", "--log-level", "error"),
            *("--conf", str(self.folder / "thumbor.conf"), "--processes", str(self.workers)),
        ]

    def link(self, wish: Wish, source: str) -> str:
        filters = [f"format({wish.format})", f"quality({wish.quality})"]
        if wish.sharpen:
            filters.insert(0, f"sharpen(1,{wish.sharpen},true)")
        smart = "smart/" if wish.smart else ""
        size = f"{wish.width}x{wish.height}"
        return f"/unsafe/{size}/{smart}filters:{':'.join(filters)}/{quote(source, safe='')}"


class Ipx(Server):
    name = "ipx"

    def command(self) -> list[str]:
        program = WORK / "node" / "node_modules" / "ipx" / "bin" / "ipx.mjs"
        return ["node", str(program), "serve", "--port", str(self.port), "--host", "127.0.0.1"]

    def environment(self) -> Mapping[str, str]:
        return {"IPX_HTTP_DOMAINS": "127.0.0.1", "NODE_ENV": "production"}

    def link(self, wish: Wish, source: str) -> str:
        size = f"s_{wish.width}x{wish.height}" if wish.height else f"w_{wish.width}"
        words = [size, f"f_{wish.format}", f"q_{wish.quality}"]
        words += ["position_attention"] * wish.smart + ["animated_true"] * wish.animated
        if wish.sharpen:
            words.append(f"sharpen_{wish.sharpen}")
        return f"/{','.join(words)}/{source}"


class Sharp(Server):
    name = "sharp"

    def command(self) -> list[str]:
        copy = WORK / "node" / "sharp_server.mjs"  # node looks for packages beside the program
        shutil.copy(HERE / "sharp_server.mjs", copy)
        return ["node", str(copy), str(self.port)]

    def link(self, wish: Wish, source: str) -> str:
        words: dict[str, object] = {"url": source, "f": wish.format, "q": wish.quality}
        words |= {"w": wish.width, "h": wish.height or ""}
        words |= {"smart": 1} if wish.smart else {}
        words |= {"animated": 1} if wish.animated else {}
        words |= {"sharpen": wish.sharpen} if wish.sharpen else {}
        return "/?" + urlencode(words)


class Imgproxy(Server):
    name = "imgproxy"

    @classmethod
    def present(cls) -> bool:
        return shutil.which("imgproxy") is not None

    def command(self) -> list[str]:
        return ["imgproxy"]

    def environment(self) -> Mapping[str, str]:
        return {
            "IMGPROXY_BIND": f"127.0.0.1:{self.port}",
            "IMGPROXY_ALLOW_LOOPBACK_SOURCE_ADDRESSES": "true",
            "IMGPROXY_WORKERS": str(self.workers),
            "IMGPROXY_LOG_LEVEL": "error",
        }

    def link(self, wish: Wish, source: str) -> str:
        words = [f"rs:{'fill' if wish.height else 'fit'}:{wish.width}:{wish.height}"]
        words += ["g:sm"] * wish.smart
        words += [f"sh:{wish.sharpen}"] if wish.sharpen else []
        words.append(f"q:{wish.quality}")
        return f"/unsafe/{'/'.join(words)}/plain/{quote(source, safe='')}@{wish.format}"


class Imagor(Server):
    name = "imagor"

    @classmethod
    def present(cls) -> bool:
        return shutil.which("imagor") is not None

    def command(self) -> list[str]:
        return ["imagor", "-port", str(self.port), "-imagor-unsafe", "-bind", "127.0.0.1"]

    def link(self, wish: Wish, source: str) -> str:
        filters = [f"sharpen({wish.sharpen})"] if wish.sharpen else []
        filters += [f"format({wish.format})", f"quality({wish.quality})"]
        smart = "smart/" if wish.smart else ""
        size = f"{wish.width}x{wish.height}"
        return f"/unsafe/{size}/{smart}filters:{':'.join(filters)}/{quote(source, safe='')}"


class Nginx(Server):
    """Static files: a floor for hits, and the origin of all originals.

    ``/N/name`` is the file ``name`` for every number N, with a few bytes behind its end that only
    this address has: nobody who knows originals by their bytes has met it.
    """

    name = "nginx"

    def __init__(self, folder: Path, workers: int, *, files: Path, name: str = "nginx") -> None:
        self.name = name
        super().__init__(folder, workers)
        self.files = files

    def command(self) -> list[str]:
        configuration = self.folder / "nginx.conf"
        user = "user root;" if os.geteuid() == 0 else ""
        configuration.write_text(
            f"""
{user}
worker_processes {self.workers};
daemon off;
pid {self.folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    sendfile on;
    keepalive_requests 1000000;
    open_file_cache max=100;
    types {{ image/jpeg jpg; image/png png; image/gif gif; image/webp webp; }}
    client_body_temp_path {self.folder}/body;
    proxy_temp_path {self.folder}/proxy;
    fastcgi_temp_path {self.folder}/fastcgi;
    uwsgi_temp_path {self.folder}/uwsgi;
    scgi_temp_path {self.folder}/scgi;
    {self.sites()}
}}
"""
        )
        program = WORK / "debian" / "usr" / "sbin" / "nginx"
        return [str(program), "-p", str(self.folder), "-c", str(configuration)]

    def sites(self) -> str:
        """What stands in the http block."""
        return f"""
    server {{
        listen 127.0.0.1:{self.port};
        root {self.files};
        add_header Cache-Control "max-age=86400";
        location ~ ^/[0-9]+/(?<name>.*)$ {{
            alias {self.files}/$name;
            add_after_body /tail;
            addition_types *;
        }}
        location = /tail {{
            return 200 $request_uri;
        }}
    }}
"""

    def address(self, original: str, number: int) -> str:
        """Where a fresh copy of an original lies."""
        return f"http://127.0.0.1:{self.port}/{number}/{original}"


class Front(Nginx):
    """nginx in front of a server, with a cache of its own: ``deploy/nginx.conf`` as it is there."""

    def __init__(self, folder: Path, workers: int, *, behind: Server) -> None:
        super().__init__(folder, workers, files=folder, name="nginx-in-front")
        self.behind = behind

    def sites(self) -> str:
        text = (REPOSITORY / "deploy" / "nginx.conf").read_text()
        for theirs, ours in {
            "/var/cache/nginx/framekeep": f"{self.folder}/cache",
            "server 127.0.0.1:8080;": f"server 127.0.0.1:{self.behind.port};",
            "listen 8081;": f"listen 127.0.0.1:{self.port};",
        }.items():
            assert text.count(theirs) == 1, f"deploy/nginx.conf holds no {theirs}"
            text = text.replace(theirs, ours)
        return text


class Bare(Server):
    """uvicorn and the least ASGI app: a floor for hits."""

    name = "bare"

    def __init__(self, folder: Path, workers: int, *, files: Path) -> None:
        super().__init__(folder, workers)
        self.files = files

    def command(self) -> list[str]:
        return [
            *(sys.executable, "-m", "uvicorn", "floor_asgi:app", "--app-dir", str(HERE)),
            *("--port", str(self.port), "--workers", str(self.workers)),
            *("--no-access-log", "--log-level", "error", "--lifespan", "off"),
            *("--http", "httptools", "--loop", "uvloop", "--no-server-header"),
        ]

    def environment(self) -> Mapping[str, str]:
        return {"BENCH_BODIES": str(self.files)}


PEERS: tuple[type[Server], ...] = (Framekeep, Thumbor, Ipx, Sharp, Imgproxy, Imagor)


def _free_port() -> int:
    with socket.socket() as line:
        line.bind(("127.0.0.1", 0))
        return int(line.getsockname()[1])
