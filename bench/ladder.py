"""Fit how the bytes of a photograph grow with its pixels: ``python bench/ladder.py [FOLDER]``.

Every photograph is rendered at several widths in every format. Bytes are about ``pixels **
exponent``; the exponent is that of the least squares line through the logarithms. The table has its
quartiles. The widths below it are those of a srcset (``DEFAULT_WIDTHS``): each step has about 30 %
more bytes.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

import pyvips

REPOSITORY = Path(__file__).parents[1]
sys.path.insert(0, str(REPOSITORY / "bench" / "speed"))

from statistics_table import format_number, markdown_table

from proxy import Framekeep

_EVALUATION_IMAGES = REPOSITORY.parent / "shared" / "eval" / "smartcrop-dev" / "images"
_DEMO = REPOSITORY / "proxy" / "data" / "demo"
_FORMATS = ("avif", "webp", "jpeg")
_WIDTHS = (160, 240, 360, 540, 810, 1200, 1800, 2700, 4000)
_GROWTH = 1.3
"""Bytes of a step over those of the step before."""

_SMALLEST, _LARGEST = 320, 3840


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=_EVALUATION_IMAGES)
    parser.add_argument("--pictures", type=int, default=12, help="number of photographs")
    parser.add_argument("--least", type=int, default=900, help="least width of a photograph")
    options = parser.parse_args()
    framekeep = Framekeep()
    exponents: dict[str, list[float]] = {name: [] for name in _FORMATS}
    for path, width in _photographs(options.folder, options.pictures, options.least):
        original = path.read_bytes()
        for name in _FORMATS:
            points = []
            for across in (across for across in _WIDTHS if across <= width):
                rendition = framekeep.render(original, f"resize:{across}", f"convert:{name}")
                pixels = rendition.size.width * rendition.size.height
                points.append((math.log(pixels), math.log(len(rendition.body))))
            exponents[name].append(_slope(points))
        print("ladder:", path.name, width, file=sys.stderr, flush=True)
    every = [value for values in exponents.values() for value in values]
    rows = [
        [name, str(len(values)), *map(format_number, _quartiles(values))]
        for name, values in (*exponents.items(), ("all", every))
    ]
    print(markdown_table(["format", "photographs", "25 %", "exponent", "75 %"], rows))
    print()
    exponent = round(statistics.median(every), 2)
    print(f"widths at {exponent}:", ", ".join(map(str, ladder(exponent))))


def ladder(exponent: float) -> list[int]:
    """Widths from the smallest to the largest, each with 30 % more bytes, in tens of pixels."""
    span = _LARGEST / _SMALLEST
    steps = round(math.log(span) * 2 * exponent / math.log(_GROWTH))
    return [round(_SMALLEST * span ** (step / steps) / 10) * 10 for step in range(steps + 1)]


def _photographs(folder: Path, count: int, least: int) -> list[tuple[Path, int]]:
    files = sorted(folder.glob("*.jpg")) or sorted(_DEMO.glob("*.jpg"))
    widths = ((path, pyvips.Image.jpegload_buffer(path.read_bytes()).width) for path in files)
    wide = [(path, width) for path, width in widths if width >= least]
    if not wide:
        sys.exit(f"ladder: no JPEG in {folder} is {least} pixels wide; see --least")
    return wide[:: max(1, len(wide) // count)][:count]


def _slope(points: Sequence[tuple[float, float]]) -> float:
    across, down = zip(*points, strict=True)
    return statistics.linear_regression(across, down).slope


def _quartiles(values: Sequence[float]) -> list[float]:
    return statistics.quantiles(values, n=4, method="inclusive")


if __name__ == "__main__":
    main()
