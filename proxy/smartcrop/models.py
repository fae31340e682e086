"""Settings of the optional detector models, and which of their files are installed."""

import os
from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct

from proxy.errors import ConfigError
from proxy.runtime.private_folder import expand_home

FileName = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$",
        title="a file name of at most 100 of A-Z a-z 0-9 . _ -",
    ),
]


class ModelsConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """Optional ONNX models for the smart crop."""

    dir: Annotated[
        str, Meta(description="Directory with the ONNX models. Empty means the built-in detectors.")
    ] = ""

    face_file: Annotated[
        FileName, Meta(description="File in that directory with the face detector, a YuNet model.")
    ] = "yunet_s_dynamic.onnx"

    object_file: Annotated[
        FileName,
        Meta(
            description=(
                "File in that directory with the detector for people, animals and objects, a YOLOX "
                "model."
            )
        ),
    ] = "yolox_nano.onnx"

    def installed_files(self) -> tuple[Path, ...]:
        """The model files that exist."""
        if not self.dir:
            return ()
        folder = expand_home(self.dir)
        paths = (folder / name for name in (self.face_file, self.object_file))
        return tuple(path for path in paths if path.is_file())

    def validate(self) -> None:
        """Raise ConfigError where the directory does not exist."""
        if self.dir and not expand_home(self.dir).is_dir():
            raise ConfigError(f"FRAMEKEEP_MODELS_DIR={self.dir!r}: the directory does not exist")

    def readable_dirs(self) -> tuple[str, ...]:
        """Directories that a process reads when it loads the detectors."""
        return (os.path.abspath(expand_home(self.dir)),) if self.dir else ()  # noqa: PTH100 - `resolve` would follow links
