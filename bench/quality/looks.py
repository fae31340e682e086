#!/usr/bin/env python3
"""Compare quality by look with one quality for all pictures, by the encoders of Framekeep.

    bench/quality/looks.py [FOLDER] [--photos 24] [--formats jpeg webp] [--sheets FOLDER]

Photographs are those of the folder (JPEG), or the demo photographs; graphics are drawn. Those in
`fitted.txt`, which set the constants of the search, are left out. Every picture is encoded at a
grid of qualities and at each look, and scored as a whole by SSIMULACRA2.

The first table compares each look with the one quality that has the same median score. Spreads lie
between the 5th and the 95th percentile of the scores. The second splits `good` into kinds of
pictures. The third compares the CPU time of a render at `good` with that of the same render whose
quality is given as a number, so that both make the same file; `encode` is the part after resizing.

`--sheets` writes, for each format, the pictures with the lowest and the highest scores at `good`.
"""

from __future__ import annotations

import argparse
import io
import multiprocessing
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1] / "speed"))

import cpu_time

if multiprocessing.parent_process() is None:  # the others inherit the environment
    cpu_time.restart_in_render_environment()

import numpy as np
import pyvips
from equal_median import Encoded, compare, farthest_names, spread
from graphics import draw_graphics
from PIL import Image, ImageDraw, ImageOps
from statistics_table import markdown_table

from proxy.formats import FormatName
from proxy.geometry import Size
from proxy.imaging.encoders import encode_as
from proxy.imaging.optional_codecs import missing_package
from proxy.imaging.picture import OutputOptions, Picture
from proxy.imaging.quality_search import find_quality
from proxy.imaging.score_targets import TARGETS
from proxy.imaging.ssimulacra2 import Pixels, Reference
from proxy.limits import Limits
from proxy.operations import OPERATIONS
from proxy.operations.pipeline import render
from proxy.operations.registry import OperationRegistry
from proxy.smartcrop.detector import SubjectDetector

_ROOT = Path(__file__).parents[2]
_REGISTRY = OperationRegistry(OPERATIONS)
_DETECTOR = SubjectDetector()

_GRIDS: Mapping[FormatName, tuple[int, ...]] = {
    "jpeg": (15, 25, 35, 50, 65, 80, 89, 90, 95),
    "webp": (10, 20, 35, 50, 65, 80, 90, 97),
    "avif": (25, 35, 45, 55, 65, 75, 85),
    "jxl": (15, 25, 40, 55, 70, 80, 90),
}
_SIDES = (160, 400, 1000)
"""The longest sides of photographs; a photograph is never enlarged."""

_GRAPHICS_WIDTH, _GRAPHICS_HEIGHT = 480, 400
"""The middle of a drawing at its own size, so that type and lines stay sharp."""

_SHEET_ROWS = 3
_CPU_ROUNDS = 2
_CPU_PICTURES = 2


class UnencodedPicture(NamedTuple):
    """A picture before it is encoded. ``kind`` is what the second table calls it."""

    name: str
    kind: str
    pixels: Pixels


class Measured(NamedTuple):
    """The files of one picture in one format."""

    by_quality: list[Encoded]
    by_look: dict[str, Encoded]


def main() -> None:
    options = _arguments()
    paths = _photo_paths(options.folder, include_fitted=options.include_fitted)
    if options.only != "cpu":
        _print_scores(paths, options)
    if options.only != "scores":
        print(_cpu_table(paths, options.formats), flush=True)


def _print_scores(paths: Sequence[Path], options: argparse.Namespace) -> None:
    every = max(1, len(paths) // options.photos)
    samples = _photo_samples(paths[::every][: options.photos]) + _graphics_samples()
    photos = len({sample.name.split("@")[0] for sample in samples if sample.kind != "graphics"})
    print(
        f"{photos} photographs at up to {len(_SIDES)} sizes and {len(draw_graphics())} graphics: "
        f"{len(samples)} pictures\n",
        flush=True,
    )
    measured = _measure_all(samples, options.formats, options.processes)
    print(_looks_table(measured), end="\n\n", flush=True)
    print(_kinds_table(samples, measured), end="\n\n", flush=True)
    if options.sheets is not None:
        options.sheets.mkdir(parents=True, exist_ok=True)
        for format, results in measured.items():
            _draw_sheet(samples, results, format).save(options.sheets / f"{format}.png")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "folder", type=Path, nargs="?", default=_ROOT / "proxy" / "data" / "demo", metavar="FOLDER"
    )
    parser.add_argument("--photos", type=int, default=24, help="at most so many photographs")
    available = [name for name in _GRIDS if not missing_package(name)]
    parser.add_argument("--formats", nargs="+", choices=available, default=available)
    parser.add_argument(
        "--include-fitted", action="store_true", help="also pictures that constants are fitted to"
    )
    parser.add_argument(
        "--processes", type=int, default=os.cpu_count(), help="how many measure scores at a time"
    )
    parser.add_argument("--only", choices=("scores", "cpu"), help="only these tables")
    parser.add_argument("--sheets", type=Path, help="folder for contact sheets", metavar="FOLDER")
    options = parser.parse_args()
    if options.photos < 1 or options.processes < 1:
        parser.error("--photos and --processes are at least 1")
    return options


def _photo_paths(folder: Path, *, include_fitted: bool) -> list[Path]:
    fitted = set(Path(__file__).with_name("fitted.txt").read_text().split())
    paths = [
        path for path in sorted(folder.glob("*.jpg")) if include_fitted or path.stem not in fitted
    ]
    if not paths:
        raise SystemExit(
            f"{folder} has no JPEG photograph (*.jpg) that constants are not fitted to"
        )
    return paths


def _photo_samples(paths: Sequence[Path]) -> list[UnencodedPicture]:
    samples = []
    for path in paths:
        original = path.read_bytes()
        with Image.open(io.BytesIO(original)) as image:
            longest = max(image.size)
        samples += [
            UnencodedPicture(
                f"{path.stem}@{side}", f"photographs, {side} px", resized(original, side)
            )
            for side in _SIDES
            if side <= longest
        ]
    return samples


def _graphics_samples() -> list[UnencodedPicture]:
    samples = []
    for name, image in draw_graphics().items():
        left, top = ((image.width - _GRAPHICS_WIDTH) // 2, (image.height - _GRAPHICS_HEIGHT) // 2)
        part = image.crop((left, top, left + _GRAPHICS_WIDTH, top + _GRAPHICS_HEIGHT))
        samples.append(UnencodedPicture(name, "graphics", np.asarray(part)))
    return samples


def resized(original: bytes, side: int) -> Pixels:
    """The pixels that Framekeep would encode."""
    steps = [{"type": "resize", "width": side, "height": side, "fit": "inside"}]
    body = _render(original, [*steps, {"type": "convert", "format": "png"}])
    with Image.open(io.BytesIO(body)) as image:
        return np.asarray(image.convert("RGB"))


def _render(original: bytes, steps: list[dict[str, Any]]) -> bytes:
    plan = _REGISTRY.plan(steps)
    return render(original, plan, Limits(), detector=_DETECTOR).rendition.body


def _measure_all(
    samples: Sequence[UnencodedPicture], formats: Sequence[FormatName], processes: int
) -> dict[FormatName, list[Measured]]:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as pool:
        pending = {
            format: [pool.submit(_measure, sample.pixels, format) for sample in samples]
            for format in formats
        }
        return {
            format: [future.result() for future in futures] for format, futures in pending.items()
        }


def _measure(pixels: Pixels, format: FormatName) -> Measured:
    picture, reference = picture_of(pixels, format), Reference(pixels)

    def encoded(quality: int) -> Encoded:
        body = encode_as(picture, format, quality)
        return Encoded(quality, reference.score(decode(body)), len(body))

    return Measured(
        [encoded(quality) for quality in _GRIDS[format]],
        {look: encoded(find_quality(picture, format, score)[1]) for look, score in TARGETS.items()},
    )


def picture_of(pixels: Pixels, format: FormatName) -> Picture:
    image = pyvips.Image.new_from_array(pixels).copy(interpretation="srgb")
    size = Size(image.width, image.height)
    return Picture(image, size, output=OutputOptions(format), detector=_DETECTOR)


def decode(body: bytes) -> Pixels:
    image = pyvips.Image.new_from_buffer(body, "") if body[4:8] == b"ftyp" else None
    if image is not None:
        decoded: Pixels = image.colourspace("srgb").numpy()[:, :, :3]
        return decoded
    with Image.open(io.BytesIO(body)) as file:
        return np.asarray(file.convert("RGB"))


def _looks_table(measured: Mapping[FormatName, list[Measured]]) -> str:
    rows = []
    for look, target in TARGETS.items():
        for format, results in measured.items():
            found = compare(
                [one.by_quality for one in results], [one.by_look[look] for one in results]
            )
            rows.append(
                [
                    f"`{look}` ({target:.0f})",
                    format,
                    f"{found.median:.1f}",
                    f"{found.quality:.1f}",
                    f"{found.one_quality_spread:.1f}",
                    f"{found.look_spread:.1f}",
                    f"{100 * found.bytes - 100:+.0f} %",
                ]
            )
    head = ["look", "format", "median score", "one quality for all", "its spread"]
    return markdown_table([*head, "spread by look", "bytes"], rows)


def _kinds_table(
    samples: Sequence[UnencodedPicture], measured: Mapping[FormatName, list[Measured]]
) -> str:
    kinds = list(dict.fromkeys(sample.kind for sample in samples))
    rows = []
    for format, results in measured.items():
        found = compare(
            [one.by_quality for one in results], [one.by_look["good"] for one in results]
        )
        for kind in kinds:
            chosen = [
                one for one, sample in zip(results, samples, strict=True) if sample.kind == kind
            ]
            look = [one.by_look["good"].score for one in chosen]
            fixed = [
                float(
                    np.interp(
                        found.quality,
                        _GRIDS[format],
                        [encoded.score for encoded in one.by_quality],
                    )
                )
                for one in chosen
            ]
            rows.append(
                [
                    format,
                    kind,
                    str(len(chosen)),
                    *[f"{min(scores):.1f} to {max(scores):.1f}" for scores in (fixed, look)],
                    *[f"{spread(scores):.1f}" for scores in (fixed, look)],
                ]
            )
    head = ["format", "`good`", "pictures", "scores at one quality", "scores by look"]
    return markdown_table([*head, "spread at one quality", "spread by look"], rows)


def _draw_sheet(
    samples: Sequence[UnencodedPicture], results: Sequence[Measured], format: FormatName
) -> Image.Image:
    """The pictures with the lowest and the highest scores at `good`, beside their originals."""
    files = {
        sample.name: (sample.pixels, one.by_look["good"])
        for sample, one in zip(samples, results, strict=True)
    }
    scores = {name: encoded.score for name, (_, encoded) in files.items()}
    names = farthest_names(scores, _SHEET_ROWS)
    cell, line = 640, 20
    sheet = Image.new("RGB", (2 * cell, len(names) * (cell // 2 + line)), "white")
    draw = ImageDraw.Draw(sheet)
    for row, name in enumerate(names):
        pixels, encoded = files[name]
        body = encode_as(picture_of(pixels, format), format, encoded.quality)
        top = row * (cell // 2 + line)
        caption = f"{name}: score {encoded.score:.1f}, quality {encoded.quality}, {len(body)} bytes"
        draw.text((4, top + 4), caption, "black")
        for column, shown in enumerate((pixels, decode(body))):
            # The middle at its own size, so that every pixel is one of the sheet.
            image = Image.fromarray(shown)
            left = max(0, (image.width - cell) // 2)
            upper = max(0, (image.height - cell // 2) // 2)
            part = image.crop(
                (left, upper, min(image.width, left + cell), min(image.height, upper + cell // 2))
            )
            sheet.paste(part, (column * cell, top + line))
    return sheet


def _cpu_table(paths: Sequence[Path], formats: Sequence[FormatName]) -> str:
    large = [path for path in paths if _pixels_of(path) >= 1_000_000] or list(paths)
    chosen = large[:: max(1, len(large) // _CPU_PICTURES)][:_CPU_PICTURES]
    classes = {
        "400 px": ([path.read_bytes() for path in chosen], 160_000),
        "1 megapixel": ([path.read_bytes() for path in chosen], 1_000_000),
        "4 megapixels": ([_four_of(large, first) for first in range(_CPU_PICTURES)], 4_000_000),
    }
    rows = []
    for format in formats:
        for name, (originals, pixels) in classes.items():
            times = np.sum([_cpu_ms(original, pixels, format) for original in originals], axis=0)
            plain_encode, look_encode, plain, look = times / len(originals)
            rows.append(
                [
                    format,
                    name,
                    f"{plain_encode:.0f}",
                    f"{look_encode:.0f}",
                    f"{look_encode / plain_encode:.2f}",
                    f"{plain:.0f}",
                    f"{look:.0f}",
                    f"{look / plain:.2f}",
                ]
            )
            print("CPU:", format, name, file=sys.stderr, flush=True)
    head = ["format", "size", "encode, ms", "by look, ms", "ratio"]
    return markdown_table([*head, "render, ms", "by look, ms", "ratio"], rows)


def _pixels_of(path: Path) -> int:
    with Image.open(path) as image:
        return image.width * image.height


def _four_of(paths: Sequence[Path], first: int) -> bytes:
    """A JPEG of 2400 x 1800: four photographs, since a large one is seldom at hand."""
    whole = Image.new("RGB", (2400, 1800))
    for index in range(4):
        with Image.open(paths[(4 * first + index) % len(paths)]) as image:
            part = ImageOps.fit(image.convert("RGB"), (1200, 900))
        whole.paste(part, (index % 2 * 1200, index // 2 * 900))
    output = io.BytesIO()
    whole.save(output, "JPEG", quality=90)
    return output.getvalue()


def _cpu_ms(original: bytes, pixels: int, format: FormatName) -> list[float]:
    """Milliseconds of encoding without and with the search, and of a whole render likewise.

    The least of some rounds, in which all take turns.
    """
    with Image.open(io.BytesIO(original)) as image:
        longest, ratio = max(image.size), min(image.size) / max(image.size)
    side = 400 if pixels == 160_000 else min(longest, round((pixels / ratio) ** 0.5))
    picture = picture_of(resized(original, side), format)
    score = TARGETS["good"]
    quality = find_quality(picture, format, score)[1]
    resize = {"type": "resize", "width": side, "height": side, "fit": "inside"}
    convert = {"type": "convert", "format": format}
    functions: list[Callable[[], object]] = [
        lambda: encode_as(picture, format, quality),
        lambda: encode_as(*_searched(picture, format, score)),
        lambda: _render(original, [resize, {**convert, "quality": quality}]),
        lambda: _render(original, [resize, {**convert, "quality": "good"}]),
    ]
    least = [float("inf")] * len(functions)
    for _ in range(_CPU_ROUNDS):
        for index, function in enumerate(functions):
            start = time.process_time()
            function()
            least[index] = min(least[index], 1000 * (time.process_time() - start))
    return least


def _searched(
    picture: Picture, format: FormatName, score: float
) -> tuple[Picture, FormatName, int]:
    picture, quality = find_quality(picture, format, score)
    return picture, format, quality


if __name__ == "__main__":
    main()
