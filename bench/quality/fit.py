#!/usr/bin/env python3
"""Fit the constants of the search for a quality by look, and print them for `quality_search.py`.

    bench/quality/fit.py FOLDER [--photos 100] [--formats jpeg webp]

Photographs are those of the folder (JPEG) that `fitted.txt` names, at 400 and 1000 pixels, with the
graphics of `bench/auto_pictures.py`. `bench/quality/looks.py` judges by others. Every picture is
encoded at a grid of qualities as a whole and as the sample that the search takes of it.

The errors of the sample, and of the usual curve of the format, are printed as they are for pictures
that the constants were not fitted to: each fifth of the pictures is estimated by the others.
"""

from __future__ import annotations

import argparse
import io
import multiprocessing
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[1] / "speed")]

import cpu_time

if multiprocessing.parent_process() is None:  # the others inherit the environment
    cpu_time.restart_in_render_environment()

import numpy as np
import numpy.typing as npt
from auto_pictures import drawn_pictures
from PIL import Image
from renders import decode, picture_of, resized

from proxy.formats import FormatName
from proxy.imaging.encoders import encode_as
from proxy.imaging.quality_search import TileSample, log_error
from proxy.imaging.ssimulacra2 import Pixels, Reference

_GRIDS: dict[FormatName, tuple[int, ...]] = {
    "jpeg": (8, 15, 25, 35, 50, 65, 80, 89, 90, 95, 98),
    "webp": (2, 10, 20, 35, 50, 65, 80, 90, 97),
    "avif": (10, 25, 35, 45, 55, 65, 75, 85, 94),
    "jxl": (25, 40, 55, 70, 80, 90, 95),
}
"""The lowest and the highest are the bounds of the search. Below 25, libjxl halves the size: there
letters fall apart."""

_SIDES = (400, 1000)
_PHOTO_ENDINGS = tuple(f"@{side}" for side in _SIDES)
_GRAPHIC_SIZES = ((480, 400), (320, 240))
_SCORES = (25.0, 93.0)
"""Where a score is outside, the tiles are not compared: nobody may ask for it."""

_FOLDS = 5
_RIDGE = 0.02
"""How much weights are drawn to 0, so that they hold for other pictures."""

_GRAPHIC_SHARE = 0.15
"""How much a graphic counts: drawings vary less than photographs, and are farther from usual."""

Values = npt.NDArray[np.float64]


class Measured(NamedTuple):
    """Logarithms of errors at the qualities of the grid, and the features of the picture."""

    name: str
    whole: Values
    tiles: Values
    features: tuple[float, ...]
    is_whole: bool
    is_graphic: bool


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--photos", type=int, default=1000, help="at most so many photographs")
    parser.add_argument("--formats", nargs="+", choices=list(_GRIDS), default=list(_GRIDS))
    options = parser.parse_args()
    pictures = _pictures(options.folder, options.photos)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(mp_context=context) as pool:
        for format in options.formats:
            pending = [pool.submit(measure, *item, format) for item in pictures.items()]
            print_constants(format, [future.result() for future in pending])


def _pictures(folder: Path, photos: int) -> dict[str, Pixels]:
    """Photographs by name and size, and graphics."""
    names = Path(__file__).with_name("fitted.txt").read_text().split()
    paths = [path for name in names if (path := folder / f"{name}.jpg").is_file()][:photos]
    if not paths:
        raise SystemExit(f"{folder} has no photograph that fitted.txt names")
    pictures: dict[str, Pixels] = {}
    for path in paths:
        original = path.read_bytes()
        with Image.open(io.BytesIO(original)) as image:
            longest = max(image.size)
        for side in _SIDES:
            if side <= longest:
                pictures[f"{path.stem}@{side}"] = resized(original, side)
    with Image.open(paths[0]) as photo:
        drawn = drawn_pictures(photo.convert("RGB"))
    for name, (kind, body) in drawn.items():
        if kind != "photograph":
            with Image.open(io.BytesIO(body)) as image:
                pictures |= graphics_of(name, image.convert("RGB"))
    return pictures


def graphics_of(name: str, image: Image.Image) -> dict[str, Pixels]:
    """Parts of a graphic at its own size, and the half of it where it is large."""
    parts = {}
    for index, ((width, height), (x, y)) in enumerate(
        zip((*_GRAPHIC_SIZES, _GRAPHIC_SIZES[0]), ((0.5, 0.5), (1, 0.6), (0, 0)), strict=True)
    ):
        left, top = int(max(0, image.width - width) * x), int(max(0, image.height - height) * y)
        box = (left, top, min(image.width, left + width), min(image.height, top + height))
        parts[f"{name}@{index}"] = np.asarray(image.crop(box))
    if image.width > _GRAPHIC_SIZES[0][0]:
        parts[f"{name}@half"] = np.asarray(image.reduce(2))
    return parts


def measure(name: str, pixels: Pixels, format: FormatName) -> Measured:
    """Encode a picture and its sample at the qualities of the grid."""
    picture, reference = picture_of(pixels, format), Reference(pixels)
    sample = TileSample(picture, format)
    whole = [
        log_error(reference.score(decode(encode_as(picture, format, quality))))
        for quality in _GRIDS[format]
    ]
    tiles = [sample.error_at(quality) for quality in _GRIDS[format]]
    return Measured(
        name=name,
        whole=np.array(whole),
        tiles=np.array(tiles),
        features=sample.features,
        is_whole=sample.is_whole,
        is_graphic=not name.endswith(_PHOTO_ENDINGS),
    )


def print_constants(format: FormatName, measured: Sequence[Measured]) -> None:
    """Print how well pictures are estimated by others, and the constants for all."""
    curve = usual_errors(measured)
    first, correction = first_rows(measured, curve), correction_rows(measured, curve)
    print(f"# {format}: {len(measured)} pictures. Scores of photographs and of graphics are off by")
    for rows, by in ((first, "features"), (correction, "tiles")):
        before, after = rows.rms(np.zeros(len(rows.wanted))), rows.rms(rows.estimate())
        print(f"# {before[0]:.2f} and {before[1]:.2f} as they are,", end=" ")
        print(f"{after[0]:.2f} and {after[1]:.2f} by {by}")
    print(f'    "{format}": _Curve(')
    print(f"        {_GRIDS[format]},")
    for values in (curve, first.weights(), correction.weights()):
        print(f"        ({', '.join(f'{value:.3f}' for value in values)}),")
    print("    ),", flush=True)


def usual_errors(measured: Sequence[Measured]) -> Values:
    """The median of all photographs at each quality, falling."""
    errors = [one.whole for one in measured if not one.is_graphic]
    medians = np.median(errors, axis=0)
    falling: Values = np.minimum.accumulate(medians - 1e-3 * np.arange(len(medians)))
    return falling


class Rows(NamedTuple):
    """What is wanted of values, one row for each quality of each picture.

    ``errors`` are those of the whole, and ``pictures`` where they are from.
    """

    values: Values
    wanted: Values
    errors: Values
    pictures: Sequence[Measured]

    def weights(self) -> Values:
        """The weights of the values, and a constant."""
        return _fit(self.values, self.wanted, self._shares())

    def estimate(self) -> Values:
        """What is estimated for each row by the pictures of other folds."""
        stems = [one.name.split("@")[0] for one in self.pictures]
        order = {stem: index for index, stem in enumerate(sorted(set(stems)))}
        folds = np.array([order[stem] % _FOLDS for stem in stems])
        shares, estimates = self._shares(), np.zeros(len(self.wanted))
        for fold in range(_FOLDS):
            others, own = folds != fold, folds == fold
            weights = _fit(self.values[others], self.wanted[others], shares[others])
            estimates[own] = self.values[own] @ weights[:-1] + weights[-1]
        return estimates

    def rms(self, estimates: Values) -> tuple[float, float]:
        """How far scores of photographs and graphics are off, as a root mean square."""
        off = np.exp(self.errors) - np.exp(self.errors - self.wanted + estimates)
        graphic = np.array([one.is_graphic for one in self.pictures])
        return tuple(float(np.sqrt((off[kind] ** 2).mean())) for kind in (~graphic, graphic))

    def _shares(self) -> Values:
        return np.array([_GRAPHIC_SHARE if one.is_graphic else 1.0 for one in self.pictures])


def first_rows(measured: Sequence[Measured], curve: Values) -> Rows:
    """How far errors of the whole are from the usual ones, by features."""
    empty = np.empty((len(curve), 0))
    return _rows([(one, one.whole - curve, empty) for one in measured])


def correction_rows(measured: Sequence[Measured], curve: Values) -> Rows:
    """How far errors of the whole are from those of the tiles, by these, the usual and features."""
    return _rows(
        [
            (one, one.whole - one.tiles, np.column_stack([one.tiles, curve]))
            for one in measured
            if not one.is_whole
        ]
    )


def _rows(items: Sequence[tuple[Measured, Values, Values]]) -> Rows:
    low, high = (log_error(score) for score in reversed(_SCORES))
    values, wanted, errors, pictures = [], [], [], []
    for one, differences, more in items:
        for index in np.flatnonzero((one.whole > low) & (one.whole < high)):
            values.append([*more[index], *one.features])
            wanted.append(differences[index])
            errors.append(one.whole[index])
            pictures.append(one)
    return Rows(np.array(values), np.array(wanted), np.array(errors), pictures)


def _fit(values: Values, wanted: Values, shares: Values) -> Values:
    """Ridge regression of standardized values: weights, and the constant."""
    shares = shares / shares.sum()
    mean = shares @ values
    scales = np.sqrt(shares @ (values - mean) ** 2) + 1e-9
    standard = (values - mean) / scales
    square = standard.T @ (standard * shares[:, np.newaxis]) + _RIDGE * np.eye(len(mean))
    constant = shares @ wanted
    weights = np.linalg.solve(square, standard.T @ (shares * (wanted - constant))) / scales
    return np.append(weights, constant - weights @ mean)


if __name__ == "__main__":
    main()
