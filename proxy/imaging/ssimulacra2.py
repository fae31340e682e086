"""SSIMULACRA2: how much a picture differs from another one to the eye (Cloudinary, libjxl).

100 is identical, 90 cannot be told apart when flickering, 70 is good, 50 is fair. The score joins
errors of structure, of new edges and of lost detail in the color space XYB, at five sizes.

    score = Reference(pixels).score(decoded)

The reference program has 108 weights. Here only those above 0.01 are computed: the others change
the score by less than 0.01. `tests/imaging/test_ssimulacra2.py` has scores of that program. It
computes with single precision, which costs it up to 0.7 points at scores above 85 in large
pictures.

All numbers are doubles. Single precision takes half of the time, and is enough for an estimate.
Sums end in other digits on other processors, so round a score before deciding by it.
"""

import math
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

Pixels = npt.NDArray[np.uint8]
"""Opaque sRGB: (height, width, 3), or (tiles, height, width, 3) for tiles with one score."""

Planes = npt.NDArray[np.floating[Any]]

MIN_SIDE = 8
"""Sizes with a shorter side do not count, as in the reference program."""

_SSIM, _ARTIFACT, _DETAIL = range(3)
_X, _Y, _B = range(3)


class _Weight(NamedTuple):
    """How much an error map of a channel counts: its mean and its 4-norm."""

    channel: int
    error: int
    mean: float
    norm: float


# For each size, half as large as the one before. From libjxl's tools/ssimulacra2.cc.
_WEIGHTS: tuple[tuple[_Weight, ...], ...] = (
    (
        _Weight(_Y, _SSIM, 0.0, 7.466890328078848),
        _Weight(_Y, _DETAIL, 0.0, 17.445833984131262),
    ),
    (
        _Weight(_X, _SSIM, 0.0, 1.1041726426657346),
        _Weight(_Y, _SSIM, 0.0, 6.683678146179332),
        _Weight(_Y, _DETAIL, 0.0, 1.027889937768264),
    ),
    (
        _Weight(_X, _SSIM, 0.0, 1.8422455520539298),
        _Weight(_X, _ARTIFACT, 0.0, 11.441172603757666),
        _Weight(_Y, _SSIM, 225.20515300849274, 19.213238186143016),
    ),
    (
        _Weight(_X, _SSIM, 0.0, 1.8787594979546387),
        _Weight(_X, _ARTIFACT, 0.0, 10.94906990605142),
        _Weight(_Y, _SSIM, 176.39317598450694, 24.43300999870476),
        _Weight(_Y, _ARTIFACT, 0.0, 0.28520802612117757),
        _Weight(_B, _SSIM, 0.0, 8.826982764996862),
        _Weight(_B, _ARTIFACT, 0.0, 23.19243343998926),
    ),
    (
        _Weight(_X, _ARTIFACT, 0.9677937080626833, 0.9981766977854967),
        _Weight(_Y, _SSIM, 0.0, 34.77906344483772),
        _Weight(_Y, _ARTIFACT, 0.0, 44.835625328877896),
        _Weight(_B, _SSIM, 95.1080498811086, 0.0),
        _Weight(_B, _ARTIFACT, 0.9863978034400682, 171.2667255897307),
        _Weight(_B, _DETAIL, 0.9834382792465353, 0.9807858872435379),
    ),
)

_C2 = 0.0009  # of SSIM; against division by zero
_BIAS = 0.0037930732552754493
_ABSORBANCE = np.array(
    [
        [0.30, 1.0 - 0.078 - 0.30, 0.078],
        [0.23, 1.0 - 0.078 - 0.23, 0.078],
        [
            0.24342268924547819,
            0.20476744424496821,
            1.0 - 0.24342268924547819 - 0.20476744424496821,
        ],
    ]
)

_LINEAR = np.array(
    [
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        for value in (level / 255 for level in range(256))
    ]
)
"""The light of each level of sRGB."""


_BLUR = (
    0.2646211054881985,
    0.2129285920104222,
    0.1093353727774603,
    0.0360111146583644,
    0.00941436780965374,
)
"""Half of the kernel: libjxl's Gaussian of sigma 1.5, a sum of three cosines (Charalampidis)."""

_REACH = len(_BLUR) - 1
_BLOCK = 64  # pixels that are blurred by one product of matrices


class _Scale(NamedTuple):
    """What is known of one size of the reference, by channel."""

    planes: Mapping[int, Planes]
    means: Mapping[int, Planes]
    squares: Mapping[int, Planes]


class Reference:
    """A picture, or tiles of one, that others are compared with.

    A picture takes about 150 bytes of memory a pixel.
    """

    def __init__(self, pixels: Pixels, precision: npt.DTypeLike = np.float64) -> None:
        self._shape = pixels.shape
        self._precision = precision
        self._scales = [
            _Scale(
                planes,
                {channel: _blur(plane) for channel, plane in planes.items()},
                {channel: _blur(plane * plane) for channel, plane in planes.items()},
            )
            for planes in _pyramid(pixels, precision)
        ]

    def score(self, pixels: Pixels) -> float:
        """The score of other pixels of the same shape: 100 where they are equal, or below."""
        if pixels.shape != self._shape:
            raise ValueError(f"the reference has the shape {self._shape}, not {pixels.shape}")
        error = sum(
            _error(weights, reference, planes)
            for weights, reference, planes in zip(
                _WEIGHTS, self._scales, _pyramid(pixels, self._precision), strict=False
            )
        )
        return _score(error)


def _score(error: float) -> float:
    error *= 0.9562382616834844
    error *= 2.326765642916932 - 0.020884521182843837 * error + 6.248496625763138e-05 * error**2
    return 100.0 - 10.0 * float(error**0.6276336467831387) if error > 0 else 100.0


def _pyramid(pixels: Pixels, precision: npt.DTypeLike) -> Iterator[Mapping[int, Planes]]:
    """The channels that count, at each size."""
    light: Planes = _LINEAR.astype(precision)[np.moveaxis(pixels, -1, 0)]
    for scale, weights in enumerate(_WEIGHTS):
        if scale > 0:
            if min(light.shape[-2:]) < MIN_SIDE:
                return
            light = _halve(light)
        yield _to_xyb(light, {weight.channel for weight in weights})


def _halve(light: Planes) -> Planes:
    """Average two by two pixels; an odd last row or column is repeated."""
    height, width = light.shape[-2:]
    if height % 2 or width % 2:
        light = np.pad(
            light, [(0, 0)] * (light.ndim - 2) + [(0, height % 2), (0, width % 2)], "edge"
        )
    rows = light[..., ::2, :] + light[..., 1::2, :]
    return (rows[..., ::2] + rows[..., 1::2]) * 0.25


def _to_xyb(light: Planes, channels: set[int]) -> Mapping[int, Planes]:
    rows = (_ABSORBANCE if _B in channels else _ABSORBANCE[:2]).astype(light.dtype)
    mixed = (rows @ light.reshape(3, -1)).reshape(len(rows), *light.shape[1:]) + _BIAS
    mixed = np.cbrt(mixed) - math.cbrt(_BIAS)
    y = 0.5 * (mixed[0] + mixed[1])
    planes = {_Y: y + 0.01}
    if _X in channels:
        planes[_X] = 7.0 * (mixed[0] - mixed[1]) + 0.42
    if _B in channels:
        planes[_B] = mixed[2] - y + 0.55
    return planes


def _error(weights: tuple[_Weight, ...], reference: _Scale, planes: Mapping[int, Planes]) -> float:
    """The weighted errors of one size."""
    means = {channel: _blur(plane) for channel, plane in planes.items()}
    maps: dict[tuple[int, int], Planes] = {}
    total = 0.0
    for channel, kind, mean, norm in weights:
        first, second = reference.planes[channel], planes[channel]
        first_mean, second_mean = reference.means[channel], means[channel]
        if kind == _SSIM:
            covariance = _blur(first * second) - first_mean * second_mean
            variance = reference.squares[channel] - first_mean * first_mean
            variance += _blur(second * second) - second_mean * second_mean
            structure = (2.0 * covariance + _C2) / (variance + _C2)
            errors: Planes = 1.0 - (1.0 - (first_mean - second_mean) ** 2) * structure
        else:
            if (channel, _ARTIFACT) not in maps:
                edges = 1.0 + np.abs(second - second_mean)
                maps[channel, _ARTIFACT] = edges / (1.0 + np.abs(first - first_mean)) - 1.0
            errors = maps[channel, _ARTIFACT] if kind == _ARTIFACT else -maps[channel, _ARTIFACT]
        errors = np.maximum(errors, 0.0)
        if mean:
            total += mean * float(errors.mean())
        if norm:
            squares = errors * errors
            total += norm * float((squares * squares).mean()) ** 0.25
    return total


@lru_cache(maxsize=32)
def _blur_matrix(size: int, precision: np.dtype[np.floating[Any]]) -> Planes:
    """Blurs ``size`` pixels. There are so many more on each side of them as the kernel reaches."""
    matrix = np.zeros((size, size + 2 * _REACH), precision)
    for row in range(size):
        matrix[row, row : row + 2 * _REACH + 1] = (*_BLUR[:0:-1], *_BLUR)
    return matrix


def _blur(plane: Planes) -> Planes:
    """Blur rows and columns; outside is black."""
    columns = _blur_columns(plane).swapaxes(-1, -2)
    return _blur_columns(columns).swapaxes(-1, -2)


def _blur_columns(plane: Planes) -> Planes:
    height, width = plane.shape[-2:]
    if height <= _BLOCK:
        return _blur_matrix(height, plane.dtype)[:, _REACH:-_REACH] @ plane
    blocks = -(-height // _BLOCK)
    padding = [(0, 0)] * (plane.ndim - 2)
    padding += [(_REACH, _REACH + blocks * _BLOCK - height), (0, 0)]
    windows = sliding_window_view(np.pad(plane, padding), _BLOCK + 2 * _REACH, axis=-2)
    blurred = _blur_matrix(_BLOCK, plane.dtype) @ windows[..., ::_BLOCK, :, :].swapaxes(-1, -2)
    return blurred.reshape(*plane.shape[:-2], blocks * _BLOCK, width)[..., :height, :]
