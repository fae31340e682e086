"""nginx: the origin of all originals, and a floor for hits."""

from __future__ import annotations

import os
from pathlib import Path

from paths import WORK

from servers.server import Server, output_of

PROGRAM = WORK / "debian" / "usr" / "sbin" / "nginx"


class Nginx(Server):
    """nginx with a configuration of its own; ``workers`` are one for each core by default."""

    @classmethod
    def missing(cls) -> str:
        return "" if PROGRAM.exists() else "apt-get could not download it"

    def version(self) -> str:
        return output_of(str(PROGRAM), "-v").removeprefix("nginx version: ")

    def command(self) -> list[str]:
        configuration = self.folder / "nginx.conf"
        user = "user root;" if os.geteuid() == 0 else ""
        configuration.write_text(
            f"""
{user}
worker_processes {self.workers or "auto"};
daemon off;
pid {self.folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections 4096; }}
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
        return [str(PROGRAM), "-p", str(self.folder), "-c", str(configuration)]

    def http_block(self) -> str:
        """The contents of the http block."""
        raise NotImplementedError


class StaticFiles(Nginx):
    """The files of a folder.

    ``/N/name`` is the file ``name`` for every number N, followed by a few bytes that are different
    for every URL, so that a server that compares originals by content has not cached it.
    """

    def __init__(self, folder: Path, name: str, files: Path, *, workers: int | None = None) -> None:
        self.name = name
        super().__init__(folder, workers=workers)
        self.files = files

    def http_block(self) -> str:
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
