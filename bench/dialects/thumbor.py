"""thumbor and imagor beside Framekeep: 61 links in their grammar, whose results are PNG."""

import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from urllib.parse import quote

from compare import Link
from http_rival import HttpRival
from urls import COLOR_FILTERS, FILTERS, SHAPES

from proxy.links.thumbor import ImagorDialect, ThumborDialect
from proxy.links.thumbor.config import ImagorConfig, ThumborConfig

VERSION = "7.8.0"
ENVIRONMENT = Path(sys.prefix) / "thumbor"
_SETTINGS = """\
SECURITY_KEY = 'bench'
ALLOW_UNSAFE_URL = True
RESPECT_ORIENTATION = True
STORAGE = 'thumbor.storages.no_storage'
DETECTORS = []
"""


class ThumborRival(HttpRival):
    """It is installed with pip into an environment of its own."""

    how_to_install = "pip could not install it"
    links = (
        *(Link(shape) for shape in SHAPES),
        *(Link(text) for text in FILTERS),
        *(Link(text, shows_window=False) for text in COLOR_FILTERS),
    )
    dialect = staticmethod(ThumborDialect)
    config: ThumborConfig | ImagorConfig = ThumborConfig(allow_unsigned=True)

    def is_installed(self) -> bool:
        python = ENVIRONMENT / "bin" / "python"
        if not python.exists():
            venv.create(ENVIRONMENT, with_pip=True)
        install = [str(python), "-m", "pip", "install", "--quiet", f"thumbor=={VERSION}"]
        return subprocess.run(install, check=False).returncode == 0

    def version(self) -> str:
        return f"thumbor {VERSION}"

    def command(self, folder: Path, port: int) -> list[str]:
        settings = folder / "thumbor.conf"
        settings.write_text(_SETTINGS, encoding="utf-8")
        python = str(ENVIRONMENT / "bin" / "python")
        return [
            python,
            "-m",
            "thumbor.server",
            "-i",
            "127.0.0.1",
            "-p",
            str(port),
            "-c",
            str(settings),
        ]

    def path(self, link: Link, source: str, files: str) -> str:
        text = link.text.format(logo=quote(f"{files}logo.png", safe=""))
        separator = ":" if "filters:" in text else "/filters:"
        return f"/unsafe/{text}{separator}format(png)/{quote(source, safe='')}"


class ImagorRival(ThumborRival):
    how_to_install = "put the binary imagor on the PATH"
    links = tuple(
        link
        for link in ThumborRival.links
        # imagor has no `orig`, and other values for these filters
        if not re.search(r"orig|rotate|round_corner|saturation|sharpen|blur\(", link.text)
    )
    dialect = staticmethod(ImagorDialect)
    config = ImagorConfig(allow_unsigned=True)

    def is_installed(self) -> bool:
        return shutil.which("imagor") is not None

    def version(self) -> str:
        return "imagor"

    def command(self, _folder: Path, port: int) -> list[str]:
        return ["imagor", "-imagor-unsafe", "-port", str(port)]
