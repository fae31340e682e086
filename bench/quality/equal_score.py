"""Compare encoders at an equal score, by interpolation between the qualities that were measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

Metric = Literal["ssimulacra2", "ms_ssim"]

_SCALES = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Weights of the sizes, each half of the one before (Wang, Simoncelli and Bovik 2003)."""
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
_COLORS = (6 / 8, 1 / 8, 1 / 8)
"""Weights of luma and the two chroma channels."""
_MAX_DECIBELS = 60.0
_STEPS = 8
_GAUSSIAN = np.exp(-(np.arange(-3, 4) ** 2) / (2 * 1.5**2)).astype(np.float32)
_GAUSSIAN /= _GAUSSIAN.sum()

Plane = npt.NDArray[np.float32]


class Measured(NamedTuple):
    """One file: ``ms_ssim`` is in decibels, ``seconds`` is CPU time."""

    quality: int
    bytes: int
    ssimulacra2: float
    ms_ssim: float
    seconds: float


def relative_bytes(
    curve: Sequence[Measured], base: Sequence[Measured], metric: Metric
) -> float | None:
    """Bytes of a curve, divided by those of the base, on average over the scores that both reach.

    None where the curves have no score in common.
    """
    ours, others = (_points(each, metric) for each in (base, curve))
    low, high = max(ours[0][0], others[0][0]), min(ours[0][-1], others[0][-1])
    if low >= high:
        return None
    scores = np.linspace(low, high, _STEPS)
    difference = np.interp(scores, *others) - np.interp(scores, *ours)
    return math.exp(float(difference.mean()))


def _points(
    curve: Sequence[Measured], metric: Metric
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Scores in rising order, and the logarithms of bytes."""
    rows = sorted((getattr(one, metric), math.log(one.bytes)) for one in curve)
    scores, sizes = np.array(rows).T
    return scores, sizes


def geometric_mean(values: Sequence[float]) -> float:
    """The mean of ratios."""
    return math.exp(sum(math.log(value) for value in values) / len(values))


def ms_ssim(one: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8]) -> float:
    """Multiscale SSIM of luma and chroma in decibels; 60 where the pictures are equal."""
    similarity = sum(
        weight * _ms_ssim_of(first, second)
        for weight, first, second in zip(_COLORS, _planes(one), _planes(other), strict=True)
    )
    return min(_MAX_DECIBELS, -10 * math.log10(max(1 - similarity, 1e-6)))


def _planes(pixels: npt.NDArray[np.uint8]) -> list[Plane]:
    red, green, blue = (pixels[..., band].astype(np.float32) for band in range(3))
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    return [luma, 128 + (blue - luma) * 0.564, 128 + (red - luma) * 0.713]


def _ms_ssim_of(one: Plane, other: Plane) -> float:
    product = 1.0
    for scale, weight in enumerate(_SCALES):
        maps = _blur(np.stack([one, other, one * one, other * other, one * other]))
        mean, other_mean, square, other_square, product_mean = maps
        variances = square - mean**2 + other_square - other_mean**2
        covariance = product_mean - mean * other_mean
        similarity = float(((2 * covariance + _C2) / (variances + _C2)).mean())
        is_last = scale == len(_SCALES) - 1 or min(one.shape) < 32
        if is_last:
            light = (2 * mean * other_mean + _C1) / (mean**2 + other_mean**2 + _C1)
            similarity *= float(light.mean())
        product *= max(similarity, 1e-6) ** weight
        if is_last:
            break
        one, other = _halve(one), _halve(other)
    return product


def _blur(maps: Plane) -> Plane:
    """Blur along the last two axes, whose edges are repeated."""
    radius = len(_GAUSSIAN) // 2
    for axis in (1, 2):
        widths = [(radius, radius) if each == axis else (0, 0) for each in range(3)]
        padded, length = np.pad(maps, widths, mode="edge"), maps.shape[axis]
        maps = sum(
            weight * padded[_part(axis, offset, length)] for offset, weight in enumerate(_GAUSSIAN)
        )
    return maps


def _part(axis: int, offset: int, length: int) -> tuple[slice, ...]:
    whole = slice(None)
    return tuple(slice(offset, offset + length) if each == axis else whole for each in range(3))


def _halve(plane: Plane) -> Plane:
    height, width = (side // 2 * 2 for side in plane.shape)
    halves = plane[:height, :width].reshape(height // 2, 2, width // 2, 2)
    return halves.mean(axis=(1, 3), dtype=np.float32)
