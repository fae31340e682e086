"""Gaussian blur and sharpening, both for 8 bits a band.

libvips has both. Its integer blur shifts brightness by up to 3 levels, because its masks do not fit
its own fixed-point arithmetic; its sharpening works in CIELAB and takes five times as long.
"""

import math
from functools import lru_cache

import pyvips

from proxy.imaging.alpha import map_rgb, to_8_bit
from proxy.imaging.memory import hold

_MAX_EXACT_WEIGHT = 64
"""The largest mask element with which libvips' integer convolution computes exactly."""

_RADIUS = 3.5  # standard deviations

_LUMA = pyvips.Image.new_from_array([[0.299, 0.587, 0.114]])
"""Weights of ITU-R BT.601 for R'G'B'."""

_THRESHOLD, _MAX_LIGHTER, _MAX_DARKER = 5, 26, 51
"""Levels of 255: smaller differences are noise and stay; the others bound the change. They are
libvips' defaults for `sharpen`, scaled from 100 levels of L*."""


def gaussian_blur(image: pyvips.Image, sigma: float) -> pyvips.Image:
    """Blur each band; ``sigma`` in pixels, from 0 to 10."""
    return image.convsep(_gaussian_mask(sigma), precision="integer")


def sharpen(image: pyvips.Image, sigma: float, *, strength: float = 3.0) -> pyvips.Image:
    """Unsharp-mask the luma of an 8-bit sRGB image; hue and alpha stay.

    ``sigma`` is the width of edges in pixels, from 0 to 10, ``strength`` the factor by which
    detail is added.
    """
    # Held, because the luma is of the same pixels. After a resize that halves the time.
    return map_rgb(hold(image), lambda rgb: rgb + _detail(rgb, sigma, strength))


def _detail(rgb: pyvips.Image, sigma: float, strength: float) -> pyvips.Image:
    luma = hold(to_8_bit(rgb.recomb(_LUMA)))
    # Integers only: 255 is added to the difference, because lookup tables have no negative index.
    difference = luma + gaussian_blur(luma, sigma).invert()
    return difference.maplut(_detail_table(strength))


@lru_cache(maxsize=8)
def _detail_table(strength: float) -> pyvips.Image:
    """What to add to red, green and blue for each difference from -255 to 255."""
    added = []
    for difference in range(-255, 256):
        detail = max(abs(difference) - _THRESHOLD, 0) * strength
        added.append(min(detail, _MAX_LIGHTER) if difference > 0 else -min(detail, _MAX_DARKER))
    table = pyvips.Image.new_from_array([added]).rint().cast("short")
    # Three bands here save libvips to repeat one for each pixel, which takes a third of the time.
    return table.bandjoin(table).bandjoin(table).copy_memory()


@lru_cache(maxsize=64)
def _gaussian_mask(sigma: float) -> pyvips.Image:
    """The Gaussian in integers whose sum is a power of two."""
    radius = math.ceil(_RADIUS * sigma)
    heights = [math.exp(-((x / sigma) ** 2) / 2) for x in range(-radius, radius + 1)]
    total = sum(heights)
    scale = 2 ** math.floor(math.log2(_MAX_EXACT_WEIGHT * total))
    while True:
        mask = [round(height / total * scale) for height in heights]
        mask[radius] += scale - sum(mask)
        if mask[radius] <= _MAX_EXACT_WEIGHT or scale == 1:
            break
        scale //= 2
    first = next(index for index, height in enumerate(mask) if height)
    return pyvips.Image.new_from_array([mask[first : len(mask) - first]], scale=scale)
