"""The subject net: a small network that ships with the package, computed in NumPy.

It sees a picture at about 36,000 pixels, and returns objects, faces, and a map of where the subject
is. Backbone and neck are those of YOLOX-nano, whose weights it was trained from; the faces and the
map are branches of its own. Nothing that tells one person from another is computed.
Method: Ge et al., "YOLOX: Exceeding YOLO Series in 2021", 2021. Training: ``train/README.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from proxy.smartcrop.frame import Pixels
from proxy.smartcrop.grid_boxes import STRIDES
from proxy.smartcrop.separable_layers import (
    convolution,
    depthwise,
    double,
    max_pool,
    pointwise,
    silu,
)
from proxy.smartcrop.subject_net_weights import LayerWeights

Array = npt.NDArray[np.float32]
Layer = Callable[[Array], Array]

SIDE_MULTIPLE = STRIDES[-1]  # the net takes only such widths and heights
CLASS_COUNT = 80

_WIDTHS = (16, 32, 64, 128, 256)  # channels of the first layer and of each stage after it
_DEPTHS = (1, 3, 3)  # bottlenecks in the stages before the last
_HEAD = 64  # channels of every branch


class NetOutput(NamedTuple):
    """What the net returns for a picture.

    A row of ``objects`` (n, 85) or ``faces`` (n, 5) is a cell of three grids, row by row, that with
    the smallest stride first: center x and y, logarithms of width and height (all in strides), the
    logit that there is something, and the logits of the classes. ``heat`` has one logit for each
    8 x 8 pixels; a softmax over all makes it the share of the subject that lies there.
    """

    objects: Array
    faces: Array
    heat: Array


class SubjectNet:
    """The network, loaded once. Raises ValueError for other weights than the known ones."""

    def __init__(self, weights: LayerWeights) -> None:
        first, *_, last = _WIDTHS
        self._stem = _convolution(weights, 12, first)
        self._stages = [
            _chain(
                _separable(weights, inputs, filters, stride=2),
                _csp(weights, filters, filters, depth, residual=True),
            )
            for inputs, filters, depth in zip(_WIDTHS, _WIDTHS[1:], _DEPTHS, strict=False)
        ]
        self._last_stage = _chain(
            _separable(weights, last // 2, last, stride=2),
            _pyramid_pool(weights, last),
            _csp(weights, last, last),
        )
        self._reduce_32 = _conv(weights, 256, 128)
        self._down_16 = _csp(weights, 256, 128)
        self._reduce_16 = _conv(weights, 128, 64)
        self._down_8 = _csp(weights, 128, 64)
        self._shrink_8 = _separable(weights, 64, 64, stride=2)
        self._up_16 = _csp(weights, 128, 128)
        self._shrink_16 = _separable(weights, 128, 128, stride=2)
        self._up_32 = _csp(weights, 256, 256)
        self._heads = [_Head(weights, inputs) for inputs in (64, 128, 256)]
        self._faces = [_branch(weights, 5) for _ in STRIDES]
        self._heat = _branch(weights, 1)
        self._heat_16, self._heat_32 = _conv(weights, _HEAD, _HEAD), _conv(weights, _HEAD, _HEAD)
        if not weights.is_exhausted:
            raise ValueError("the weights of the subject net have layers that it does not know")

    def __call__(self, pixels: Pixels) -> NetOutput:
        """Look at RGB of shape (height, width, 3), both multiples of `SIDE_MULTIPLE`."""
        with np.errstate(over="ignore"):  # the exponential in `silu`, whose result is then 0
            return self._run(pixels[:, :, ::-1].transpose(2, 0, 1) * np.float32(1 / 255))

    def _run(self, bgr: Array) -> NetOutput:
        x = self._stem(_fold(bgr))
        _, eighth, sixteenth = (x := stage(x) for stage in self._stages)
        coarse = self._reduce_32(self._last_stage(sixteenth))
        middle = self._reduce_16(self._down_16(_join(double(coarse), sixteenth)))
        fine = self._down_8(_join(double(middle), eighth))
        middle = self._up_16(_join(self._shrink_8(fine), middle))
        coarse = self._up_32(_join(self._shrink_16(middle), coarse))
        heads = zip(self._heads, (fine, middle, coarse), strict=True)
        features, objects = zip(*(head(level) for head, level in heads), strict=True)
        faces = [branch(x) for branch, x in zip(self._faces, features, strict=True)]
        context = self._heat_16(features[1]) + double(self._heat_32(features[2]))
        heat = self._heat(features[0] + double(context))
        return NetOutput(_rows(objects), _rows(faces), heat[0])


class _Head:
    """The objects of one grid: classes and boxes have a branch each."""

    def __init__(self, weights: LayerWeights, inputs: int) -> None:
        self._stem = _conv(weights, inputs, _HEAD)
        self._classes = _branch(weights, CLASS_COUNT, depth=2)
        self._boxes = _chain(*(_separable(weights, _HEAD, _HEAD) for _ in range(2)))
        self._edges = _conv(weights, _HEAD, 4, activate=False)
        self._confidence = _conv(weights, _HEAD, 1, activate=False)

    def __call__(self, x: Array) -> tuple[Array, Array]:
        """Features for the other branches, and the rows of the grid's cells."""
        x = self._stem(x)
        boxes = self._boxes(x)
        return x, _join(self._edges(boxes), self._confidence(boxes), self._classes(x))


def _fold(planes: Array) -> Array:
    """Four pixels of each plane become four planes of half the height and width."""
    return _join(
        planes[:, ::2, ::2], planes[:, 1::2, ::2], planes[:, ::2, 1::2], planes[:, 1::2, 1::2]
    )


def _join(*parts: Array) -> Array:
    return np.concatenate(parts)


def _rows(grids: Sequence[Array]) -> Array:
    """One row for each cell of all grids."""
    return np.concatenate([grid.reshape(len(grid), -1).T for grid in grids])


def _chain(*layers: Layer) -> Layer:
    return lambda x: reduce(lambda result, layer: layer(result), layers, x)


def _convolution(weights: LayerWeights, inputs: int, filters: int) -> Layer:
    kernel, bias = weights.take(filters, inputs * 9)
    kernel = kernel.reshape(filters, inputs, 9).swapaxes(1, 2).reshape(filters, -1)
    return lambda x: silu(convolution(x, kernel, bias))


def _conv(weights: LayerWeights, inputs: int, filters: int, *, activate: bool = True) -> Layer:
    kernel, bias = weights.take(filters, inputs)
    if activate:
        return lambda x: silu(pointwise(x, kernel, bias))
    return lambda x: pointwise(x, kernel, bias)


def _separable(weights: LayerWeights, inputs: int, filters: int, stride: int = 1) -> Layer:
    kernel, bias = weights.take(inputs, 9)
    mix = _conv(weights, inputs, filters)
    return lambda x: mix(silu(depthwise(x, kernel, bias, stride)))


def _branch(weights: LayerWeights, filters: int, depth: int = 1) -> Layer:
    convolutions = [_separable(weights, _HEAD, _HEAD) for _ in range(depth)]
    return _chain(*convolutions, _conv(weights, _HEAD, filters, activate=False))


def _csp(
    weights: LayerWeights, inputs: int, filters: int, depth: int = 1, *, residual: bool = False
) -> Layer:
    """A cross stage partial block (Wang et al., 2020): half of the channels pass it by."""
    half = filters // 2
    first, second = _conv(weights, inputs, half), _conv(weights, inputs, half)
    bottlenecks = [
        _chain(_conv(weights, half, half), _separable(weights, half, half)) for _ in range(depth)
    ]
    last = _conv(weights, filters, filters)

    def run(x: Array) -> Array:
        deep = first(x)
        for bottleneck in bottlenecks:
            deep = deep + bottleneck(deep) if residual else bottleneck(deep)
        return last(_join(deep, second(x)))

    return run


def _pyramid_pool(weights: LayerWeights, channels: int) -> Layer:
    """Maxima of 5, 9 and 13 cells around each (spatial pyramid pooling, He et al., 2015)."""
    first = _conv(weights, channels, channels // 2)
    last = _conv(weights, 2 * channels, channels)

    def run(x: Array) -> Array:
        pooled = [first(x)]
        for _ in range(3):
            pooled.append(max_pool(pooled[-1]))
        return last(_join(*pooled))

    return run
