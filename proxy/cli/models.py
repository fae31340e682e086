"""Install or list detector models, which see more than the detectors that come along."""

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

_MOST_BYTES = 64 * 1024 * 1024
_SECONDS = 60


class Model(Struct, frozen=True):
    """A file that is known: what it is, where it lies for everybody, and what must be in it."""

    file: str
    what: str
    licence: str
    address: str
    sha256: str


KNOWN = (
    Model(
        file="yunet_s_dynamic.onnx",
        what="YuNet, finds faces",
        licence="Apache-2.0",
        address="https://github.com/ShiqiYu/libfacedetection.train/raw/"
        "2b5e61dee21441ef4676505f835ab63ee53bae1e/onnx/yunet_s_dynamic.onnx",
        sha256="daede24002cc8590f457998cc5e6c9e8b82f45f6bd969506a8913cd4ed10a2d3",
    ),
    Model(
        file="yolox_nano.onnx",
        what="YOLOX-nano, finds people, animals and objects",
        licence="Apache-2.0",
        address="https://github.com/Kazuhito00/YOLOX-ONNX-TFLite-Sample/raw/"
        "ac07155e3ac8a531d89d24204e50f364d3444275/model/yolox_nano.onnx",
        sha256="695e750a5d5754bb5a8d5325643b59282191a7e7a564e435a415fd3c578eab14",
    ),
)


def arguments(parser: ArgumentParser) -> None:
    parser.add_argument("action", choices=("install", "list"))
    parser.add_argument("--dir", help="the folder, instead of FRAMEKEEP_MODELS_DIR")
    parser.add_argument(
        "--from", dest="source", help="a folder with the files; nothing is downloaded then"
    )


def run(chosen: Namespace, environment: Mapping[str, str] = os.environ) -> int:
    folder = Path(chosen.dir or load(environment).settings.models.dir or _default(environment))
    folder = folder.expanduser().absolute()
    if chosen.action == "install":
        install(folder, Path(chosen.source) if chosen.source else None)
        print(f"set FRAMEKEEP_MODELS_DIR={folder}")
    for model in KNOWN:
        state = "is there" if _is_good(folder / model.file, model) else "is not there"
        print(f"{model.file:<22}{state:<14}{model.what}; {model.licence}")
    return 0


def install(folder: Path, source: Path | None, known: tuple[Model, ...] = KNOWN) -> None:
    """Put every model that isn't there into the folder, from another folder or its address.

    Raises SourceFailed when a file cannot be had, or is not the one that is known.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for model in known:
        target = folder / model.file
        if _is_good(target, model):
            continue
        body = _copied(source / model.file) if source else _downloaded(model)
        if hashlib.sha256(body).hexdigest() != model.sha256:
            raise SourceFailed(f"{model.file} is not the file that is known: its SHA-256 differs")
        _write(target, body)


def _default(environment: Mapping[str, str]) -> str:
    home = environment.get("XDG_DATA_HOME") or "~/.local/share"
    return f"{home}/framekeep/models"


def _is_good(path: Path, model: Model) -> bool:
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == model.sha256


def _copied(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SourceFailed(f"{path} cannot be read", detail=str(error)) from error


def _downloaded(model: Model) -> bytes:
    try:
        with urllib.request.urlopen(model.address, timeout=_SECONDS) as answer:  # noqa: S310 - ours
            body: bytes = answer.read(_MOST_BYTES + 1)
    except (OSError, urllib.error.URLError) as error:
        raise SourceFailed(
            f"{model.address} cannot be had; with the file at hand, use --from FOLDER",
            detail=str(error),
        ) from error
    return body


def _write(target: Path, body: bytes) -> None:
    """All of it or nothing: a server may be looking."""
    with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as file:
        file.write(body)
    part = Path(file.name)
    part.chmod(0o644)
    part.replace(target)
