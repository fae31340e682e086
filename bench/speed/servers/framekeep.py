"""Framekeep itself."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import PIL
import pyvips
from load_generator import PATIENCE_SECONDS
from scenarios import ImageSpec

from proxy.links.config import LinksConfig
from proxy.links.dialect import DialectContext
from proxy.links.native import NativeDialect
from proxy.operations import OPERATIONS
from proxy.operations.registry import OperationRegistry
from servers.server import Efforts, Server

_KEY = "00" * 32


class Framekeep(Server):
    name = "framekeep"
    caches_results = True
    health = "/health/live"

    def __init__(
        self, folder: Path, *, workers: int | None = None, efforts: Efforts | None = None
    ) -> None:
        super().__init__(folder, workers=workers, efforts=efforts)
        self._context = DialectContext(OperationRegistry(OPERATIONS), LinksConfig(keys=(_KEY,)))
        self._dialect = NativeDialect(self._context)

    def version(self) -> str:
        libvips = ".".join(str(pyvips.version(part)) for part in range(3))
        return f"{version('framekeep')}, libvips {libvips}, Pillow {PIL.__version__}"

    def command(self) -> list[str]:
        program = str(Path(sys.executable).with_name("framekeep"))
        workers = ["--workers", str(self.workers)] if self.workers else []
        return [program, "serve", "--port", str(self.port), *workers]

    def environment(self) -> Mapping[str, str]:
        return {
            "FRAMEKEEP_LINKS_KEYS": _KEY,
            "FRAMEKEEP_SOURCES_ALLOW_NETS": "127.0.0.0/8",
            "FRAMEKEEP_SOURCES_ALLOW_PORTS": "1-65535",
            "FRAMEKEEP_CACHE_DIR": str(self.folder / "cache"),
            "FRAMEKEEP_LIMITS_REQUEST_TIMEOUT_SECONDS": str(PATIENCE_SECONDS),
            "FRAMEKEEP_SOURCES_READ_TIMEOUT_SECONDS": str(PATIENCE_SECONDS),
        }

    def link(self, spec: ImageSpec, source: str) -> str:
        if spec.smart:
            steps = [f"smart_crop:{spec.width}:{spec.height}"]
        else:
            steps = [f"resize:{spec.width}:{spec.height or ''}"]
        if spec.sharpen:
            steps.append(f"sharpen:{spec.sharpen}")
        convert = f"convert:{spec.format}:{spec.quality}"
        if self.efforts and spec.format != "jpeg":
            effort = self.efforts.webp if spec.format == "webp" else self.efforts.avif
            convert += f":effort={effort}"
        return self._dialect.build(self._context.make_request(source, [*steps, convert]))
