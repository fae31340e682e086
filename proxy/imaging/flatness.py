"""Tell graphics from photographs by how many pixels equal their neighbor."""

import numpy as np
import numpy.typing as npt
import pyvips

MIN_FLATNESS = 0.4
"""Photographs and paintings have less. Screenshots, charts, logos and comics have more."""

_SAMPLE_PIXELS, _SAMPLE_ROWS = 131_072, 64
"""A picture is judged by so many pixels, in bands of so many rows. Narrow bands would hide that
letters are repeated."""

Pixels = npt.NDArray[np.uint8]


def sample_bands(image: pyvips.Image) -> Pixels:
    """Bands of rows, spread over all frames; the whole picture if it is small.

    The image is in memory. The array has the shape (rows, columns, bands).
    """
    pixels = image.numpy().reshape(image.height, image.width, image.bands)
    rows = max(1, _SAMPLE_PIXELS // image.width)
    if rows >= image.height:
        return pixels
    bands = max(1, rows // _SAMPLE_ROWS)
    height = rows // bands
    tops = [index * (image.height - height) // max(1, bands - 1) for index in range(bands)]
    if bands == 1:
        tops = [(image.height - height) // 2]
    return np.concatenate([pixels[top : top + height] for top in tops])


def flatness(pixels: Pixels) -> float:
    """The share of pixels that equal their left neighbor."""
    if pixels.shape[1] < 2:
        return 1.0
    # Band by band: numpy takes six times as long to reduce an axis of three.
    bands = [pixels[..., band] for band in range(pixels.shape[2])]
    equal = [band[:, 1:] == band[:, :-1] for band in bands]
    return float(np.logical_and.reduce(equal).mean())
