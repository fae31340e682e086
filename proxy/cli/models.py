"""Install or list the optional detector models for the smart crop."""

import hashlib
import os
import tempfile
import urllib.error
import urllib.request
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from proxy.config import load
from proxy.errors import SourceFailed
from proxy.runtime.private_folder import expand_home

EXAMPLES = """\
examples:
  framekeep models install --dir /var/lib/framekeep/models
  framekeep models install --from ./downloads
  framekeep models list
"""

_MAX_BYTES = 64 * 1024 * 1024
_TIMEOUT_SECONDS = 60


class ModelFile(Struct, frozen=True):
    """A model that can be installed, pinned by its digest."""

    file: str
    description: str
    license: str
    url: str
    sha256: str


KNOWN = (
    ModelFile(
        file="yunet_s_dynamic.onnx",
        description="YuNet, detects faces",
        license="Apache-2.0",
        url="https://github.com/ShiqiYu/libfacedetection.train/raw/"
        "2b5e61dee21441ef4676505f835ab63ee53bae1e/onnx/yunet_s_dynamic.onnx",
        sha256="daede24002cc8590f457998cc5e6c9e8b82f45f6bd969506a8913cd4ed10a2d3",
    ),
    ModelFile(
        file="yolox_nano.onnx",
        description="YOLOX-nano, detects people, animals and objects",
        license="Apache-2.0",
        url="https://github.com/Kazuhito00/YOLOX-ONNX-TFLite-Sample/raw/"
        "ac07155e3ac8a531d89d24204e50f364d3444275/model/yolox_nano.onnx",
        sha256="695e750a5d5754bb5a8d5325643b59282191a7e7a564e435a415fd3c578eab14",
    ),
)


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("action", choices=("install", "list"))
    parser.add_argument(
        "--dir", metavar="DIR", help="the directory, instead of FRAMEKEEP_MODELS_DIR"
    )
    parser.add_argument(
        "--from", dest="source", metavar="DIR", help="copy the files from here; no download"
    )


def run(args: Namespace, environment: Mapping[str, str] = os.environ) -> int:
    configured = args.dir or load(environment).settings.models.dir or _default(environment)
    directory = expand_home(configured).absolute()
    if args.action == "install":
        install(directory, Path(args.source) if args.source else None)
        print(f"set FRAMEKEEP_MODELS_DIR={directory}")
    for model in KNOWN:
        state = "installed" if _is_valid(directory / model.file, model) else "not installed"
        print(f"{model.file:<22}{state:<15}{model.description}; {model.license}")
    return 0


def install(directory: Path, source: Path | None, known: tuple[ModelFile, ...] = KNOWN) -> None:
    """Put every missing model into the directory, from another directory or by download.

    Raises SourceFailed when a file cannot be read, or its digest is wrong.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for model in known:
        target = directory / model.file
        if _is_valid(target, model):
            continue
        body = _read(source / model.file) if source else _download(model)
        if hashlib.sha256(body).hexdigest() != model.sha256:
            raise SourceFailed(f"{model.file} is not the expected file: its SHA-256 differs")
        _write_atomically(target, body)


def _default(environment: Mapping[str, str]) -> str:
    home = environment.get("XDG_DATA_HOME") or "~/.local/share"
    return f"{home}/framekeep/models"


def _is_valid(path: Path, model: ModelFile) -> bool:
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == model.sha256


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SourceFailed(f"{path} cannot be read: {error.strerror}", detail=str(error)) from error


def _download(model: ModelFile) -> bytes:
    try:
        with urllib.request.urlopen(model.url, timeout=_TIMEOUT_SECONDS) as response:  # noqa: S310 - a pinned URL
            body: bytes = response.read(_MAX_BYTES + 1)
    except (OSError, urllib.error.URLError) as error:
        raise SourceFailed(
            f"{model.url} cannot be downloaded; if you have the file, use --from DIR",
            detail=str(error),
        ) from error
    return body


def _write_atomically(target: Path, body: bytes) -> None:
    # A running server may read the directory at any moment.
    with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as file:
        file.write(body)
    part = Path(file.name)
    part.chmod(0o644)
    part.replace(target)
