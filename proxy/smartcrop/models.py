"""Which optional detector models an operator installed, and what a process needs to run them."""

import hashlib
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

FileName = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]

SIGHT = "1"
"""Bumped when what is seen changes for equal pictures: what was seen before is then forgotten."""


class ModelsConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Detector models that the operator installed."""

    dir: str = ""
    """Folder with the models; empty for the detectors that come along."""

    face_file: FileName = "yunet_s_dynamic.onnx"
    """ONNX file in that folder that finds faces; its outputs are those of YuNet."""

    object_file: FileName = "yolox_nano.onnx"
    """ONNX file in that folder that finds people, animals, objects; its output is that of YOLOX."""

    def installed_files(self) -> tuple[Path, ...]:
        """The files that are there."""
        if not self.dir:
            return ()
        paths = (Path(self.dir).expanduser() / name for name in (self.face_file, self.object_file))
        return tuple(path for path in paths if path.is_file())

    def complaint(self) -> str:
        """Why nothing can be found there, empty where all is well."""
        if self.dir and not Path(self.dir).expanduser().is_dir():
            return f"FRAMEKEEP_MODELS_DIR: there is no folder {self.dir}"
        return ""

    def version(self) -> str:
        """A word for what sees: another set of models sees otherwise."""
        files = self.installed_files() if find_spec("onnxruntime") else ()
        seen_by = (hashlib.sha256(path.read_bytes()).hexdigest()[:16] for path in files)
        return "-".join((SIGHT, *seen_by))

    def imports(self) -> tuple[str, ...]:
        """Modules that a process needs to look at pictures."""
        optional = ("onnxruntime",) if self.installed_files() and find_spec("onnxruntime") else ()
        return ("proxy.smartcrop.detector", *optional)

    def readable_dirs(self) -> tuple[str, ...]:
        """Folders that a process reads from when it first looks at a picture."""
        return (str(Path(self.dir).expanduser().resolve()),) if self.dir else ()
