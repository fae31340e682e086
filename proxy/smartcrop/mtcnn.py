"""MTCNN, a face detector of three small networks, in NumPy: needs no model file.

P-Net proposes boxes on an image pyramid, 12 x 12 pixels at a time; R-Net refines them on crops of
24 x 24 pixels, O-Net on crops of 48 x 48. Each network sees only what the one before it accepted.
Method: Zhang et al., "Joint Face Detection and Alignment Using Multitask Cascaded Convolutional
Networks", 2016.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyvips

from proxy.smartcrop import mtcnn_weights
from proxy.smartcrop.box_detector import BoxDetector, face_detector
from proxy.smartcrop.frame import Pixels, rgb_image
from proxy.smartcrop.models import ModelsConfig
from proxy.smartcrop.nms import Boxes, non_max_suppression
from proxy.smartcrop.numpy_layers import Array, conv2d, max_pool, prelu, softmax_positive

_P_SIDE, _R_SIDE, _O_SIDE = 12, 24, 48  # pixels that each network sees
_P_STRIDE = 2  # pixels between neighboring outputs of P-Net
_MIN_FACE = 0.055  # of the mean side of the picture; smaller faces are rarely its subject
_PYRAMID_STEP = 0.709  # scale from one level of the pyramid to the next: half the area
_MIN_CONFIDENCE = (0.6, 0.6, 0.7)  # of P-Net, R-Net, O-Net
_CONFIDENCE_EXPONENT = 2.0  # most false faces have 0.7 to 0.9, most real ones more than 0.93
_HAIR = 0.03  # share of a box's height above the face, mostly hair, that is taken off
_MAX_OVERLAP = (0.5, 0.7, 0.7)  # in a pyramid level and after R-Net; in the pyramid; after O-Net
_MAX_CANDIDATES = (48, 80, 16)  # of a level, of the pyramid, of R-Net; the most confident
_BATCH = 16  # crops for one call of R-Net or O-Net
_STRIP = 24  # pairs of rows of P-Net's first layer for one call

# The networks were trained on few dark faces, so dark pictures are brightened for them.
_MEDIAN_TARGET = 0.45
_MIN_WHITE = 32  # of 255; when the brightest pixels are darker, they are noise
_MIN_GAMMA = 0.4

Network = Callable[[Array, list[Array]], tuple[Array, Array]]
"""Takes crops (3, n, side, side) and weights; gives box offsets (n, 4) and confidences (n,)."""

log = logging.getLogger(__name__)


def load_detector(_models: ModelsConfig) -> BoxDetector | None:
    folder = mtcnn_weights.find_weights_dir()
    if folder is None:
        log.warning("mtcnn package is not installed: no faces are detected without a face model")
        return None
    return face_detector(MtcnnFaceDetector(folder), _CONFIDENCE_EXPONENT)


class MtcnnFaceDetector:
    """The three networks, loaded once. Raises ValueError for other weights than the known ones."""

    def __init__(self, folder: Path) -> None:
        self._p_net = mtcnn_weights.load_weights(mtcnn_weights.P_NET, folder)
        self._r_net = mtcnn_weights.load_weights(mtcnn_weights.R_NET, folder)
        self._o_net = mtcnn_weights.load_weights(mtcnn_weights.O_NET, folder)

    def __call__(self, pixels: Pixels) -> Boxes:
        """Find faces in RGB of shape (height, width, 3), the most confident first."""
        pixels = normalize_exposure(pixels)
        boxes = self._propose(pixels)
        if len(boxes):
            inputs = _normalize(pixels)
            offsets, confidence = _run_on_crops(_run_r_net, self._r_net, inputs, boxes, _R_SIDE)
            boxes = _refine(boxes, offsets, confidence, _MIN_CONFIDENCE[1])
            boxes = boxes[non_max_suppression(boxes, _MAX_OVERLAP[1])]
            boxes = _make_square(boxes)[: _MAX_CANDIDATES[2]]
        if len(boxes):
            offsets, confidence = _run_on_crops(_run_o_net, self._o_net, inputs, boxes, _O_SIDE)
            boxes = _refine(boxes, offsets, confidence, _MIN_CONFIDENCE[2])
            boxes = boxes[non_max_suppression(boxes, _MAX_OVERLAP[2], over_minimum=True)]
            boxes[:, 1] += _HAIR * (boxes[:, 3] - boxes[:, 1])
        return np.pad(boxes, ((0, 0), (0, 1)))  # class id 0

    def _propose(self, pixels: Pixels) -> Array:
        """Candidates of the whole pyramid: (n, 5), the last column is the confidence."""
        height, width = pixels.shape[:2]
        scale = _P_SIDE / max(_P_SIDE, _MIN_FACE * (width * height) ** 0.5)
        levels = []
        image = rgb_image(pixels)
        while min(width, height) * scale >= _P_SIDE:
            image = _resize(image, round(width * scale), round(height * scale))
            levels.append(self._propose_at_level(image.numpy(), width, height))
            scale *= _PYRAMID_STEP
        if not levels:
            return np.empty((0, 5), np.float32)
        boxes = np.concatenate(levels)
        boxes = boxes[np.argsort(-boxes[:, 4], kind="stable")]
        boxes = boxes[non_max_suppression(boxes, _MAX_OVERLAP[1])]
        return _make_square(boxes)[: _MAX_CANDIDATES[1]]

    def _propose_at_level(self, pixels: Pixels, width: int, height: int) -> Array:
        """Candidates of one level of the pyramid, in pixels of a picture of that size."""
        k1, b1, a1, k2, b2, a2, k3, b3, a3, kb, bb, kc, bc = self._p_net
        x = _normalize(pixels).transpose(2, 0, 1)[:, None]
        # Pooling makes n rows of a strip of 2 n + 2; rounding up includes an odd last row.
        rows = x.shape[2] - 2
        strips = [
            max_pool(conv2d(x[:, :, top : top + 2 * _STRIP + 2], k1, b1, a1), 2, padded=True)
            for top in range(0, rows, 2 * _STRIP)
        ]
        x = np.concatenate(strips, axis=2)
        x = conv2d(conv2d(x, k2, b2, a2), k3, b3, a3)[:, 0]
        confidence = softmax_positive(np.tensordot(kc.T, x, 1) + bc[:, None, None])
        found = np.flatnonzero(confidence > _MIN_CONFIDENCE[0])
        order = np.argsort(-confidence.ravel()[found], kind="stable")
        found = found[order][: _MAX_CANDIDATES[0]]
        cell_rows, cell_columns = np.divmod(found, confidence.shape[1])
        corners = np.stack([cell_columns, cell_rows], axis=1) * np.float32(_P_STRIDE)
        offsets = x[:, cell_rows, cell_columns].T @ kb + bb
        boxes = np.concatenate([corners, corners + _P_SIDE], axis=1) + offsets * _P_SIDE
        boxes *= np.array([width / pixels.shape[1], height / pixels.shape[0]] * 2, np.float32)
        boxes = np.column_stack([boxes, confidence.ravel()[found]])
        return boxes[non_max_suppression(boxes, _MAX_OVERLAP[0])]


def normalize_exposure(pixels: Pixels) -> Pixels:
    """Stretch the brightest pixels to white, and raise a dark picture's median by gamma.

    Works on the green channel's 99th percentile and median; a bright picture keeps its gamma.
    """
    green = pixels[::2, ::2, 1]
    white = max(_MIN_WHITE, float(np.percentile(green, 99)))
    median = float(np.clip(np.median(green) / white, 0.02, 0.9))
    gamma = min(1.0, max(_MIN_GAMMA, np.log(_MEDIAN_TARGET) / np.log(median)))
    curve = np.round(255 * np.minimum(np.arange(256) / white, 1) ** gamma).astype(np.uint8)
    normalized: Pixels = curve[pixels]
    return normalized


def _resize(image: pyvips.Image, width: int, height: int) -> pyvips.Image:
    x_scale, y_scale = width / image.width, height / image.height
    return image.resize(x_scale, vscale=y_scale, kernel="linear").copy_memory()


def _normalize(pixels: Pixels) -> Array:
    """From 0 to 255 to about -1 to 1, as the networks were trained."""
    out = pixels.astype(np.float32)
    out -= 127.5
    out /= 128
    return out


def _run_on_crops(
    network: Network, weights: list[Array], inputs: Array, boxes: Array, side: int
) -> tuple[Array, Array]:
    """Run a network on every box; gives offsets (n, 4) and confidences (n,)."""
    batches = [boxes[start : start + _BATCH] for start in range(0, len(boxes), _BATCH)]
    outputs = [network(_crop(inputs, batch, side), weights) for batch in batches]
    offsets, confidences = zip(*outputs, strict=True)
    return np.concatenate(offsets), np.concatenate(confidences)


def _crop(inputs: Array, boxes: Array, side: int) -> Array:
    """Sample every box bilinearly to (3, n, side, side); outside the picture it is gray."""
    height, width = inputs.shape[:2]
    steps = np.linspace(0, 1, side, dtype=np.float32)
    x = (boxes[:, None, 0] + steps * (boxes[:, 2] - boxes[:, 0])[:, None]) * ((width - 1) / width)
    y = (boxes[:, None, 1] + steps * (boxes[:, 3] - boxes[:, 1])[:, None]) * ((height - 1) / height)
    outside = ((y < 0) | (y > height - 1))[:, :, None] | ((x < 0) | (x > width - 1))[:, None]
    left, right, x_share = _neighbors(x, width)
    above, below, y_share = _neighbors(y, height)
    x_share, y_share = x_share[:, None, :, None], y_share[:, :, None, None]
    upper = inputs[above[:, :, None], left[:, None]]
    upper += (inputs[above[:, :, None], right[:, None]] - upper) * x_share
    lower = inputs[below[:, :, None], left[:, None]]
    lower += (inputs[below[:, :, None], right[:, None]] - lower) * x_share
    upper += (lower - upper) * y_share
    upper[outside] = 0
    return np.ascontiguousarray(upper.transpose(3, 0, 1, 2))


def _neighbors(
    positions: Array, length: int
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], Array]:
    """The pixels before and after each position on an axis, and its distance from the first."""
    positions = np.clip(positions, 0, length - 1)
    first = positions.astype(np.intp)
    return first, np.minimum(first + 1, length - 1), positions - first


def _run_r_net(x: Array, weights: list[Array]) -> tuple[Array, Array]:
    k1, b1, a1, k2, b2, a2, k3, b3, a3, *dense = weights
    x = max_pool(conv2d(x, k1, b1, a1), 3, padded=True)
    x = max_pool(conv2d(x, k2, b2, a2), 3, padded=False)
    return _run_dense(conv2d(x, k3, b3, a3), dense)


def _run_o_net(x: Array, weights: list[Array]) -> tuple[Array, Array]:
    k1, b1, a1, k2, b2, a2, k3, b3, a3, k4, b4, a4, *dense = weights
    x = max_pool(conv2d(x, k1, b1, a1), 3, padded=True)
    x = max_pool(conv2d(x, k2, b2, a2), 3, padded=False)
    x = max_pool(conv2d(x, k3, b3, a3), 2, padded=True)
    return _run_dense(conv2d(x, k4, b4, a4), dense)


def _run_dense(x: Array, dense: list[Array]) -> tuple[Array, Array]:
    """The dense layers: offsets (n, 4) as shares of a box's sides, and confidences (n,)."""
    k, b, a, kb, bb, kc, bc = dense
    flat = x.transpose(1, 3, 2, 0).reshape(x.shape[1], -1)  # the weights expect columns first
    out = prelu(flat @ k + b, a)
    return out @ kb + bb, softmax_positive((out @ kc + bc).T)


def _refine(boxes: Array, offsets: Array, confidence: Array, min_confidence: float) -> Array:
    """Move the boxes, take their new confidence, drop the doubtful, and sort best first."""
    sides = boxes[:, 2:4] - boxes[:, 0:2] + 1
    moved = np.column_stack([boxes[:, :4] + offsets * np.tile(sides, 2), confidence])
    moved = moved[confidence > min_confidence]
    return moved[np.argsort(-moved[:, 4], kind="stable")]


def _make_square(boxes: Array) -> Array:
    """Each box as a square with the same center and the longer side."""
    center = (boxes[:, 0:2] + boxes[:, 2:4]) / 2
    half_side = (boxes[:, 2:4] - boxes[:, 0:2]).max(axis=1, keepdims=True, initial=0) / 2
    return np.column_stack([center - half_side, center + half_side, boxes[:, 4]])
