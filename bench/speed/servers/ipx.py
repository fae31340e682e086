"""IPX by its own command; it has no cache."""

from __future__ import annotations

from collections.abc import Mapping

from scenarios import ImageSpec

from servers.node_packages import (
    PACKAGES,
    describe_sharp,
    missing_package,
    node_environment,
    package_version,
)
from servers.server import Server


class Ipx(Server):
    """Efforts of encoders cannot be set: they are those of sharp, WebP 4 and AVIF 4 (speed 5)."""

    name = "ipx"

    @classmethod
    def missing(cls) -> str:
        return missing_package("ipx")

    def version(self) -> str:
        own = PACKAGES / "ipx" / "node_modules" / "sharp"
        sharp = describe_sharp(own if own.exists() else PACKAGES / "sharp")
        return f"{package_version('ipx')}, {sharp}"

    def command(self) -> list[str]:
        program = PACKAGES / "ipx" / "bin" / "ipx.mjs"
        return ["node", str(program), "serve", "--port", str(self.port), "--host", "127.0.0.1"]

    def environment(self) -> Mapping[str, str]:
        return {**node_environment(), "IPX_HTTP_DOMAINS": "127.0.0.1"}

    def link(self, spec: ImageSpec, source: str) -> str:
        size = f"s_{spec.width}x{spec.height}" if spec.height else f"w_{spec.width}"
        options = [size, f"f_{spec.format}", f"q_{spec.quality}"]
        options += ["position_attention"] * spec.smart + ["animated_true"] * spec.animated
        if spec.sharpen:
            options.append(f"sharpen_{spec.sharpen}")
        return f"/{','.join(options)}/{source}"
