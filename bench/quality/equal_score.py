"""Compare encoders at an equal score, by interpolation between the qualities that were measured."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pyvips

Metric = Literal["ssimulacra2", "ms_ssim"]

_SCALES = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Weights of the sizes, each half of the one before (Wang, Simoncelli and Bovik 2003)."""
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
_COLORS = (6 / 8, 1 / 8, 1 / 8)
"""Weights of luma and the two chroma channels."""
_MAX_DECIBELS = 60.0
_STEPS = 8
_COLOR_LINES = ("#2563eb", "#dc2626", "#059669", "#d97706", "#7c3aed", "#475569")


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


def _planes(pixels: npt.NDArray[np.uint8]) -> list[pyvips.Image]:
    red, green, blue = (pixels[..., band].astype(np.float32) for band in range(3))
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    planes = (luma, 128 + (blue - luma) * 0.564, 128 + (red - luma) * 0.713)
    return [pyvips.Image.new_from_array(plane) for plane in planes]


def _ms_ssim_of(one: pyvips.Image, other: pyvips.Image) -> float:
    product = 1.0
    for scale, weight in enumerate(_SCALES):
        means = _blur(one), _blur(other)
        variances = _blur(one * one) - means[0] ** 2 + _blur(other * other) - means[1] ** 2
        covariance = _blur(one * other) - means[0] * means[1]
        similarity = ((covariance * 2 + _C2) / (variances + _C2)).avg()
        is_last = scale == len(_SCALES) - 1 or min(one.width, one.height) < 32
        if is_last:
            light = (means[0] * means[1] * 2 + _C1) / (means[0] ** 2 + means[1] ** 2 + _C1)
            similarity *= light.avg()
        product *= max(similarity, 1e-6) ** weight
        if is_last:
            break
        one, other = one.shrink(2, 2), other.shrink(2, 2)
    return product


def _blur(image: pyvips.Image) -> pyvips.Image:
    return image.gaussblur(1.5, precision="float")


def draw_curves(title: str, curves: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """An SVG of scores over bytes a pixel, whose axis is logarithmic; a line for each name."""
    width, height, left, top, right, bottom = 640, 400, 52, 34, 150, 44
    points = [point for curve in curves.values() for point in curve]
    lows, highs = (
        [function(math.log2(size) for size, _ in points), function(score for _, score in points)]
        for function in (min, max)
    )
    spans = [max(high - low, 1e-9) for low, high in zip(lows, highs, strict=True)]

    def place(size: float, score: float) -> tuple[float, float]:
        across = (math.log2(size) - lows[0]) / spans[0]
        up = (score - lows[1]) / spans[1]
        return left + across * (width - left - right), height - bottom - up * (
            height - top - bottom
        )

    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
            'font-family="sans-serif" font-size="12">'
        ),
        f'<rect width="{width}" height="{height}" fill="white"/>',
        f'<text x="{left}" y="20" font-size="14">{title}</text>',
        f'<text x="{left}" y="{height - 8}">bytes a pixel (logarithmic)</text>',
    ]
    for exponent in range(math.ceil(lows[0] * 2), math.floor(highs[0] * 2) + 1):
        size = 2 ** (exponent / 2)
        x, _ = place(size, lows[1])
        parts.append(
            f'<line x1="{x:.0f}" x2="{x:.0f}" y1="{top}" y2="{height - bottom}" stroke="#e5e7eb"/>'
            f'<text x="{x:.0f}" y="{height - 28}" text-anchor="middle">{size:.3g}</text>'
        )
    for score in range(math.ceil(lows[1] / 5) * 5, math.floor(highs[1]) + 1, 5):
        _, y = place(2 ** lows[0], score)
        parts.append(
            f'<line x1="{left}" x2="{width - right}" y1="{y:.0f}" y2="{y:.0f}" stroke="#e5e7eb"/>'
            f'<text x="{left - 8}" y="{y + 4:.0f}" text-anchor="end">{score}</text>'
        )
    for index, (name, curve) in enumerate(curves.items()):
        color = _COLOR_LINES[index % len(_COLOR_LINES)]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*point) for point in curve))
        y = top + 12 + 20 * index
        parts.append(
            f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="2"/>'
            f'<text x="{width - right + 10}" y="{y}" fill="{color}">{name}</text>'
        )
    return "\n".join([*parts, "</svg>", ""])
