"""The servers that are compared: how each is started, and its links."""

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

from scenarios import ImageSpec

from proxy.links.config import LinksConfig
from proxy.links.dialect import DialectContext
from proxy.links.native import NativeDialect
from proxy.operations import OPERATIONS
from proxy.operations.registry import OperationRegistry

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
WORK = REPOSITORY / "bench" / ".work"
KEY = "00" * 32
_START_SECONDS = 20.0


class NotStarted(Exception):
    """A server did not respond in time; the message names its log."""


class Server:
    """A process and its children, listening on a port of loopback."""

    name = ""
    caches_results = False  # whether a second request is a hit
    health = "/healthcheck"

    def __init__(self, folder: Path, workers: int) -> None:
        self.folder = folder / self.name
        self.workers = workers
        self.port = _free_port()
        self.start_seconds = 0.0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def command(self) -> list[str]:
        raise NotImplementedError

    def environment(self) -> Mapping[str, str]:
        return {}

    def link(self, spec: ImageSpec, source: str) -> str:
        """The path of a rendition; ``source`` is the URL of the original."""
        raise NotImplementedError

    @classmethod
    def is_installed(cls) -> bool:
        return True

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        environment = {**os.environ, **self.environment()}
        start = time.monotonic()
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                self.command(),
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=environment,
                start_new_session=True,
            )
        while not self._responds():
            if self._process.poll() is not None or time.monotonic() - start > _START_SECONDS:
                self.stop()
                raise NotStarted(f"{self.name} did not start; see {self.folder / 'log'}")
            time.sleep(0.005)
        self.start_seconds = time.monotonic() - start

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

    def _responds(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                return connection.recv(9) != b""
        except OSError:
            return False


class Framekeep(Server):
    name = "framekeep"
    caches_results = True
    health = "/health/live"

    def __init__(self, folder: Path, workers: int) -> None:
        super().__init__(folder, workers)
        self._context = DialectContext(OperationRegistry(OPERATIONS), LinksConfig(keys=(KEY,)))
        self._dialect = NativeDialect(self._context)

    def command(self) -> list[str]:
        program = str(Path(sys.executable).with_name("framekeep"))
        return [program, "serve", "--workers", str(self.workers), "--port", str(self.port)]

    def environment(self) -> Mapping[str, str]:
        shutil.rmtree(self.folder / "cache", ignore_errors=True)
        return {
            "FRAMEKEEP_LINKS_KEYS": KEY,
            "FRAMEKEEP_SOURCES_ALLOW_NETS": "127.0.0.0/8",
            "FRAMEKEEP_CACHE_DIR": str(self.folder / "cache"),
            # All run on one machine: long timeouts, as in the other servers, so that nothing fails.
            "FRAMEKEEP_LIMITS_REQUEST_TIMEOUT_SECONDS": "120",
            "FRAMEKEEP_SOURCES_READ_TIMEOUT_SECONDS": "30",
        }

    def link(self, spec: ImageSpec, source: str) -> str:
        if spec.smart:
            steps = [f"smart_crop:{spec.width}:{spec.height}"]
        else:
            steps = [f"resize:{spec.width}:{spec.height or ''}"]
        if spec.sharpen:
            steps.append(f"sharpen:{spec.sharpen}")
        steps.append(f"convert:{spec.format}:{spec.quality}")
        return self._dialect.build(self._context.make_request(source, steps))


class Thumbor(Server):
    name = "thumbor"
    caches_results = True

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

    def link(self, spec: ImageSpec, source: str) -> str:
        filters = [f"format({spec.format})", f"quality({spec.quality})"]
        if spec.sharpen:
            filters.insert(0, f"sharpen(1,{spec.sharpen},true)")
        smart = "smart/" if spec.smart else ""
        size = f"{spec.width}x{spec.height}"
        return f"/unsafe/{size}/{smart}filters:{':'.join(filters)}/{quote(source, safe='')}"


class Ipx(Server):
    name = "ipx"

    def command(self) -> list[str]:
        program = WORK / "node" / "node_modules" / "ipx" / "bin" / "ipx.mjs"
        return ["node", str(program), "serve", "--port", str(self.port), "--host", "127.0.0.1"]

    def environment(self) -> Mapping[str, str]:
        return {"IPX_HTTP_DOMAINS": "127.0.0.1", "NODE_ENV": "production"}

    def link(self, spec: ImageSpec, source: str) -> str:
        size = f"s_{spec.width}x{spec.height}" if spec.height else f"w_{spec.width}"
        options = [size, f"f_{spec.format}", f"q_{spec.quality}"]
        options += ["position_attention"] * spec.smart + ["animated_true"] * spec.animated
        if spec.sharpen:
            options.append(f"sharpen_{spec.sharpen}")
        return f"/{','.join(options)}/{source}"


class Sharp(Server):
    name = "sharp"

    def command(self) -> list[str]:
        copy = WORK / "node" / "sharp_server.mjs"  # node looks for packages beside the program
        shutil.copy(HERE / "sharp_server.mjs", copy)
        return ["node", str(copy), str(self.port)]

    def link(self, spec: ImageSpec, source: str) -> str:
        query: dict[str, object] = {"url": source, "f": spec.format, "q": spec.quality}
        query |= {"w": spec.width, "h": spec.height or ""}
        query |= {"smart": 1} if spec.smart else {}
        query |= {"animated": 1} if spec.animated else {}
        query |= {"sharpen": spec.sharpen} if spec.sharpen else {}
        return "/?" + urlencode(query)


class Imgproxy(Server):
    name = "imgproxy"

    @classmethod
    def is_installed(cls) -> bool:
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

    def link(self, spec: ImageSpec, source: str) -> str:
        options = [f"rs:{'fill' if spec.height else 'fit'}:{spec.width}:{spec.height}"]
        options += ["g:sm"] * spec.smart
        options += [f"sh:{spec.sharpen}"] if spec.sharpen else []
        options.append(f"q:{spec.quality}")
        return f"/unsafe/{'/'.join(options)}/plain/{quote(source, safe='')}@{spec.format}"


class Imagor(Server):
    name = "imagor"

    @classmethod
    def is_installed(cls) -> bool:
        return shutil.which("imagor") is not None

    def command(self) -> list[str]:
        return ["imagor", "-port", str(self.port), "-imagor-unsafe", "-bind", "127.0.0.1"]

    def link(self, spec: ImageSpec, source: str) -> str:
        filters = [f"sharpen({spec.sharpen})"] if spec.sharpen else []
        filters += [f"format({spec.format})", f"quality({spec.quality})"]
        smart = "smart/" if spec.smart else ""
        size = f"{spec.width}x{spec.height}"
        return f"/unsafe/{size}/{smart}filters:{':'.join(filters)}/{quote(source, safe='')}"


class Nginx(Server):
    """Static files: a floor for hits, and the origin of all originals.

    ``/N/name`` is the file ``name`` for every number N, followed by a few bytes that are different
    for every URL, so that a server that compares originals by content has not cached it.
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
    {self.http_block()}
}}
"""
        )
        program = WORK / "debian" / "usr" / "sbin" / "nginx"
        return [str(program), "-p", str(self.folder), "-c", str(configuration)]

    def http_block(self) -> str:
        """The contents of the http block."""
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

    def url(self, original: str, number: int) -> str:
        """The URL of copy ``number`` of an original."""
        return f"http://127.0.0.1:{self.port}/{number}/{original}"


class NginxCache(Nginx):
    """nginx as a caching proxy in front of a server, configured by ``deploy/nginx.conf``."""

    def __init__(self, folder: Path, workers: int, *, upstream: Server) -> None:
        super().__init__(folder, workers, files=folder, name="nginx-cache")
        self.upstream = upstream

    def http_block(self) -> str:
        text = (REPOSITORY / "deploy" / "nginx.conf").read_text()
        for original, replacement in {
            "/var/cache/nginx/framekeep": f"{self.folder}/cache",
            "server 127.0.0.1:8080;": f"server 127.0.0.1:{self.upstream.port};",
            "listen 8081;": f"listen 127.0.0.1:{self.port};",
        }.items():
            assert text.count(original) == 1, f"deploy/nginx.conf has no {original}"
            text = text.replace(original, replacement)
        return text


class AsgiFloor(Server):
    """uvicorn and a minimal ASGI app: a floor for hits."""

    name = "asgi-floor"

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


SERVERS: tuple[type[Server], ...] = (Framekeep, Thumbor, Ipx, Sharp, Imgproxy, Imagor)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
