"""What detectors work on: small RGB arrays, and the way from and to libvips images."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyvips

Pixels = npt.NDArray[np.uint8]

MAX_SIDE = 640
"""Pixels of the longer side; the built-in face networks were tuned at this size."""

_BACKGROUND = 128  # gray behind transparent pixels


class Frame(NamedTuple):
    """One frame of a picture, upright, the longer side at most ``MAX_SIDE`` pixels.

    ``pixels`` is RGB of shape (height, width, 3), transparent parts on gray; ``alpha`` has the
    shape (height, width), 0 for transparent, and is None where the picture has no alpha channel.
    """

    pixels: Pixels
    alpha: Pixels | None


def to_frame(image: pyvips.Image) -> Frame:
    """Scale an upright 8-bit sRGB image down to a frame; it has three bands, or four with alpha."""
    scale = min(1.0, MAX_SIDE / max(image.width, image.height))
    if scale < 1:
        image = image.thumbnail_image(MAX_SIDE, height=MAX_SIDE, size="down")
    alpha = None
    if image.hasalpha():
        alpha = image[image.bands - 1].numpy()
        image = image.flatten(background=[_BACKGROUND])
    pixels = np.ascontiguousarray(image.numpy().reshape(image.height, image.width, 3))
    return Frame(pixels, alpha)


def rgb_image(pixels: Pixels) -> pyvips.Image:
    """Wrap an RGB array of shape (height, width, 3) as an image; the memory is shared."""
    height, width = pixels.shape[:2]
    return pyvips.Image.new_from_memory(
        np.ascontiguousarray(pixels).data, width, height, 3, "uchar"
    )


def gray_image(pixels: Pixels) -> pyvips.Image:
    """Wrap an array of shape (height, width) as an image of one band; the memory is shared."""
    height, width = pixels.shape
    return pyvips.Image.new_from_memory(
        np.ascontiguousarray(pixels).data, width, height, 1, "uchar"
    )
