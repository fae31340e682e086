#!/usr/bin/env python3
"""Compare bytes at equal look, and CPU time, of Framekeep's encoders with others' defaults.

    bench/bytes.py [FOLDER] [--photos 6] [--side 480] [--formats jpeg webp avif png] [--svg FOLDER]

Photographs are those of FOLDER (JPEG), or the demo photographs; screenshots and drawings are drawn.
Each picture is encoded at some qualities by each encoder. Bytes are interpolated at the scores that
both encoders reach, by SSIMULACRA2 and by multiscale SSIM, and are relative to Framekeep's; so is
the CPU time of encoding alone. The last columns are the encoder's own default quality.

sharp, imgproxy and imagor are their documented settings, used with the libvips that Framekeep
installs: its encoders are those of sharp's npm package, but the Go servers may be linked with
others. thumbor is Pillow with thumbor's settings.
"""

from __future__ import annotations

import argparse
import io
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "speed"), str(HERE / "quality")]

import cpu_time

cpu_time.restart_in_render_environment()

import numpy as np
import pyvips
from equal_score import Measured, draw_curves, geometric_mean, ms_ssim, relative_bytes
from graphics import draw_graphics
from PIL import Image
from statistics_table import markdown_table

from proxy.formats import FormatName
from proxy.geometry import Size
from proxy.imaging.encoders import DEFAULT_QUALITY, encode_as
from proxy.imaging.picture import OutputOptions, Picture
from proxy.imaging.ssimulacra2 import Pixels, Reference
from proxy.smartcrop.detector import SubjectDetector

FORMATS: tuple[FormatName, ...] = ("jpeg", "webp", "avif", "png")
_SCREENSHOTS = ("terminal", "spreadsheet", "article")
_QUALITIES: Mapping[FormatName, tuple[int, ...]] = {
    "jpeg": (45, 62, 75, 86),
    "webp": (40, 60, 75, 90),
    "avif": (40, 54, 66, 80),
    "png": (100,),
}
_DETECTOR = SubjectDetector()

Encode = Callable[[pyvips.Image, int], bytes]


class Encoder(NamedTuple):
    """Somebody's settings for a format, with the quality that is used by default."""

    name: str
    encode: Encode
    default: int


def ours(format: FormatName) -> Encoder:
    def encode(image: pyvips.Image, quality: int) -> bytes:
        size = Size(image.width, image.height)
        picture = Picture(image, size, output=OutputOptions(format), detector=_DETECTOR)
        return encode_as(picture, format, quality)

    return Encoder("Framekeep", encode, DEFAULT_QUALITY.get(format, 100))


def by_libvips(name: str, save: str, default: int, **options: object) -> Encoder:
    def encode(image: pyvips.Image, quality: int) -> bytes:
        method = getattr(image, f"{save}save_buffer")
        chosen = options if save == "png" else {"Q": quality, **options}
        return bytes(method(keep=0, **chosen))

    return Encoder(name, encode, default)


def by_pillow(name: str, format: str, default: int, **options: object) -> Encoder:
    def encode(image: pyvips.Image, quality: int) -> bytes:
        output = io.BytesIO()
        chosen = options if format == "PNG" else {"quality": quality, **options}
        Image.fromarray(image.numpy()).save(output, format, **chosen)
        return output.getvalue()

    return Encoder(name, encode, default)


_AV1 = {"compression": "av1", "bitdepth": 8}
ENCODERS: Mapping[FormatName, Sequence[Encoder]] = {
    "jpeg": (
        ours("jpeg"),
        by_libvips("sharp", "jpeg", 80, optimize_coding=True),
        by_libvips("sharp, mozjpeg: true", "jpeg", 80, optimize_coding=True, trellis_quant=True,
                   overshoot_deringing=True, optimize_scans=True, interlace=True, quant_table=3),
        by_libvips("imgproxy", "jpeg", 80, optimize_coding=True),
        by_libvips("imagor", "jpeg", 75),
        by_pillow("thumbor", "JPEG", 80, optimize=True, progressive=True),
    ),
    "webp": (
        ours("webp"),
        by_libvips("sharp", "webp", 80, effort=4),
        by_libvips("imgproxy", "webp", 79, effort=4),
        by_libvips("imagor", "webp", 75, effort=4),
        by_pillow("thumbor", "WEBP", 80),
    ),
    "avif": (
        ours("avif"),
        by_libvips("sharp", "heif", 50, effort=4, subsample_mode="off", **_AV1),
        by_libvips("imgproxy", "heif", 63, effort=1, **_AV1),
        by_libvips("imagor", "heif", 50, effort=4, **_AV1),
        by_pillow("thumbor", "AVIF", 75, max_threads=1),
    ),
    "png": (
        ours("png"),
        by_libvips("sharp", "png", 100, compression=6),
        by_libvips("imgproxy, imagor", "png", 100),
        by_pillow("thumbor", "PNG", 100),
    ),
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    demo = HERE.parent / "proxy" / "data" / "demo"
    parser.add_argument("folder", type=Path, nargs="?", default=demo, metavar="FOLDER")
    parser.add_argument("--photos", type=int, default=6, help="at most so many photographs")
    parser.add_argument("--side", type=int, default=480, help="longest side of photographs")
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=FORMATS)
    parser.add_argument("--svg", type=Path, help="folder for curves", metavar="FOLDER")
    options = parser.parse_args()
    kinds = _pictures(options.folder, options.photos, options.side)
    print(", ".join(f"{len(images)} {kind}" for kind, images in kinds.items()), end="\n\n")
    for format in options.formats:
        measured = {
            kind: [_measure(image, format) for image in images] for kind, images in kinds.items()
        }
        print(_table(format, measured), end="\n\n", flush=True)
        if options.svg is not None and format != "png":
            options.svg.mkdir(parents=True, exist_ok=True)
            curves = _median_curves(measured["photographs"], kinds["photographs"])
            svg = draw_curves(f"{format.upper()}: SSIMULACRA2 of photographs", curves)
            (options.svg / f"bytes-{format}.svg").write_text(svg)


def _pictures(folder: Path, photos: int, side: int) -> dict[str, list[pyvips.Image]]:
    fitted = set((HERE / "quality" / "fitted.txt").read_text().split())
    paths = [path for path in sorted(folder.glob("*.jpg")) if path.stem not in fitted]
    paths = paths[:: max(1, len(paths) // photos)][:photos]
    kinds: dict[str, list[pyvips.Image]] = {"photographs": [], "screenshots": [], "drawings": []}
    for path in paths:
        image = pyvips.Image.thumbnail(str(path), side).colourspace("srgb")
        kinds["photographs"].append(image[:3].copy(interpretation="srgb").copy_memory())
    for name, drawn in draw_graphics().items():
        part = np.asarray(drawn)[:320, :440]
        image = pyvips.Image.new_from_array(np.ascontiguousarray(part)).copy(interpretation="srgb")
        kinds["screenshots" if name in _SCREENSHOTS else "drawings"].append(image)
    return kinds


def _measure(image: pyvips.Image, format: FormatName) -> dict[str, list[Measured]]:
    pixels = image.numpy()
    reference = Reference(pixels)
    curves: dict[str, list[Measured]] = {}
    for name, encode, default in ENCODERS[format]:
        curves[name] = []
        for quality in sorted({*_QUALITIES[format], default}):
            start = time.process_time()
            body = encode(image, quality)
            seconds = time.process_time() - start
            decoded = _decode(body)
            scores = (100.0, 60.0)
            if format != "png":
                scores = reference.score(decoded), ms_ssim(pixels, decoded)
            curves[name].append(Measured(quality, len(body), *scores, seconds))
    return curves


def _decode(body: bytes) -> Pixels:
    image = pyvips.Image.new_from_buffer(body, "").colourspace("srgb")
    pixels: Pixels = image.numpy()[..., :3]
    return pixels


def _table(
    format: FormatName, measured: Mapping[str, Sequence[Mapping[str, Sequence[Measured]]]]
) -> str:
    rows = []
    for kind, pictures in measured.items():
        for name, _, default in ENCODERS[format]:
            pairs = [(picture[name], picture["Framekeep"]) for picture in pictures]
            defaults = [one for curve, _ in pairs for one in curve if one.quality == default]
            seconds = [sum(one.seconds for one in curve) for curve, _ in pairs]
            our_seconds = [sum(one.seconds for one in base) for _, base in pairs]
            rows.append(
                [
                    kind,
                    name,
                    *_bytes_cells(format, pairs),
                    f"{sum(seconds) / sum(our_seconds):.2f}",
                    str(default) if format != "png" else "-",
                    f"{sum(one.bytes for one in defaults):,}",
                    f"{np.median([one.ssimulacra2 for one in defaults]):.1f}",
                ]
            )
    head = [format, "encoder", "bytes at equal SSIMULACRA2", "at equal MS-SSIM", "CPU"]
    return markdown_table([*head, "default", "its bytes", "its median score"], rows)


def _bytes_cells(
    format: FormatName, pairs: Sequence[tuple[Sequence[Measured], Sequence[Measured]]]
) -> list[str]:
    if format == "png":
        ratios = [curve[0].bytes / base[0].bytes for curve, base in pairs]
        return [f"{geometric_mean(ratios):.2f}", "-"]
    cells = []
    for metric in ("ssimulacra2", "ms_ssim"):
        found = [relative_bytes(curve, base, metric) for curve, base in pairs]
        ratios = [ratio for ratio in found if ratio is not None]
        cells.append(f"{geometric_mean(ratios):.2f}" if ratios else "-")
    return cells


def _median_curves(
    pictures: Sequence[Mapping[str, Sequence[Measured]]], images: Sequence[pyvips.Image]
) -> dict[str, list[tuple[float, float]]]:
    """Bytes a pixel and score at each quality, medians over the pictures."""
    areas = [image.width * image.height for image in images]
    curves = {}
    for name in pictures[0]:
        steps = zip(*(picture[name] for picture in pictures), strict=True)
        curves[name] = [
            (
                float(
                    np.median([one.bytes / area for one, area in zip(files, areas, strict=True)])
                ),
                float(np.median([one.ssimulacra2 for one in files])),
            )
            for files in steps
        ]
    return curves


if __name__ == "__main__":
    main()
