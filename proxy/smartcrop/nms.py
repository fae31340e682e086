"""Boxes as detectors' models find them, and non-maximum suppression."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Boxes = npt.NDArray[np.float32]
"""One box a row: left, top, right, bottom (pixels), confidence (0 to 1), class id.

The class id is 0 where a model knows one class only.
"""


def non_max_suppression(
    boxes: npt.NDArray[np.float32], max_overlap: float, *, over_minimum: bool = False
) -> npt.NDArray[np.intp]:
    """Indices of the boxes that overlap no more confident box by more than ``max_overlap``.

    Rows begin with left, top, right, bottom and are sorted by confidence, highest first. Overlap is
    intersection over union, or over the smaller area with ``over_minimum``; 0 to 1.
    """
    left, top, right, bottom = boxes[:, :4].T
    area = (right - left) * (bottom - top)
    width = np.minimum(right[:, None], right) - np.maximum(left[:, None], left)
    height = np.minimum(bottom[:, None], bottom) - np.maximum(top[:, None], top)
    intersection = np.clip(width, 0, None) * np.clip(height, 0, None)
    if over_minimum:
        reference = np.minimum(area[:, None], area)
    else:
        reference = area[:, None] + area - intersection
    overlaps = intersection > max_overlap * np.maximum(reference, 1e-6)
    suppressed = np.zeros(len(boxes), bool)
    selected = []
    for index in range(len(boxes)):
        if not suppressed[index]:
            selected.append(index)
            suppressed |= overlaps[index]
    return np.array(selected, np.intp)
