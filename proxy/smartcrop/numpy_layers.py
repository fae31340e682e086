"""Layers of small convolutional networks in NumPy.

Arrays are float32 of shape (channels, n, height, width). A convolution is one matrix product over
shifted copies of its input, so pass batches that are small enough for a processor's cache.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

CONFIDENCE_DIGITS = 4
"""That confidences are rounded to before they are compared."""


def conv2d(x: Array, kernel: Array, bias: Array, slope: Array) -> Array:
    """Convolve without padding ("valid"), then apply PReLU.

    ``kernel`` has the shape (rows, columns, channels, filters), ``bias`` and ``slope`` (filters,).
    """
    rows, columns, channels, filters = kernel.shape
    count, height, width = x.shape[1], x.shape[2] - rows + 1, x.shape[3] - columns + 1
    shifted = np.empty((rows, columns, channels, count, height, width), np.float32)
    for row in range(rows):
        for column in range(columns):
            shifted[row, column] = x[:, :, row : row + height, column : column + width]
    out = kernel.reshape(-1, filters).T @ shifted.reshape(rows * columns * channels, -1)
    out += bias[:, None]
    return prelu(out, slope[:, None]).reshape(filters, count, height, width)


def prelu(x: Array, slope: Array) -> Array:
    """Multiply what is below 0 by ``slope``, in place (He et al., 2015)."""
    negative = np.minimum(x, 0)
    negative *= slope - 1
    x += negative
    return x


def max_pool(x: Array, side: int, *, padded: bool) -> Array:
    """The maximum of every ``side`` x ``side`` window, stride 2.

    ``padded`` includes the incomplete windows at the edges ("same"); else they are dropped.
    """
    if padded:
        pads = [_same_padding(length, side) for length in x.shape[2:]]
        if any(map(any, pads)):
            x = np.pad(x, ((0, 0), (0, 0), *pads), constant_values=-np.inf)
    height, width = (x.shape[2] - side) // 2 * 2 + 1, (x.shape[3] - side) // 2 * 2 + 1
    rows = x[:, :, 0:height:2]
    for step in range(1, side):
        rows = np.maximum(rows, x[:, :, step : height + step : 2])
    pooled = rows[:, :, :, 0:width:2]
    for step in range(1, side):
        pooled = np.maximum(pooled, rows[:, :, :, step : width + step : 2])
    return pooled


def _same_padding(length: int, side: int) -> tuple[int, int]:
    missing = max(0, (-(-length // 2) - 1) * 2 + side - length)
    return missing // 2, missing - missing // 2


def softmax_positive(logits: Array) -> Array:
    """Softmax over two classes on the first axis; returns the probability of the second.

    Rounded, so that equal faces are equally probable whatever processor computes it.
    """
    probability: Array = 1 / (1 + np.exp(np.clip(logits[0] - logits[1], -30, 30)))
    return probability.round(CONFIDENCE_DIGITS)
