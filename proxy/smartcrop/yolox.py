"""YOLOX, a detector of people, animals and objects as an ONNX model of the 80 COCO classes.

For each cell of three grids the model returns a box, a confidence that there is anything, and one
for each class. Method: Ge et al., "YOLOX: Exceeding YOLO Series in 2021", 2021; classes: Lin et
al., "Microsoft COCO: Common Objects in Context", 2014.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from proxy.smartcrop.box_detector import BoxDetector
from proxy.smartcrop.coco import COCO_CLASSES
from proxy.smartcrop.focus import kind_of
from proxy.smartcrop.frame import Pixels, rgb_image
from proxy.smartcrop.grid_boxes import cells_of, decode_boxes
from proxy.smartcrop.models import ModelsConfig
from proxy.smartcrop.nms import Boxes, non_max_suppression
from proxy.smartcrop.onnx import OnnxModel, find_model
from proxy.smartcrop.subject import RegionKind

CLASS_COUNT = len(COCO_CLASSES)
FURNITURE = frozenset(
    (13, 56, 57, 59, 60, 61, 62, 68, 69, 71, 72)
)  # bench, chair, couch, bed, table …

_PRIORS: Mapping[RegionKind, float] = {"person": 1.0, "animal": 0.8}

_MAX_OBJECTS = 24
_PADDING = 114  # gray, where a picture does not fill the model's square
_MIN_CONFIDENCE = 0.2
_MAX_OVERLAP = 0.45


def load_detector(models: ModelsConfig) -> BoxDetector | None:
    path = find_model(models, models.object_file)
    return None if path is None else BoxDetector(YoloxDetector(path), _classify, _MAX_OBJECTS)


def _classify(class_id: int, confidence: float) -> tuple[RegionKind, float, str]:
    kind, prior = class_kind(class_id)
    return kind, confidence * prior, COCO_CLASSES[class_id]


def class_kind(class_id: int) -> tuple[RegionKind, float]:
    """The kind of a COCO class, and how likely (0 to 1) such a thing is a picture's subject."""
    kind = kind_of(COCO_CLASSES[class_id])
    if kind in _PRIORS:
        return kind, _PRIORS[kind]
    return kind, 0.15 if class_id in FURNITURE else 0.5


class YoloxDetector:
    """The model, loaded once. Raises ValueError when the file is not a YOLOX model."""

    def __init__(self, path: Path) -> None:
        self._model = OnnxModel(path)
        side = self._model.input_shape[-1]
        if not isinstance(side, int) or list(self._model.input_shape) != [1, 3, side, side]:
            raise ValueError(f"{path.name} is not a YOLOX model: its input is not a fixed square")
        self._side = side

    def __call__(self, pixels: Pixels) -> Boxes:
        """Find objects in RGB of shape (height, width, 3), grouped by class, best first."""
        height, width = pixels.shape[:2]
        scale = self._side / max(height, width)
        scaled_width, scaled_height = max(1, round(width * scale)), max(1, round(height * scale))
        scaled = rgb_image(pixels).resize(
            scaled_width / width, vscale=scaled_height / height, kernel="linear"
        )
        planes = np.full((1, 3, self._side, self._side), _PADDING, np.float32)
        planes[0, :, :scaled_height, :scaled_width] = scaled.numpy()[:, :, ::-1].transpose(
            2, 0, 1
        )  # BGR
        boxes = self._decode(self._model.run(planes)[self._model.outputs[0]][0])
        boxes[:, :4] *= np.array([width / scaled_width, height / scaled_height] * 2, np.float32)
        classes = [boxes[boxes[:, 5] == class_id] for class_id in np.unique(boxes[:, 5])]
        distinct = [same[non_max_suppression(same, _MAX_OVERLAP)] for same in classes]
        return np.concatenate([boxes[:0], *distinct])

    def _decode(self, output: Boxes) -> Boxes:
        """Boxes in pixels of the model's square.

        A row of ``output`` is a cell: its box, objectness, and the confidence of each class.
        """
        confidences = output[:, 4:5] * output[:, 5 : 5 + CLASS_COUNT]
        class_ids = confidences.argmax(axis=1)
        confidence = confidences[np.arange(len(confidences)), class_ids]
        found = np.flatnonzero(confidence > _MIN_CONFIDENCE)
        found = found[np.argsort(-confidence[found], kind="stable")]
        cells, strides = cells_of(self._side, self._side)
        edges = decode_boxes(output[found], cells[found], strides[found])
        columns = [edges, confidence[found], class_ids[found]]
        return np.column_stack(columns).astype(np.float32)
