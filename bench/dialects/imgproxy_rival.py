"""imgproxy beside Framekeep: 60 links in its grammar, whose results are PNG."""

import os
import shutil
import subprocess
from collections.abc import Mapping
from itertools import starmap
from pathlib import Path

from compare import Link
from http_rival import HttpRival

from proxy.links.imgproxy import ImgproxyDialect
from proxy.links.imgproxy.config import ImgproxyConfig

_GEOMETRY = (
    "w:300", "h:200", "w:301", "h:77", "w:900", "w:900/el:1", "rs:fit:300:200", "rs:fit:333:111",
    "rs:fit:2000:2000:1", "rs:fill:300:200", "rs:fill:200:300", "rs:fill:301:199",
    "rs:fill:900:900", "rs:fill:900:900:1", "rs:fill-down:900:300", "rs:fill-down:300:200",
    "rs:force:300:100", "rs:force:900:900:1", "rs:auto:300:200", "rs:auto:200:300",
    "rs:fill:200:300/g:no", "rs:fill:200:300/g:we", "rs:fill:200:300/g:ea", "rs:fill:300:100/g:so",
    "rs:fill:300:100/g:nowe", "rs:fill:100:300/g:soea", "rs:fill:300:100/g:ce:20:10",
    "rs:fill:200:300/g:we:30:0", "rs:fill:200:300/g:fp:0.2:0.5", "rs:fill:300:100/g:fp:0.9:0.9",
    "c:300:200", "c:300:200:nowe", "c:0.5:0.25", "c:300:200:fp:0.1:0.9/w:100",
    "c:300:400/rs:fill:100:100", "rs:fit:300:300/ex:1", "rs:fit:300:300/ex:1:so",
    "rs:fit:300:300/ex:1:we:10:0", "rs:fit:300:300/exar:1", "w:200/pd:10:20:30:40",
    "w:200/pd:10/bg:255:0:0", "w:200/dpr:2", "w:200/pd:10/dpr:2", "w:200/z:0.5", "w:200/z:1.5:0.5",
    "mw:900/mh:700", "w:100/mw:300", "rot:90", "rot:90/w:200", "rot:180/rs:fill:100:200:0:0/g:no",
    "rot:270/rs:fit:100:200",
)  # fmt: skip
_COLORS = (
    "w:300/bl:3", "w:300/sh:1", "w:300/pix:8", "w:300/bg:10:20:30", "t:10", "t:10:ff00ff:1:1/w:200",
    "rs:fill:200:300/g:sm", "w:300/q:50", "w:300/sm:0",
)  # fmt: skip


class ImgproxyRival(HttpRival):
    how_to_install = "put the binary imgproxy on the PATH"
    links = tuple(
        starmap(Link, [*((text, True) for text in _GEOMETRY), *((text, False) for text in _COLORS)])
    )
    dialect = staticmethod(ImgproxyDialect)
    config = ImgproxyConfig(allow_unsigned=True)
    health_path = "/health"

    def __init__(self) -> None:
        self._port = 0

    def is_installed(self) -> bool:
        return shutil.which("imgproxy") is not None

    def version(self) -> str:
        command = ("imgproxy", "version")
        printed = subprocess.run(command, check=False, capture_output=True, text=True).stdout
        return f"imgproxy {printed.strip() or '(of unknown version)'}"

    def command(self, _folder: Path, port: int) -> list[str]:
        self._port = port
        return ["imgproxy"]

    def environment(self) -> Mapping[str, str]:
        return {
            **os.environ,
            "IMGPROXY_BIND": f"127.0.0.1:{self._port}",
            "IMGPROXY_ALLOW_LOOPBACK_SOURCE_ADDRESSES": "true",
            "IMGPROXY_LOG_LEVEL": "error",
        }

    def path(self, link: Link, source: str, _files: str) -> str:
        return f"/insecure/{link.text}/f:png/plain/{source}"
