"""Install what the comparison needs below ``bench/.work``; nothing goes into the system."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from paths import JEMALLOC, WORK
from servers.imagor import BUILT, Imagor
from servers.nginx import PROGRAM

_DEBIAN_PACKAGES = ("nginx", "nginx-common", "libjemalloc2")
_IMAGOR = "github.com/cshum/imagor@v1.4.15"


def install() -> None:
    """Download what is missing with pip, npm and apt-get, and build imagor with Go.

    What cannot be installed is reported, and is a row in the table of versions.
    """
    WORK.mkdir(parents=True, exist_ok=True)
    if not (WORK / "thumbor" / "bin" / "thumbor").exists():
        _try(WORK, sys.executable, "-m", "venv", "thumbor")
        _try(WORK, "thumbor/bin/pip", "install", "--quiet", "thumbor", "opencv-python-headless<5")
    if not (WORK / "node" / "node_modules" / "ipx").exists():
        (WORK / "node").mkdir(exist_ok=True)
        _try(WORK / "node", "npm", "init", "--yes")
        _try(WORK / "node", "npm", "install", "--no-audit", "--no-fund", "ipx", "sharp")
    if not PROGRAM.exists() or not JEMALLOC.exists():
        folder = WORK / "packages"
        folder.mkdir(exist_ok=True)
        _try(folder, "apt-get", "download", *_DEBIAN_PACKAGES)
        for package in folder.glob("*.deb"):
            _try(folder, "dpkg", "--extract", package.name, str(WORK / "debian"))
    if Imagor.missing() and shutil.which("go") and _has_libvips_headers():
        _build_imagor()


def _build_imagor() -> None:
    command = ["go", "mod", "download", "-json", _IMAGOR]
    print("bench:", *command, file=sys.stderr)
    done = subprocess.run(command, cwd=WORK, check=False, stdout=subprocess.PIPE)
    if folder := json.loads(done.stdout or "{}").get("Dir"):
        # The flag is in libvips' pkg-config file, and Go has to be told that it is harmless.
        environment = {"CGO_CFLAGS_ALLOW": "-Xpreprocessor"}
        build = ("go", "build", "-o", str(BUILT), "./cmd/imagor")
        _try(Path(folder), *build, environment=environment)


def _has_libvips_headers() -> bool:
    if not shutil.which("pkg-config"):
        return False
    command = ["pkg-config", "--exists", "vips"]
    return subprocess.run(command, check=False).returncode == 0


def _try(folder: Path, *command: str, environment: dict[str, str] | None = None) -> None:
    """Run a command; a failure is reported, and does not end the benchmark."""
    print("bench:", *command, file=sys.stderr)
    try:
        subprocess.run(
            command,
            cwd=folder,
            check=True,
            stdout=sys.stderr,
            env={**os.environ, **(environment or {})},
        )
    except (OSError, subprocess.CalledProcessError) as error:
        print("bench:", error, file=sys.stderr)
