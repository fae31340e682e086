"""Choose tiles that stand for a picture, and measure what of it they do not show.

The tiles of a grid are sorted by their contrast and divided into groups of equal size, of which
each sends its middle. So plain and busy parts count as much as they do in the whole picture.
"""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from proxy.imaging.score_targets import SAMPLE_PIXELS
from proxy.imaging.ssimulacra2 import Pixels

TILE_SIDE = 64
MIN_TILES, MAX_TILES = 12, SAMPLE_PIXELS // TILE_SIDE**2
_SAMPLED_SHARE = 0.03
_WHOLE_PIXELS = 50_000
"""A picture of no more pixels is its own sample."""

_MEASURED_PIXELS = 100_000
"""Contrasts are measured in every row of a picture of so many pixels, in fewer of a larger one."""

_BLOCK = 16
"""Tiles begin where a block of every encoder does."""

_LEAST = 0.1  # level, so that a plain picture has a logarithm
_DISTANCES = (2, 4, 8)
_BUSY_PERCENT = 95

FEATURES = ("pixels", "contrast", "more_contrast", "flat", "busy", "far2", "far4", "far8")


class SampledTiles(NamedTuple):
    """Tiles of the shape (tiles, height, width, 3), and `FEATURES` of the picture."""

    tiles: Pixels
    features: tuple[float, ...]
    is_whole: bool


def take_sample(pixels: Pixels) -> SampledTiles:
    """The sample of an opaque picture of the shape (height, width, 3)."""
    area = pixels.shape[0] * pixels.shape[1]
    step = max(1, area // _MEASURED_PIXELS)
    grid = _grid(pixels)
    green = grid[:, :, ::step, :, 1].astype(np.int16)
    green = green.reshape(-1, *green.shape[2:])
    differences = np.abs(np.diff(green, axis=2))
    contrasts = differences.sum(axis=(1, 2))
    chosen = _middles(contrasts, _tile_count(area))
    tile_contrasts = contrasts / differences[0].size
    mean = math.log(float(tile_contrasts.mean()) + _LEAST)
    busy = float(np.sort(tile_contrasts)[len(contrasts) * _BUSY_PERCENT // 100])
    features = (
        math.log(area / 1e6),
        mean,
        mean - math.log(float(tile_contrasts[chosen].mean()) + _LEAST),
        float(np.count_nonzero(differences == 0)) / differences.size,
        math.log(busy + _LEAST) - mean,
        *[_log_difference(green, distance) - mean for distance in _DISTANCES],
    )
    if area <= _WHOLE_PIXELS:
        return SampledTiles(pixels[np.newaxis], features, is_whole=True)
    tiles = grid[np.unravel_index(chosen, grid.shape[:2])]
    return SampledTiles(tiles, features, is_whole=False)


def _tile_count(pixels: int) -> int:
    return min(MAX_TILES, max(MIN_TILES, round(pixels * _SAMPLED_SHARE / TILE_SIDE**2)))


def _grid(pixels: Pixels) -> Pixels:
    """The tiles in the middle, by row and column: a view of the shape (rows, columns, ...)."""
    height, width = pixels.shape[:2]
    tile_height, tile_width = min(height, TILE_SIDE), min(width, TILE_SIDE)
    rows, columns = height // tile_height, width // tile_width
    top, left = (height - rows * tile_height) // 2, (width - columns * tile_width) // 2
    top, left = top // _BLOCK * _BLOCK, left // _BLOCK * _BLOCK
    part = pixels[top : top + rows * tile_height, left : left + columns * tile_width]
    return part.reshape(rows, tile_height, columns, tile_width, 3).swapaxes(1, 2)


def _middles(values: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.intp]:
    """The indexes of the middles of so many groups of sorted values, or of all of fewer."""
    if len(values) <= count:
        return np.arange(len(values))
    places = (2 * np.arange(count) + 1) * len(values) // (2 * count)
    return np.argsort(values, kind="stable")[places]


def _log_difference(green: npt.NDArray[np.int16], distance: int) -> float:
    """The logarithm of how much pixels at this distance differ on average."""
    differences = np.abs(green[..., distance:] - green[..., :-distance])
    return math.log(float(differences.sum()) / differences.size + _LEAST)
