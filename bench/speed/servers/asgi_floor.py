"""uvicorn and a minimal ASGI app: a floor for hits."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from servers.server import Server


class AsgiFloor(Server):
    name = "asgi-floor"

    def __init__(self, folder: Path, files: Path, *, workers: int | None = None) -> None:
        super().__init__(folder, workers=workers)
        self.files = files

    def version(self) -> str:
        return f"uvicorn {version('uvicorn')}, Python {sys.version.split()[0]}"

    def command(self) -> list[str]:
        here = str(Path(__file__).parent)
        return [
            *(sys.executable, "-m", "uvicorn", "floor_asgi:app", "--app-dir", here),
            *("--port", str(self.port), "--workers", str(self.workers or 1)),
            *("--no-access-log", "--log-level", "error", "--lifespan", "off"),
            *("--http", "httptools", "--loop", "uvloop", "--no-server-header"),
        ]

    def environment(self) -> Mapping[str, str]:
        return {"BENCH_BODIES": str(self.files)}
