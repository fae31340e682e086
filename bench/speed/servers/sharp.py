"""The smallest image server around sharp; it has no cache."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlencode

from paths import WORK
from scenarios import ImageSpec

from servers.node_packages import PACKAGES, describe_sharp, missing_package, node_environment
from servers.server import Server


class Sharp(Server):
    name = "sharp"
    health = "/healthcheck"

    @classmethod
    def missing(cls) -> str:
        return missing_package("sharp")

    def version(self) -> str:
        return describe_sharp(PACKAGES / "sharp").removeprefix("sharp ")

    def command(self) -> list[str]:
        copy = WORK / "node" / "sharp_server.mjs"  # node looks for packages beside the program
        shutil.copy(Path(__file__).with_name("sharp_server.mjs"), copy)
        return ["node", str(copy), str(self.port)]

    def environment(self) -> Mapping[str, str]:
        return node_environment()

    def link(self, spec: ImageSpec, source: str) -> str:
        query: dict[str, object] = {"url": source, "f": spec.format, "q": spec.quality}
        query |= {"w": spec.width, "h": spec.height or ""}
        query |= {"smart": 1} if spec.smart else {}
        query |= {"animated": 1} if spec.animated else {}
        query |= {"sharpen": spec.sharpen} if spec.sharpen else {}
        if self.efforts and spec.format != "jpeg":
            query["effort"] = self.efforts.webp if spec.format == "webp" else self.efforts.avif
        return "/?" + urlencode(query)
