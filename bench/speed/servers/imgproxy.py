"""imgproxy by its documentation; it is measured where its program is on the PATH."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from load_generator import PATIENCE_SECONDS
from scenarios import ImageSpec

from servers.libraries import describe_libraries
from servers.server import Server, find_program, output_of


class Imgproxy(Server):
    """It has no cache: its documentation recommends nginx in front, or another external cache."""

    name = "imgproxy"
    health = "/health"

    @classmethod
    def missing(cls) -> str:
        return "" if find_program("imgproxy") else "put the program imgproxy on the PATH"

    def version(self) -> str:
        program = find_program("imgproxy") or "imgproxy"
        return f"{output_of(program, 'version')}, {describe_libraries(program)}"

    def command(self) -> list[str]:
        return ["imgproxy"]

    def environment(self) -> Mapping[str, str]:
        efforts = {}
        if self.efforts:
            efforts = {
                "IMGPROXY_WEBP_EFFORT": str(self.efforts.webp),
                "IMGPROXY_AVIF_SPEED": str(self.efforts.avif_speed),
            }
        return {
            "IMGPROXY_BIND": f"127.0.0.1:{self.port}",
            "IMGPROXY_ALLOW_LOOPBACK_SOURCE_ADDRESSES": "true",
            "IMGPROXY_LOG_LEVEL": "error",
            "IMGPROXY_MAX_ANIMATION_FRAMES": "1000",  # by default, only the first frame
            "IMGPROXY_TIMEOUT": str(PATIENCE_SECONDS),
            "IMGPROXY_DOWNLOAD_TIMEOUT": str(PATIENCE_SECONDS),
            **({"IMGPROXY_WORKERS": str(self.workers)} if self.workers else {}),
            **efforts,
        }

    def link(self, spec: ImageSpec, source: str) -> str:
        options = [f"rs:{'fill' if spec.height else 'fit'}:{spec.width}:{spec.height}"]
        options += ["g:sm"] * spec.smart
        options += [f"sh:{spec.sharpen}"] if spec.sharpen else []
        options.append(f"q:{spec.quality}")
        return f"/unsafe/{'/'.join(options)}/plain/{quote(source, safe='')}@{spec.format}"
