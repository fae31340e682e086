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
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1] / "speed"))

import cpu_time

if multiprocessing.parent_process() is None:  # the others inherit the environment
    cpu_time.restart_in_render_environment()

import numpy as np
from equal_median import Encoded, compare, farthest_names, spread
from graphics import draw_graphics
from looks_cpu import cpu_table
from PIL import Image, ImageDraw
from renders import decode, picture_of, resized
from statistics_table import markdown_table

from proxy.formats import FormatName
from proxy.imaging.encoders import encode_as
from proxy.imaging.optional_codecs import missing_package
from proxy.imaging.quality_search import find_quality
from proxy.imaging.score_targets import TARGETS
from proxy.imaging.ssimulacra2 import Pixels, Reference

_ROOT = Path(__file__).parents[2]

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
        print(cpu_table(paths, options.formats), flush=True)


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


if __name__ == "__main__":
    main()
