"""nginx as a caching proxy in front of another server."""

from __future__ import annotations

from pathlib import Path

from load_generator import PATIENCE_SECONDS
from paths import REPOSITORY
from scenarios import ImageSpec

from servers.nginx import Nginx
from servers.server import Server


class CachingProxy(Nginx):
    """What servers without a cache have in front; its CPU time and memory include theirs.

    As in the documentation of imgproxy, with ``proxy_cache_lock``, so that of many equal requests
    one is passed on.
    """

    caches_results = True

    def __init__(self, folder: Path, upstream: Server, *, workers: int | None = None) -> None:
        self.name = f"{upstream.name} + nginx"
        super().__init__(folder, workers=workers)
        self.upstream = upstream
        self.health = upstream.health

    @property
    def pids(self) -> tuple[int, ...]:
        return *super().pids, *self.upstream.pids

    def link(self, spec: ImageSpec, source: str) -> str:
        return self.upstream.link(spec, source)

    def restart(self) -> None:
        self.stop()
        self.upstream.restart()
        self.start()
        self.start_seconds += self.upstream.start_seconds

    def http_block(self) -> str:
        return f"""
    proxy_cache_path {self.folder}/cache levels=1:2 keys_zone=images:10m max_size=1g
                     inactive=30d use_temp_path=off;
    upstream images {{
        server 127.0.0.1:{self.upstream.port};
        keepalive 32;
    }}
    server {{
        listen 127.0.0.1:{self.port};
        merge_slashes off;
        location / {{
            proxy_pass http://images;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_read_timeout {PATIENCE_SECONDS}s;
            proxy_cache images;
            proxy_cache_key "$request_uri";
            proxy_cache_valid 200 30d;
            proxy_cache_lock on;
            proxy_cache_lock_timeout {PATIENCE_SECONDS}s;
            proxy_cache_lock_age {PATIENCE_SECONDS}s;
        }}
        location = {self.health or "/health"} {{
            proxy_pass http://images;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }}
    }}
"""


class FramekeepProxy(CachingProxy):
    """In front of Framekeep, by ``deploy/nginx.conf``."""

    def http_block(self) -> str:
        text = (REPOSITORY / "deploy" / "nginx.conf").read_text()
        for original, replacement in {
            "/var/cache/nginx-framekeep": f"{self.folder}/cache",
            "server 127.0.0.1:8080;": f"server 127.0.0.1:{self.upstream.port};",
            "listen 8081;": f"listen 127.0.0.1:{self.port};",
            "proxy_read_timeout 35s;": f"proxy_read_timeout {PATIENCE_SECONDS}s;",
        }.items():
            assert text.count(original) == 1, f"deploy/nginx.conf has no {original}"
            text = text.replace(original, replacement)
        return text
