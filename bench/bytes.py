#!/usr/bin/env python3
"""Compare bytes at equal look, and CPU time, of Framekeep's encoders with others' defaults.

    bench/bytes.py                                  all formats: six minutes of one core
    bench/bytes.py FOLDER --photos 12 --side 800    more and larger photographs
    bench/bytes.py --formats jpeg webp --svg docs   with charts
    bench/bytes.py --tables docs/formats.md         puts its tables in the place of those in a page

Photographs are those of FOLDER (JPEG), or the demo photographs, without those that anything was
fitted to; screenshots, art and scans are drawn. Each picture is encoded at some qualities by each
encoder; see `bench/quality/rival_encoders.py` for their settings. Bytes are interpolated at the
scores that both encoders reach, by SSIMULACRA2 and by multiscale SSIM, and are relative to what
Framekeep answers first; so is the CPU time. The last columns are the encoder's own default quality.
"Better later" is what replaces popular renditions; its CPU time is that of the whole search.
"""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "speed"), str(HERE / "quality")]

import cpu_time

cpu_time.restart_in_render_environment()

import numpy as np
import pyvips
from charts import Curve, draw_chart
from equal_score import Measured, Metric, geometric_mean, ms_ssim, relative_bytes
from graphics import draw_graphics
from proc_stats import describe_machine
from rival_encoders import BETTER_LATER, OURS, Encoder, make_encoders, run_sharp
from scans import draw_scans
from statistics_table import markdown_table

from proxy.formats import FormatName
from proxy.imaging.ssimulacra2 import Pixels, Reference

FORMATS: tuple[FormatName, ...] = ("jpeg", "webp", "avif", "png")
_TITLES: Mapping[str, str] = {"jpeg": "JPEG", "webp": "WebP", "avif": "AVIF", "png": "PNG"}
_SCREENSHOTS = ("terminal", "spreadsheet", "article")
_PART = (320, 440)
"""Rows and columns that are used of a drawn picture."""

_QUALITIES: Mapping[FormatName, tuple[int, ...]] = {
    "jpeg": (45, 62, 75, 88),
    "webp": (40, 60, 75, 90),
    "avif": (40, 52, 66, 80),
    "png": (100,),
}
_SLOW_QUALITIES: Mapping[FormatName, tuple[int, ...]] = {
    **_QUALITIES,
    "avif": (40, 63, 80),
}
"""Of encoders that take seconds."""

_WARM_UP = pyvips.Image.black(64, 48, bands=3).copy(interpretation="srgb")
"""Encoded once by each encoder before it is measured."""

_STYLES = {
    OURS: 0,
    BETTER_LATER: 1,
    "sharp": 2,
    "sharp, mozjpeg: true": 3,
    "imgproxy": 4,
    "imgproxy, imagor": 4,
    "imagor": 5,
    "thumbor": 6,
}
"""The number of the color and mark in charts."""

Curves = Mapping[str, Sequence[Measured]]
"""What was measured of one picture, by encoder."""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    demo = HERE.parent / "proxy" / "data" / "demo"
    parser.add_argument("folder", type=Path, nargs="?", default=demo, metavar="FOLDER")
    parser.add_argument("--photos", type=int, default=6, help="at most so many photographs")
    parser.add_argument("--side", type=int, default=480, help="longest side of photographs")
    parser.add_argument("--formats", nargs="+", choices=FORMATS, default=FORMATS)
    parser.add_argument("--svg", type=Path, help="folder for charts", metavar="FOLDER")
    parser.add_argument("--tables", type=Path, help="page with older tables", metavar="PAGE")
    options = parser.parse_args()
    kinds = _pictures(options.folder, options.photos, options.side)
    with run_sharp() as sharp:
        encoders = make_encoders(sharp)
        for format in options.formats:
            for encoder in encoders[format]:
                encoder.encode(_WARM_UP, encoder.default)
            measured = {
                kind: [_measure(image, format, encoders[format]) for image in images]
                for kind, images in kinds.items()
            }
            table = _table(format, measured, encoders[format])
            print(table, end="\n\n", flush=True)
            if options.tables is not None:
                _replace_table(options.tables, table)
            for line in _judge(format, measured):
                print(line)
            print(flush=True)
            if options.svg is not None:
                options.svg.mkdir(parents=True, exist_ok=True)
                svg = _chart(format, measured, kinds["photographs"], encoders[format])
                (options.svg / f"bytes-{format}.svg").write_text(svg)
        versions = sharp.versions if sharp is not None else {}
    print(", ".join(f"{len(images)} {kind}" for kind, images in kinds.items()))
    names = ("sharp", "vips", "mozjpeg", "webp", "aom")
    print(
        "sharp itself: "
        + ", ".join(f"{name} {versions[name]}" for name in names if name in versions)
        if versions
        else "sharp is not installed: its settings with the libvips of Framekeep"
    )
    print(describe_machine())


def _pictures(folder: Path, photos: int, side: int) -> dict[str, list[pyvips.Image]]:
    fitted = set((HERE / "quality" / "fitted.txt").read_text().split())
    paths = [path for path in sorted(folder.glob("*.jpg")) if path.stem not in fitted]
    paths = paths[:: max(1, len(paths) // photos)][:photos]
    kinds: dict[str, list[pyvips.Image]] = {
        "photographs": [],
        "screenshots": [],
        "art": [],
        "scans": [],
    }
    for path in paths:
        image = pyvips.Image.thumbnail(str(path), side).colourspace("srgb")
        kinds["photographs"].append(image[:3].copy(interpretation="srgb").copy_memory())
    drawn = {
        **{
            name: ("screenshots" if name in _SCREENSHOTS else "art", image)
            for name, image in draw_graphics().items()
        },
        **{name: ("scans", image) for name, image in draw_scans().items()},
    }
    for kind, image in drawn.values():
        part = np.ascontiguousarray(np.asarray(image)[: _PART[0], : _PART[1]])
        kinds[kind].append(pyvips.Image.new_from_array(part).copy(interpretation="srgb"))
    return kinds


def _measure(image: pyvips.Image, format: FormatName, encoders: Sequence[Encoder]) -> Curves:
    pixels = image.numpy()
    reference = Reference(pixels)
    curves: dict[str, list[Measured]] = {}
    for encoder in encoders:
        qualities = (_SLOW_QUALITIES if encoder.slow else _QUALITIES)[format]
        curves[encoder.name] = []
        for quality in sorted({*qualities, encoder.default}):
            body, seconds = encoder.encode(image, quality)
            scores = (100.0, 60.0)
            if format != "png":
                decoded = _decode(body)
                scores = reference.score(decoded), ms_ssim(pixels, decoded)
            curves[encoder.name].append(Measured(quality, len(body), *scores, seconds))
    return curves


def _decode(body: bytes) -> Pixels:
    image = pyvips.Image.new_from_buffer(body, "").colourspace("srgb")
    pixels: Pixels = image.numpy()[..., :3]
    return pixels


def _table(
    format: FormatName, measured: Mapping[str, Sequence[Curves]], encoders: Sequence[Encoder]
) -> str:
    rows = []
    for kind, pictures in measured.items():
        for encoder in encoders:
            files = [_at_default(picture, encoder) for picture in pictures]
            rows.append(
                [
                    kind,
                    encoder.name,
                    *(
                        _cell(_relative_bytes(format, pictures, encoder.name, metric))
                        for metric in ("ssimulacra2", "ms_ssim")
                    ),
                    _cell(_relative_cpu(pictures, encoder.name)),
                    "-" if format == "png" else str(encoder.default),
                    f"{sum(one.bytes for one in files):,}",
                    "-" if format == "png" else _cell_score(files),
                ]
            )
    head = [format, "encoder", "bytes at equal SSIMULACRA2", "at equal MS-SSIM", "CPU"]
    return markdown_table([*head, "default", "its bytes", "its median score"], rows)


def _replace_table(page: Path, table: str) -> None:
    """Put the table in the place of that with the same head."""
    head = table.splitlines()[0]
    before, after = page.read_text().split(head + "\n")
    lines = after.splitlines(keepends=True)
    rest = itertools.dropwhile(lambda line: line.startswith("|"), lines)
    page.write_text(f"{before}{table.rstrip()}\n{''.join(rest)}")


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _cell_score(files: Sequence[Measured]) -> str:
    return f"{np.median([one.ssimulacra2 for one in files]):.1f}"


def _at_default(picture: Curves, encoder: Encoder) -> Measured:
    return next(one for one in picture[encoder.name] if one.quality == encoder.default)


def _relative_bytes(
    format: FormatName, pictures: Sequence[Curves], name: str, metric: Metric = "ssimulacra2"
) -> float | None:
    """The mean over pictures; None where no score is reached by both."""
    pairs = [(picture[name], picture[OURS]) for picture in pictures]
    if format == "png":
        found: list[float | None] = [curve[0].bytes / base[0].bytes for curve, base in pairs]
    else:
        found = [relative_bytes(curve, base, metric) for curve, base in pairs]
    ratios = [ratio for ratio in found if ratio is not None]
    return geometric_mean(ratios) if ratios else None


def _relative_cpu(pictures: Sequence[Curves], name: str) -> float:
    """Mean CPU time of an encode, over the qualities."""
    means = [
        sum(float(np.mean([one.seconds for one in picture[each]])) for picture in pictures)
        for each in (name, OURS)
    ]
    return means[0] / means[1]


def _judge(format: FormatName, measured: Mapping[str, Sequence[Curves]]) -> Iterator[str]:
    """Who takes fewer bytes at equal look in no more CPU, and how far better later is below."""
    for kind, pictures in measured.items():
        sizes = {
            name: size
            for name in pictures[0]
            if (size := _relative_bytes(format, pictures, name)) is not None
        }
        others = [name for name in sizes if name not in {OURS, BETTER_LATER}]
        times = {name: _relative_cpu(pictures, name) for name in others}
        better = [
            f"{name} ({sizes[name]:.2f} of the bytes, {times[name]:.2f} of the CPU)"
            for name in others
            if sizes[name] < 0.995 and times[name] <= 1.0
        ]
        best = min(others, key=lambda name: sizes[name])
        yield (
            f"{format}, {kind}: left of and below us: {', '.join(better) or 'nobody'}; "
            f"better later takes {sizes[BETTER_LATER] / sizes[best] - 1:+.0%} bytes beside the "
            f"best of the others, {best}"
        )


def _chart(
    format: FormatName,
    measured: Mapping[str, Sequence[Curves]],
    photographs: Sequence[pyvips.Image],
    encoders: Sequence[Encoder],
) -> str:
    pictures = [picture for kind in measured.values() for picture in kind]
    costs = {
        encoder.name: (_relative_cpu(pictures, encoder.name), size)
        for encoder in encoders
        if (size := _relative_bytes(format, pictures, encoder.name)) is not None
    }
    curves = {}
    if format != "png":
        areas = [image.width * image.height for image in photographs]
        curves = {
            encoder.name: _median_curve(measured["photographs"], areas, encoder)
            for encoder in encoders
        }
    names = {encoder.name: _STYLES[encoder.name] for encoder in encoders}
    what = "all pictures, by CPU time" if format == "png" else "photographs; right: all pictures"
    return draw_chart(f"{_TITLES[format]}: {what}", curves, costs, names)


def _median_curve(pictures: Sequence[Curves], areas: Sequence[int], encoder: Encoder) -> Curve:
    points = {
        files[0].quality: (
            float(np.median([one.bytes / area for one, area in zip(files, areas, strict=True)])),
            float(np.median([one.ssimulacra2 for one in files])),
        )
        for files in zip(*(picture[encoder.name] for picture in pictures), strict=True)
    }
    return Curve(list(points.values()), points[encoder.default])


if __name__ == "__main__":
    main()
