"""YuNet, a small face detector as an ONNX model.

For each of three strides and each cell of a grid the model returns two confidences (``cls`` and
``obj``), the center of a face as its distance from the cell's corner, and the logarithm of its
width and height; distances and sizes are in strides. Method: Wu et al., "YuNet: A Tiny
Millisecond-level Face Detector", 2023.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from proxy.smartcrop.box_detector import MAX_FACES, BoxDetector, face_detector
from proxy.smartcrop.frame import Pixels
from proxy.smartcrop.models import ModelsConfig
from proxy.smartcrop.nms import Boxes, non_max_suppression
from proxy.smartcrop.onnx import OnnxModel, find_model

STRIDES = (8, 16, 32)
OUTPUTS = ("cls", "obj", "bbox")

_SIDE_MULTIPLE = 32  # the model takes only such widths and heights
_MIN_CONFIDENCE = 0.6
_MAX_OVERLAP = 0.45


def load_detector(models: ModelsConfig) -> BoxDetector | None:
    path = find_model(models, models.face_file)
    return None if path is None else face_detector(YunetFaceDetector(path))


class YunetFaceDetector:
    """The model, loaded once. Raises ValueError when the file is not a YuNet model."""

    def __init__(self, path: Path) -> None:
        self._model = OnnxModel(path)
        expected = {f"{name}_{stride}" for name in OUTPUTS for stride in STRIDES}
        if not expected <= set(self._model.outputs):
            raise ValueError(f"{path.name} is not a YuNet model: it lacks cls, obj or bbox outputs")

    def __call__(self, pixels: Pixels) -> Boxes:
        """Find at most `MAX_FACES` faces in RGB of shape (height, width, 3), best first."""
        height, width = pixels.shape[:2]
        padded_height = -(-height // _SIDE_MULTIPLE) * _SIDE_MULTIPLE
        padded_width = -(-width // _SIDE_MULTIPLE) * _SIDE_MULTIPLE
        planes = np.zeros((1, 3, padded_height, padded_width), np.float32)
        planes[0, :, :height, :width] = pixels[:, :, ::-1].transpose(2, 0, 1)  # BGR
        outputs = self._model.run(planes)
        levels = []
        for stride in STRIDES:
            face, objectness, offsets = (outputs[f"{name}_{stride}"][0] for name in OUTPUTS)
            confidence = np.sqrt(np.clip(face[:, 0] * objectness[:, 0], 0, 1))
            levels.append(_decode(confidence, offsets, stride, padded_width // stride))
        boxes = np.concatenate(levels)
        boxes = boxes[np.argsort(-boxes[:, 4], kind="stable")]
        return boxes[non_max_suppression(boxes, _MAX_OVERLAP)][:MAX_FACES]


def _decode(
    confidence: npt.NDArray[np.float32],
    offsets: npt.NDArray[np.float32],
    stride: int,
    columns: int,
) -> Boxes:
    """The boxes of one grid, row by row of ``columns`` cells, in pixels."""
    found = np.flatnonzero(confidence > _MIN_CONFIDENCE)
    cells = np.stack([found % columns, found // columns], axis=1)
    center = (cells + offsets[found, :2]) * stride
    half_size = np.exp(np.minimum(offsets[found, 2:4], 8)) * stride / 2
    class_ids = np.zeros(len(found))
    boxes = np.column_stack([center - half_size, center + half_size, confidence[found], class_ids])
    return boxes.astype(np.float32)
