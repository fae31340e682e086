"""Blurring by a Gaussian, and sharpening by what a blur takes away; 8 bits a band, both ways.

libvips has both. Its integer blur makes pictures up to 3 levels lighter or darker, since its masks
do not fit its own fixed point numbers; its sharpen works in CIELAB, for five times the time.
"""

import math
from functools import lru_cache

import pyvips

from proxy.imaging.alpha import on_colours

_EXACT = 64
"""The largest element of a mask that libvips' integer convolution computes with exactly."""

_REACH = 3.5  # deviations

_LUMA = pyvips.Image.new_from_array([[0.299, 0.587, 0.114]])
"""Weights of ITU-R BT.601 for R'G'B'."""

_FLAT, _LIGHTER, _DARKER = 5, 26, 51
"""Levels of 255: differences up to the first are noise and stay; nothing gets lighter or darker by
more than the others. They are libvips' defaults, for 100 levels of L*."""


def blurred(image: pyvips.Image, sigma: float) -> pyvips.Image:
    """The 8-bit image with each band blurred; ``sigma`` in pixels, from 0 to 10."""
    return image.convsep(_mask(sigma), precision="integer")


def sharpened(image: pyvips.Image, sigma: float, *, strength: float = 3.0) -> pyvips.Image:
    """The 8-bit sRGB image, alpha or none, with its luma unsharp-masked; colours keep their hue.

    ``sigma``: how broad edges are, in pixels, from 0 to 10. ``strength``: by how much more than
    the picture has.
    """
    return on_colours(image, lambda colours: colours + _detail(colours, sigma, strength))


def _detail(colours: pyvips.Image, sigma: float, strength: float) -> pyvips.Image:
    luma = colours.recomb(_LUMA).cast("uchar")
    # Whole numbers all the way: 255 is added, since tables have no negative entries.
    difference = luma + blurred(luma, sigma).invert()
    return difference.maplut(_table(strength))


@lru_cache(maxsize=8)
def _table(strength: float) -> pyvips.Image:
    """What is added for a difference, which is its index less 255."""
    added = []
    for difference in range(-255, 256):
        wanted = max(abs(difference) - _FLAT, 0) * strength
        added.append(min(wanted, _LIGHTER) if difference > 0 else -min(wanted, _DARKER))
    return pyvips.Image.new_from_array([added]).rint().cast("short").copy_memory()


@lru_cache(maxsize=64)
def _mask(sigma: float) -> pyvips.Image:
    """The Gaussian in whole numbers, whose sum is a power of two."""
    reach = math.ceil(_REACH * sigma)
    heights = [math.exp(-((x / sigma) ** 2) / 2) for x in range(-reach, reach + 1)]
    total = sum(heights)
    scale = 2 ** math.floor(math.log2(_EXACT * total))
    while True:
        mask = [round(height / total * scale) for height in heights]
        mask[reach] += scale - sum(mask)
        if mask[reach] <= _EXACT or scale == 1:
            break
        scale //= 2
    middle = next(at for at, height in enumerate(mask) if height)
    return pyvips.Image.new_from_array([mask[middle : len(mask) - middle]], scale=scale)
