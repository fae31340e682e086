"""Versions of what npm installed, and the environment that sharp recommends."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from paths import JEMALLOC, WORK

from servers.server import find_program, output_of

PACKAGES = WORK / "node" / "node_modules"


def missing_package(name: str) -> str:
    if not find_program("node"):
        return "node is not on the PATH"
    return "" if (PACKAGES / name).exists() else "npm could not install it"


def package_version(name: str) -> str:
    return str(json.loads((PACKAGES / name / "package.json").read_text())["version"])


def describe_sharp(folder: Path) -> str:
    """The sharp of a folder: for example ``sharp 0.35.5, libvips 8.18.7, mozjpeg``."""
    program = (
        "const s = require(process.argv[1]).versions;"
        "console.log(`sharp ${s.sharp}, libvips ${s.vips}${s.mozjpeg ? ', mozjpeg' : ''}`)"
    )
    return f"{output_of('node', '-e', program, str(folder))}, Node.js {output_of('node', '-v')}"


def node_environment() -> Mapping[str, str]:
    """Jemalloc is what sharp recommends on Linux: with it, sharp uses all cores for an image."""
    preload = {"LD_PRELOAD": str(JEMALLOC)} if JEMALLOC.exists() else {}
    return {"NODE_ENV": "production", **preload}
