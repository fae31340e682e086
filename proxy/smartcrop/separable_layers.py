"""Layers of networks with depthwise separable convolutions, in NumPy.

Arrays are float32 of shape (channels, height, width), one picture at a time: small enough for a
processor's cache, which is what the time depends on.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

_STRIP = 16  # rows for one matrix product of the first layer
_POOL = 5  # cells along a side of what `max_pool` takes the maximum of


def pointwise(x: Array, kernel: Array, bias: Array) -> Array:
    """Mix the channels of each cell. ``kernel`` has the shape (filters, channels)."""
    channels, height, width = x.shape
    out: Array = kernel @ x.reshape(channels, -1)
    out += bias[:, None]
    return out.reshape(-1, height, width)


def depthwise(x: Array, kernel: Array, bias: Array, stride: int) -> Array:
    """Convolve each channel with its own 3 x 3 kernel, zeros around; the stride is 1 or 2.

    ``kernel`` has the shape (channels, 9). With stride 2, height and width are even.
    """
    return _depthwise_same(x, kernel, bias) if stride == 1 else _depthwise_half(x, kernel, bias)


def _depthwise_same(x: Array, kernel: Array, bias: Array) -> Array:
    # Rows with their padding are one line, so each of the nine shifts is one long slice; at its
    # ends it also computes columns that are cut off below.
    channels, height, width = x.shape
    lines, line = _lines(x)
    length = height * line
    out = lines[:, :length] * kernel[:, :1]
    product = np.empty_like(out)
    for index, start in enumerate(_shifts(line)[1:], 1):
        np.multiply(lines[:, start : start + length], kernel[:, index, None], out=product)
        out += product
    return out.reshape(channels, height, line)[:, :, :width] + bias[:, None, None]


def _depthwise_half(x: Array, kernel: Array, bias: Array) -> Array:
    channels, height, width = x.shape
    padded = np.zeros((channels, height + 2, width + 2), np.float32)
    padded[:, 1:-1, 1:-1] = x
    out = np.empty((channels, height // 2, width // 2), np.float32)
    out[:] = bias[:, None, None]
    product = np.empty_like(out)
    for index in range(9):
        row, column = divmod(index, 3)
        shifted = padded[:, row : row + height : 2, column : column + width : 2]
        np.multiply(shifted, kernel[:, index, None, None], out=product)
        out += product
    return out


def convolution(x: Array, kernel: Array, bias: Array) -> Array:
    """Convolve with 3 x 3 kernels, zeros around.

    ``kernel`` has the shape (filters, 9 * channels), the channels innermost.
    """
    _, height, width = x.shape
    lines, line = _lines(x)
    out = np.empty((len(kernel), height * line), np.float32)
    for top in range(0, height, _STRIP):
        length = min(_STRIP, height - top) * line
        starts = [top * line + shift for shift in _shifts(line)]
        shifted = np.concatenate([lines[:, start : start + length] for start in starts])
        np.matmul(kernel, shifted, out=out[:, top * line : top * line + length])
    return out.reshape(len(kernel), height, line)[:, :, :width] + bias[:, None, None]


def _lines(x: Array) -> tuple[Array, int]:
    """Each channel as one line of padded rows, and the length of such a row."""
    channels, height, width = x.shape
    padded = np.zeros((channels, height + 3, width + 2), np.float32)
    padded[:, 1 : height + 1, 1 : width + 1] = x
    return padded.reshape(channels, -1), width + 2


def _shifts(line: int) -> list[int]:
    """Where each of the nine neighbors of a cell begins, in rows of that length."""
    return [row * line + column for row in range(3) for column in range(3)]


def silu(x: Array) -> Array:
    """Multiply by the sigmoid, in place (Elfwing et al., 2018)."""
    divisor = np.negative(x)
    np.exp(divisor, out=divisor)
    divisor += 1
    x /= divisor
    return x


def max_pool(x: Array) -> Array:
    """The maximum of the 5 x 5 cells around each cell; beyond the edge there are none."""
    for axis in (1, 2):
        pads = [(_POOL // 2, _POOL // 2) if each == axis else (0, 0) for each in range(3)]
        padded = np.pad(x, pads, constant_values=-np.inf)
        windows = np.lib.stride_tricks.sliding_window_view(padded, _POOL, axis=axis)
        x = windows.max(axis=-1)
    return x


def double(x: Array) -> Array:
    """Repeat each cell in both directions."""
    return x.repeat(2, axis=1).repeat(2, axis=2)
