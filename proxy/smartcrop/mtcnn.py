"""Faces by MTCNN in plain numpy: three small nets, each asked only where the last saw something.

The proposal net looks at a pyramid of the picture, 12 pixels at a time; the refinement net at crops
of 24 x 24, the output net at crops of 48 x 48. Method: Zhang et al., "Joint Face Detection and
Alignment Using Multitask Cascaded Convolutional Networks", 2016.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyvips

from proxy.smartcrop import mtcnn_weights
from proxy.smartcrop.nms import apart, as_image
from proxy.smartcrop.numpy_layers import Array, bent, confidence, convolved, pooled

Pixels = npt.NDArray[np.uint8]
Net = Callable[[Array, list[Array]], tuple[Array, Array]]

CELL = 12  # pixels the proposal net sees
STRIDE = 2  # pixels between two of its cells
LEAST_FACE = 0.055  # of the picture's mean side; smaller faces rarely are what a picture is about
STEP = 0.709  # from one level of the pyramid to the next: half the area
SURE = (0.6, 0.6, 0.7)  # the least confidence of each net
OVERLAP = (0.5, 0.7, 0.7)  # how far boxes may cover each other before they count as one
MOST = (
    48,
    80,
    16,
)  # candidates kept of a level, of the pyramid, of the second net; the surest first
PORTION = 16  # crops handed to a net at once
STRIP = 24  # rows of the proposal net's first layer, in pairs, done at once
# The nets have seen few faces in the dark, so dark pictures are made lighter for them.
MIDDLE_GREY = 0.45
LEAST_WHITE = 32  # of 255; less light than that is noise
LEAST_GAMMA = 0.4


class Faces:
    """The three nets, loaded once.

    A call gives rows of left, top, right, bottom (pixels), confidence.
    """

    def __init__(self, folder: Path) -> None:
        self._proposal = mtcnn_weights.read(mtcnn_weights.PROPOSAL, folder)
        self._refinement = mtcnn_weights.read(mtcnn_weights.REFINEMENT, folder)
        self._output = mtcnn_weights.read(mtcnn_weights.OUTPUT, folder)

    def __call__(self, preview: Pixels) -> Array:
        """Faces in an RGB preview of shape (height, width, 3), the surest first."""
        preview = lifted(preview)
        boxes = self._propose(preview)
        if len(boxes):
            pixels = _centred(preview)
            moves, sure = _asked(_refinement, self._refinement, pixels, boxes, 24)
            boxes = _refined(boxes, moves, sure, SURE[1])
            boxes = _square(boxes[apart(boxes, OVERLAP[1])])[: MOST[2]]
        if len(boxes):
            moves, sure = _asked(_output, self._output, pixels, boxes, 48)
            boxes = _refined(boxes, moves, sure, SURE[2])
            boxes = boxes[apart(boxes, OVERLAP[2], of_smaller=True)]
        return boxes

    def _propose(self, preview: Pixels) -> Array:
        height, width = preview.shape[:2]
        scale = CELL / max(CELL, LEAST_FACE * (width * height) ** 0.5)
        levels = []
        image = as_image(preview)
        while min(width, height) * scale >= CELL:
            image = _resized(image, round(width * scale), round(height * scale))
            levels.append(self._level(image.numpy(), width, height))
            scale *= STEP
        if not levels:
            return np.empty((0, 5), np.float32)
        boxes = np.concatenate(levels)
        boxes = boxes[np.argsort(-boxes[:, 4], kind="stable")]
        return _square(boxes[apart(boxes, OVERLAP[1])])[: MOST[1]]

    def _level(self, pixels: Pixels, width: int, height: int) -> Array:
        """Candidates of one level of the pyramid, in pixels of a preview of that size."""
        k1, b1, a1, k2, b2, a2, k3, b3, a3, kb, bb, kc, bc = self._proposal
        x = _centred(pixels).transpose(2, 0, 1)[:, None]
        # A strip is 2 n + 2 rows, of which pooling leaves n; rounding up keeps an odd last row.
        rows = x.shape[2] - 2
        strips = [
            pooled(convolved(x[:, :, top : top + 2 * STRIP + 2], k1, b1, a1), 2, padded=True)
            for top in range(0, rows, 2 * STRIP)
        ]
        x = np.concatenate(strips, axis=2)
        x = convolved(convolved(x, k2, b2, a2), k3, b3, a3)[:, 0]
        sure = confidence(np.tensordot(kc.T, x, 1) + bc[:, None, None])
        found = np.flatnonzero(sure > SURE[0])
        found = found[np.argsort(-sure.ravel()[found], kind="stable")][: MOST[0]]
        down, across = np.divmod(found, sure.shape[1])
        corners = np.stack([across, down], axis=1) * np.float32(STRIDE)
        moves = x[:, down, across].T @ kb + bb
        boxes = np.concatenate([corners, corners + CELL], axis=1) + moves * CELL
        boxes *= np.array([width / pixels.shape[1], height / pixels.shape[0]] * 2, np.float32)
        boxes = np.column_stack([boxes, sure.ravel()[found]])
        return boxes[apart(boxes, OVERLAP[0])]


def lifted(preview: Pixels) -> Pixels:
    """The picture with its lights at white, and a dark one with its median at a middle grey."""
    green = preview[::2, ::2, 1]
    white = max(LEAST_WHITE, float(np.percentile(green, 99)))
    middle = float(np.clip(np.median(green) / white, 0.02, 0.9))
    gamma = min(1.0, max(LEAST_GAMMA, np.log(MIDDLE_GREY) / np.log(middle)))
    curve = np.round(255 * np.minimum(np.arange(256) / white, 1) ** gamma).astype(np.uint8)
    lighter: Pixels = curve[preview]
    return lighter


def _resized(image: pyvips.Image, width: int, height: int) -> pyvips.Image:
    across, down = width / image.width, height / image.height
    return image.resize(across, vscale=down, kernel="linear").copy_memory()


def _centred(pixels: Pixels) -> Array:
    out = pixels.astype(np.float32)
    out -= 127.5
    out /= 128
    return out


def _asked(
    net: Net, weights: list[Array], pixels: Array, boxes: Array, side: int
) -> tuple[Array, Array]:
    """A net's moves and confidence for each box."""
    portions = [boxes[start : start + PORTION] for start in range(0, len(boxes), PORTION)]
    answers = [net(_crops(pixels, portion, side), weights) for portion in portions]
    moves, sure = zip(*answers, strict=True)
    return np.concatenate(moves), np.concatenate(sure)


def _crops(pixels: Array, boxes: Array, side: int) -> Array:
    """Each box, sampled to (3, n, side, side) bilinearly, grey outside the picture."""
    height, width = pixels.shape[:2]
    steps = np.linspace(0, 1, side, dtype=np.float32)
    x = (boxes[:, None, 0] + steps * (boxes[:, 2] - boxes[:, 0])[:, None]) * ((width - 1) / width)
    y = (boxes[:, None, 1] + steps * (boxes[:, 3] - boxes[:, 1])[:, None]) * ((height - 1) / height)
    outside = ((y < 0) | (y > height - 1))[:, :, None] | ((x < 0) | (x > width - 1))[:, None]
    left, right, across = _between(x, width)
    above, below, down = _between(y, height)
    across, down = across[:, None, :, None], down[:, :, None, None]
    top = pixels[above[:, :, None], left[:, None]]
    top += (pixels[above[:, :, None], right[:, None]] - top) * across
    low = pixels[below[:, :, None], left[:, None]]
    low += (pixels[below[:, :, None], right[:, None]] - low) * across
    top += (low - top) * down
    top[outside] = 0
    return np.ascontiguousarray(top.transpose(3, 0, 1, 2))


def _between(at: Array, length: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], Array]:
    """The two pixels around a place on an axis, and how far it is from the first."""
    at = np.clip(at, 0, length - 1)
    first = at.astype(np.intp)
    return first, np.minimum(first + 1, length - 1), at - first


def _refinement(x: Array, weights: list[Array]) -> tuple[Array, Array]:
    k1, b1, a1, k2, b2, a2, k3, b3, a3, *dense = weights
    x = pooled(convolved(x, k1, b1, a1), 3, padded=True)
    x = pooled(convolved(x, k2, b2, a2), 3, padded=False)
    return _head(convolved(x, k3, b3, a3), dense)


def _output(x: Array, weights: list[Array]) -> tuple[Array, Array]:
    k1, b1, a1, k2, b2, a2, k3, b3, a3, k4, b4, a4, *dense = weights
    x = pooled(convolved(x, k1, b1, a1), 3, padded=True)
    x = pooled(convolved(x, k2, b2, a2), 3, padded=False)
    x = pooled(convolved(x, k3, b3, a3), 2, padded=True)
    return _head(convolved(x, k4, b4, a4), dense)


def _head(x: Array, dense: list[Array]) -> tuple[Array, Array]:
    """The dense layers: how to move each box by shares of its extent, and how sure it is."""
    k, b, a, kb, bb, kc, bc = dense
    flat = x.transpose(1, 3, 2, 0).reshape(x.shape[1], -1)  # weights expect columns before rows
    out = bent(flat @ k + b, a)
    return out @ kb + bb, confidence((out @ kc + bc).T)


def _refined(boxes: Array, moves: Array, sure: Array, least: float) -> Array:
    """Boxes moved and given their new confidence; those above ``least``, the surest first."""
    extent = boxes[:, 2:4] - boxes[:, 0:2] + 1
    moved = np.column_stack([boxes[:, :4] + moves * np.tile(extent, 2), sure])[sure > least]
    return moved[np.argsort(-moved[:, 4], kind="stable")]


def _square(boxes: Array) -> Array:
    """Each box as a square around the same middle, as long as its longer side."""
    middle = (boxes[:, 0:2] + boxes[:, 2:4]) / 2
    half = (boxes[:, 2:4] - boxes[:, 0:2]).max(axis=1, keepdims=True, initial=0) / 2
    return np.column_stack([middle - half, middle + half, boxes[:, 4]])
