"""Choose the effort of the AVIF encoder by the number of pixels, and by how smooth they are."""

import math

import numpy as np
import pyvips

from proxy.imaging.flatness import Pixels, sample_bands

_USUAL = ((60_000, 3), (250_000, 2), (12_000_000, 1), (math.inf, 0))
"""Of what is encoded first. By `bench/efforts`, at equal SSIMULACRA2: effort 1 makes 6 % more
bytes than effort 3 in 0.4 of its CPU time, effort 2 3 % more in 0.6, effort 0 14 % more in 0.1.
With 8 bits effort 1 makes 3 % more bytes in three quarters of the CPU time."""

_SMOOTH, _MIN_SMOOTHNESS, _MAX_SMOOTH_PIXELS = 3, 1.3, 600_000
"""The effort for blurred and enlarged photographs. There it makes 6 to 14 % fewer bytes than effort
2 in 1.5 times the CPU time, and 13 to 25 % fewer than effort 1 in 2.5 times; for others 2 to 5 %
and 7 to 9 %, in 1.5 and 1.7 times."""

_SLOW = ((200_000, 6), (500_000, 4), (2_000_000, 3), (math.inf, 2))
"""Of what replaces it later: one encode takes two to three seconds of a core at most. At equal
SSIMULACRA2, effort 6 makes 3 % fewer bytes than 4 in 2.5 times its CPU time. Effort 4 makes 5 %
fewer than 2, in 7 times its CPU time. Effort 5 is like 4."""

_NOISE = 0.05  # level, so that a plain picture has a ratio


def usual_effort(image: pyvips.Image) -> int:
    """The effort for the first file of an image in memory."""
    pixels = image.width * image.height
    effort = next(effort for max_pixels, effort in _USUAL if pixels <= max_pixels)
    may_be_smooth = effort < _SMOOTH and pixels <= _MAX_SMOOTH_PIXELS
    if may_be_smooth and smoothness(sample_bands(image)) > _MIN_SMOOTHNESS:
        return _SMOOTH
    return effort


def slow_effort(image: pyvips.Image) -> int:
    """The effort for the file that replaces it."""
    pixels = image.width * image.height
    return next(effort for max_pixels, effort in _SLOW if pixels <= max_pixels)


def smoothness(pixels: Pixels) -> float:
    """How much neighbors differ, relative to how much these differences differ from the next ones.

    Photographs have 0.6 to 1, blurred and enlarged ones 1.5 to 3.
    """
    green = pixels[..., min(1, pixels.shape[2] - 1)].astype(np.int16)
    slopes = np.diff(green, axis=1)
    if slopes.shape[1] < 2:
        return 0.0
    curvatures = np.diff(slopes, axis=1)
    return float(np.abs(slopes).mean() / (np.abs(curvatures).mean() + _NOISE))
