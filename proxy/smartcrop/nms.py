"""Boxes as rows of left, top, right, bottom, confidence: what every detector answers with."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyvips

Rows = npt.NDArray[np.float32]


def apart(boxes: Rows, most: float, *, of_smaller: bool = False) -> npt.NDArray[np.intp]:
    """Indices of the boxes that no kept, surer box overlaps by more than ``most``.

    Boxes come the surest first. Overlap is the shared area as a share of both together, or of the
    smaller one.
    """
    left, top, right, bottom = boxes[:, :4].T
    area = (right - left) * (bottom - top)
    wide = np.minimum(right[:, None], right) - np.maximum(left[:, None], left)
    high = np.minimum(bottom[:, None], bottom) - np.maximum(top[:, None], top)
    shared = np.clip(wide, 0, None) * np.clip(high, 0, None)
    whole = np.minimum(area[:, None], area) if of_smaller else area[:, None] + area - shared
    same = shared > most * np.maximum(whole, 1e-6)
    gone = np.zeros(len(boxes), bool)
    kept = []
    for index in range(len(boxes)):
        if not gone[index]:
            kept.append(index)
            gone |= same[index]
    return np.array(kept, np.intp)


def as_image(pixels: npt.NDArray[np.uint8]) -> pyvips.Image:
    """An RGB array of shape (height, width, 3) as an image on the same memory."""
    height, width = pixels.shape[:2]
    return pyvips.Image.new_from_memory(
        np.ascontiguousarray(pixels).data, width, height, 3, "uchar"
    )


def as_plane(pixels: npt.NDArray[np.uint8]) -> pyvips.Image:
    """An array of shape (height, width) as an image of one band on the same memory."""
    height, width = pixels.shape
    return pyvips.Image.new_from_memory(
        np.ascontiguousarray(pixels).data, width, height, 1, "uchar"
    )
