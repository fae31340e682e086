"""What a small convolutional net is made of, in numpy.

Arrays are float32 and have the shape (channels, n, height, width).

A convolution is one matrix product over shifted copies of its input; work is best handed over in
portions that stay in a processor's cache.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]


def convolved(x: Array, kernel: Array, bias: Array, slope: Array) -> Array:
    """A valid convolution, then PReLU; ``kernel`` is (rows, columns, channels, filters)."""
    rows, columns, channels, filters = kernel.shape
    count, height, width = x.shape[1], x.shape[2] - rows + 1, x.shape[3] - columns + 1
    shifted = np.empty((rows, columns, channels, count, height, width), np.float32)
    for row in range(rows):
        for column in range(columns):
            shifted[row, column] = x[:, :, row : row + height, column : column + width]
    out = kernel.reshape(-1, filters).T @ shifted.reshape(rows * columns * channels, -1)
    out += bias[:, None]
    return bent(out, slope[:, None]).reshape(filters, count, height, width)


def bent(x: Array, slope: Array) -> Array:
    """PReLU, in place: what is below 0 is multiplied by ``slope``."""
    low = np.minimum(x, 0)
    low *= slope - 1
    x += low
    return x


def pooled(x: Array, side: int, *, padded: bool) -> Array:
    """The greatest of every side x side, two apart; ``padded`` keeps incomplete ones at edges."""
    if padded:
        pads = [_pads(length, side) for length in x.shape[2:]]
        if any(map(any, pads)):
            x = np.pad(x, ((0, 0), (0, 0), *pads), constant_values=-np.inf)
    height, width = (x.shape[2] - side) // 2 * 2 + 1, (x.shape[3] - side) // 2 * 2 + 1
    tall = x[:, :, 0:height:2]
    for step in range(1, side):
        tall = np.maximum(tall, x[:, :, step : height + step : 2])
    wide = tall[:, :, :, 0:width:2]
    for step in range(1, side):
        wide = np.maximum(wide, tall[:, :, :, step : width + step : 2])
    return wide


def _pads(length: int, side: int) -> tuple[int, int]:
    missing = max(0, (-(-length // 2) - 1) * 2 + side - length)
    return missing // 2, missing - missing // 2


def confidence(logits: Array) -> Array:
    """Softmax of two classes, the share of the second; ``logits`` has the classes first."""
    sure: Array = 1 / (1 + np.exp(np.clip(logits[0] - logits[1], -30, 30)))
    return sure
