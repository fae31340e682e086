"""Install what the comparison needs below ``bench/.work``; nothing goes into the system."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from servers import WORK

_DEBIAN_PACKAGES = ("nginx", "nginx-common", "libjemalloc2")


def install() -> None:
    """Download what is missing with pip, npm and apt-get."""
    WORK.mkdir(parents=True, exist_ok=True)
    if not (WORK / "thumbor" / "bin" / "thumbor").exists():
        _run(WORK, sys.executable, "-m", "venv", "thumbor")
        _run(WORK, "thumbor/bin/pip", "install", "--quiet", "thumbor", "opencv-python-headless<5")
    if not (WORK / "node" / "node_modules" / "ipx").exists():
        (WORK / "node").mkdir(exist_ok=True)
        _run(WORK / "node", "npm", "init", "--yes")
        _run(WORK / "node", "npm", "install", "--no-audit", "--no-fund", "ipx", "sharp")
    if not (WORK / "debian" / "usr" / "sbin" / "nginx").exists():
        folder = WORK / "packages"
        folder.mkdir(exist_ok=True)
        _run(folder, "apt-get", "download", *_DEBIAN_PACKAGES)
        for package in folder.glob("*.deb"):
            _run(folder, "dpkg", "--extract", package.name, str(WORK / "debian"))


def _run(folder: Path, *command: str) -> None:
    print("bench:", *command, file=sys.stderr)
    subprocess.run(command, cwd=folder, check=True, stdout=sys.stderr)
