"""Encoders of Framekeep and of others, with the settings that each uses by default.

sharp is run itself where node and it are installed (`scripts/test` and `bench/run` install it).
imgproxy and imagor are their documented settings with the libvips that Framekeep installs, whose
encoders are mozjpeg, libwebp and libaom; the Go servers may be linked with others. thumbor is
Pillow with thumbor's settings.
"""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pyvips
from PIL import Image

from proxy.formats import FormatName
from proxy.geometry import Size
from proxy.imaging.encoders import DEFAULT_QUALITY, encode_as
from proxy.imaging.optimize import encode_optimized
from proxy.imaging.picture import OutputOptions, Picture
from proxy.limits import Limits
from proxy.smartcrop.detector import SubjectDetector

OURS, BETTER_LATER = "Framekeep", "Framekeep, better later"

_ROOT = Path(__file__).parents[2]
_NODE_FOLDERS = (
    _ROOT / "bench" / ".work" / "node" / "node_modules",
    _ROOT / ".venv" / "clients" / "node" / "node_modules",
)
_DETECTOR = SubjectDetector()

Encode = Callable[[pyvips.Image, int], tuple[bytes, float]]
"""The file at this quality, and its CPU seconds."""


class Encoder(NamedTuple):
    """Somebody's settings for a format, with the quality that is used by default.

    ``slow`` ones are measured at fewer qualities.
    """

    name: str
    encode: Encode
    default: int
    slow: bool = False


def ours(format: FormatName) -> Encoder:
    """What the first request gets."""

    def encode(picture: Picture, quality: int) -> bytes:
        return encode_as(picture, format, quality)

    return Encoder(OURS, _timed(encode, format), DEFAULT_QUALITY.get(format, 100))


def better_later(format: FormatName) -> Encoder:
    """What later requests get, with FRAMEKEEP_OPTIMIZATION_MODE; the CPU is that of the search."""

    def encode(picture: Picture, quality: int) -> bytes:
        picture = picture.with_output(quality=quality)
        return bytes(encode_optimized(picture, (), Limits()).body)

    default = DEFAULT_QUALITY.get(format, 100)
    return Encoder(BETTER_LATER, _timed(encode, format), default, slow=True)


def _timed(encode: Callable[[Picture, int], bytes], format: FormatName) -> Encode:
    def timed(image: pyvips.Image, quality: int) -> tuple[bytes, float]:
        size = Size(image.width, image.height)
        picture = Picture(image, size, output=OutputOptions(format), detector=_DETECTOR)
        start = time.process_time()
        body = encode(picture, quality)
        return body, time.process_time() - start

    return timed


def by_libvips(name: str, save: str, default: int, **options: object) -> Encoder:
    def encode(image: pyvips.Image, quality: int) -> tuple[bytes, float]:
        chosen = options if save == "png" else {"Q": quality, **options}
        start = time.process_time()
        body = bytes(getattr(image, f"{save}save_buffer")(keep=0, **chosen))
        return body, time.process_time() - start

    return Encoder(name, encode, default, slow=save == "heif")


def by_pillow(name: str, format: str, default: int, **options: object) -> Encoder:
    def encode(image: pyvips.Image, quality: int) -> tuple[bytes, float]:
        output = io.BytesIO()
        chosen = options if format == "PNG" else {"quality": quality, **options}
        picture = Image.fromarray(image.numpy())
        start = time.process_time()
        picture.save(output, format, **chosen)
        return output.getvalue(), time.process_time() - start

    return Encoder(name, encode, default)


class Sharp:
    """A process of node that encodes with sharp's own defaults."""

    def __init__(self, process: subprocess.Popen[str], folder: Path) -> None:
        self._process = process
        self._folder = folder
        self.versions: Mapping[str, str] = {}

    def encoder(self, name: str, format: str, default: int, **options: object) -> Encoder:
        def encode(image: pyvips.Image, quality: int) -> tuple[bytes, float]:
            chosen = options if format == "png" else {"quality": quality, **options}
            return self._encode(image, format, chosen)

        return Encoder(name, encode, default, slow=format == "avif")

    def _encode(
        self, image: pyvips.Image, format: str, options: Mapping[str, Any]
    ) -> tuple[bytes, float]:
        pixels, output = self._folder / "pixels", self._folder / "output"
        pixels.write_bytes(image.write_to_memory())
        task = {
            "input": str(pixels),
            "output": str(output),
            "width": image.width,
            "height": image.height,
            "format": format,
            "options": options,
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(task) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        self.versions = {name: text for name, text in answer.items() if name != "seconds"}
        return output.read_bytes(), answer["seconds"]


@contextmanager
def run_sharp() -> Iterator[Sharp | None]:
    """None where node or sharp is not installed."""
    folder = next((path for path in _NODE_FOLDERS if (path / "sharp").is_dir()), None)
    node = shutil.which("node")
    if folder is None or node is None:
        yield None
        return
    script = Path(__file__).with_name("sharp_encoder.mjs")
    with (
        tempfile.TemporaryDirectory() as work,
        subprocess.Popen(
            [node, str(script), str(folder.parent)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        yield Sharp(process, Path(work))


def make_encoders(sharp: Sharp | None) -> Mapping[FormatName, Sequence[Encoder]]:
    """The encoders of each format; without ``sharp``, its settings are used with libvips."""
    av1: dict[str, object] = {"compression": "av1", "bitdepth": 8}
    mozjpeg: dict[str, object] = {
        "optimize_coding": True,
        "trellis_quant": True,
        "overshoot_deringing": True,
        "optimize_scans": True,
        "interlace": True,
        "quant_table": 3,
    }
    if sharp is not None:
        sharps = {
            "jpeg": [
                sharp.encoder("sharp", "jpeg", 80),
                sharp.encoder("sharp, mozjpeg: true", "jpeg", 80, mozjpeg=True),
            ],
            "webp": [sharp.encoder("sharp", "webp", 80)],
            "avif": [sharp.encoder("sharp", "avif", 50)],
            "png": [sharp.encoder("sharp", "png", 100)],
        }
    else:
        sharps = {
            "jpeg": [
                by_libvips("sharp", "jpeg", 80, optimize_coding=True),
                by_libvips("sharp, mozjpeg: true", "jpeg", 80, **mozjpeg),
            ],
            "webp": [by_libvips("sharp", "webp", 80, effort=4)],
            "avif": [by_libvips("sharp", "heif", 50, effort=4, subsample_mode="off", **av1)],
            "png": [by_libvips("sharp", "png", 100, compression=6)],
        }
    return {
        "jpeg": (
            ours("jpeg"),
            better_later("jpeg"),
            *sharps["jpeg"],
            by_libvips("imgproxy", "jpeg", 80, optimize_coding=True),
            by_libvips("imagor", "jpeg", 75),
            by_pillow("thumbor", "JPEG", 80, optimize=True, progressive=True),
        ),
        "webp": (
            ours("webp"),
            better_later("webp"),
            *sharps["webp"],
            by_libvips("imgproxy", "webp", 79, effort=4),
            by_libvips("imagor", "webp", 75, effort=4),
            by_pillow("thumbor", "WEBP", 80),
        ),
        "avif": (
            ours("avif"),
            better_later("avif"),
            *sharps["avif"],
            by_libvips("imgproxy", "heif", 63, effort=1, **av1),
            by_libvips("imagor", "heif", 50, effort=4, **av1),
            by_pillow("thumbor", "AVIF", 75, max_threads=1),
        ),
        "png": (
            ours("png"),
            better_later("png"),
            *sharps["png"],
            by_libvips("imgproxy, imagor", "png", 100),
            by_pillow("thumbor", "PNG", 100),
        ),
    }
