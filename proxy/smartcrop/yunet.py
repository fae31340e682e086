"""Faces by YuNet, a small ONNX model: surer than the nets that are built in, and faster.

For each of three strides the model answers, cell by cell, with two confidences, where the middle of
a face lies from the cell's corner, and the logarithm of its extent, all in strides.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from proxy.smartcrop.nms import Rows, apart
from proxy.smartcrop.onnx import Net

STRIDES = (8, 16, 32)
OUTPUTS = ("cls", "obj", "bbox")
MULTIPLE = 32  # the model takes sides of whole multiples only
SURE = 0.6
OVERLAP = 0.45


class Faces:
    """The model, loaded once.

    A call gives rows of left, top, right, bottom (pixels), confidence.
    """

    def __init__(self, path: Path) -> None:
        self._net = Net(path)
        wanted = {f"{name}_{stride}" for name in OUTPUTS for stride in STRIDES}
        if not wanted <= set(self._net.outputs):
            raise ValueError(f"{path.name} has not the outputs of YuNet: cls, obj and bbox")

    def __call__(self, preview: npt.NDArray[np.uint8]) -> Rows:
        """Faces in an RGB preview of shape (height, width, 3), the surest first."""
        height, width = preview.shape[:2]
        high, wide = -(-height // MULTIPLE) * MULTIPLE, -(-width // MULTIPLE) * MULTIPLE
        planes = np.zeros((1, 3, high, wide), np.float32)
        planes[0, :, :height, :width] = preview[:, :, ::-1].transpose(2, 0, 1)  # blue first
        answers = self._net(planes)
        found = []
        for stride in STRIDES:
            face, thing, moves = (answers[f"{name}_{stride}"][0] for name in OUTPUTS)
            found.append(_rows(face[:, 0] * thing[:, 0], moves, stride, wide // stride))
        rows = np.concatenate(found)
        rows = rows[np.argsort(-rows[:, 4], kind="stable")]
        return rows[apart(rows, OVERLAP)]


def _rows(likely: Rows, moves: Rows, stride: int, columns: int) -> Rows:
    """The faces that a grid of so many columns answers for, in pixels."""
    sure = np.sqrt(np.clip(likely, 0, 1))
    kept = np.flatnonzero(sure > SURE)
    cells = np.stack([kept % columns, kept // columns], axis=1)
    middle = (cells + moves[kept, :2]) * stride
    half = np.exp(np.minimum(moves[kept, 2:4], 8)) * stride / 2
    return np.column_stack([middle - half, middle + half, sure[kept]]).astype(np.float32)
