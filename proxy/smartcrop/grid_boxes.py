"""Boxes as networks of the YOLO family return them: relative to the cells of several grids."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

STRIDES = (8, 16, 32)
"""Pixels from one cell to the next, in each grid."""

_MAX_EXPONENT = 8  # of a box's side in strides; more would overflow


@lru_cache(maxsize=32)
def cells_of(width: int, height: int) -> tuple[Array, Array]:
    """Column and row of each cell (n, 2), and its stride (n, 1).

    The grids follow each other, row by row, the smallest stride first; width and height are
    multiples of the largest stride.
    """
    cells, strides = [], []
    for stride in STRIDES:
        columns, count = width // stride, (width // stride) * (height // stride)
        rows_and_columns = np.divmod(np.arange(count), columns)
        cells.append(np.stack(rows_and_columns[::-1], axis=1).astype(np.float32))
        strides.append(np.full((count, 1), stride, np.float32))
    return np.concatenate(cells), np.concatenate(strides)


def decode_boxes(
    rows: npt.NDArray[np.float32], cells: npt.NDArray[np.float32], strides: npt.NDArray[np.float32]
) -> Array:
    """Left, top, right and bottom in pixels, (n, 4).

    A row begins with center x and y from the cell's corner, and the logarithms of width and height,
    all in strides.
    """
    center = (rows[:, :2] + cells) * strides
    half_size = np.exp(np.minimum(rows[:, 2:4], _MAX_EXPONENT)) * strides / 2
    boxes: Array = np.concatenate([center - half_size, center + half_size], axis=1)
    return boxes
