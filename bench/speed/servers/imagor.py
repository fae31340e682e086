"""imagor, with its file result storage, and jemalloc as in its official image."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from load_generator import PATIENCE_SECONDS
from paths import JEMALLOC, WORK
from scenarios import ImageSpec

from servers.libraries import describe_libraries
from servers.server import Server, find_program, output_of

BUILT = WORK / "bin" / "imagor"


class Imagor(Server):
    """Its WebP effort cannot be set: it is 4."""

    name = "imagor"
    caches_results = True
    health = "/healthcheck"

    @classmethod
    def missing(cls) -> str:
        if find_program("imagor", BUILT):
            return ""
        return "put the program imagor on the PATH, or Go and libvips-dev, to build it"

    def version(self) -> str:
        program = find_program("imagor", BUILT) or ""
        return f"{output_of(program, '-version')}, {describe_libraries(program)}"

    def command(self) -> list[str]:
        timeouts = [
            f"-imagor-{what}-timeout={PATIENCE_SECONDS}s"
            for what in ("request", "load", "process", "save")
        ]
        speed = ["-vips-avif-speed", str(self.efforts.avif_speed)] if self.efforts else []
        return [
            find_program("imagor", BUILT) or "imagor",
            *("-bind", f"127.0.0.1:{self.port}", "-imagor-unsafe"),
            *("-file-result-storage-base-dir", str(self.folder / "results")),
            *timeouts,
            *speed,
        ]

    def environment(self) -> Mapping[str, str]:
        preload = {"LD_PRELOAD": str(JEMALLOC)} if JEMALLOC.exists() else {}
        # The other variables are those of its official image.
        return {"VIPS_WARNING": "0", "MALLOC_ARENA_MAX": "2", **preload}

    def link(self, spec: ImageSpec, source: str) -> str:
        # Its sharpen(a) is a sigma of 1 + 2 a.
        filters = [f"sharpen({(spec.sharpen - 1) / 2:g})"] if spec.sharpen else []
        filters += [f"format({spec.format})", f"quality({spec.quality})"]
        smart = "smart/" if spec.smart else ""
        size = f"{spec.width}x{spec.height}"
        return f"/unsafe/{size}/{smart}filters:{':'.join(filters)}/{quote(source, safe='')}"
