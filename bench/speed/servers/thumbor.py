"""thumbor, with its own result storage and its detectors of faces and features."""

from __future__ import annotations

from urllib.parse import quote

from load_generator import PATIENCE_SECONDS
from paths import WORK
from scenarios import ImageSpec

from servers.server import Server, output_of

_VERSIONS = (
    "from importlib.metadata import version\n"
    "print(version('thumbor') + ', Pillow ' + version('pillow'))\n"
)


class Thumbor(Server):
    name = "thumbor"
    caches_results = True
    health = "/healthcheck"

    @classmethod
    def missing(cls) -> str:
        return "" if (WORK / "thumbor" / "bin" / "thumbor").exists() else "pip could not install it"

    def version(self) -> str:
        return output_of(str(WORK / "thumbor" / "bin" / "python"), "-c", _VERSIONS)

    def command(self) -> list[str]:
        configuration = self.folder / "thumbor.conf"
        configuration.write_text(
            f"""
RESULT_STORAGE = 'thumbor.result_storages.file_storage'
RESULT_STORAGE_FILE_STORAGE_ROOT_PATH = {str(self.folder / "results")!r}
RESULT_STORAGE_STORES_UNSAFE = True
STORAGE = 'thumbor.storages.no_storage'
HTTP_LOADER_REQUEST_TIMEOUT = {PATIENCE_SECONDS}
HTTP_LOADER_CONNECT_TIMEOUT = {PATIENCE_SECONDS}
DETECTORS = ['thumbor.detectors.face_detector', 'thumbor.detectors.feature_detector']
AVIF_SPEED = {self.efforts.avif_speed if self.efforts else None}
"""
        )
        return [
            str(WORK / "thumbor" / "bin" / "thumbor"),
            *("--port", str(self.port), "--ip", "127.0.0.1", "--log-level", "error"),
            # Its default is one process; 0 is one for each core, as the others use all cores.
            *("--conf", str(configuration), "--processes", str(self.workers or 0)),
        ]

    def link(self, spec: ImageSpec, source: str) -> str:
        filters = [f"format({spec.format})", f"quality({spec.quality})"]
        if spec.sharpen:
            filters.insert(0, f"sharpen(1,{spec.sharpen},true)")
        smart = "smart/" if spec.smart else ""
        size = f"{spec.width}x{spec.height}"
        return f"/unsafe/{size}/{smart}filters:{':'.join(filters)}/{quote(source, safe='')}"
