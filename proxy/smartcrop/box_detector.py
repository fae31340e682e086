"""From models that find boxes in one frame to regions of a whole picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from proxy.smartcrop.frame import Frame, Pixels
from proxy.smartcrop.nms import Boxes, non_max_suppression
from proxy.smartcrop.subject import Region, RegionKind

MAX_FACES = 16

_MAX_OVERLAP = 0.5  # boxes of two frames that overlap more show the same thing
_DIGITS = 4  # that edges and weights are rounded to
_MIN_FACE_CONFIDENCE = 0.6  # below it both face detectors are mostly wrong

BoxModel = Callable[[Pixels], Boxes]
"""Finds boxes in RGB pixels of shape (height, width, 3)."""

BoxClass = Callable[[int, float], tuple[RegionKind, float, str]]
"""Gives kind, weight and label of a region for a class id and a confidence (0 to 1)."""


class BoxDetector:
    """A `RegionDetector` made of a model that finds boxes.

    What several frames show at the same place becomes one region; at most ``max_regions`` are
    returned, the most confident ones.
    """

    def __init__(self, find_boxes: BoxModel, classify: BoxClass, max_regions: int) -> None:
        self._find_boxes = find_boxes
        self._classify = classify
        self._max_regions = max_regions

    def __call__(self, frames: Sequence[Frame]) -> list[Region]:
        boxes = [self._find_boxes(frame.pixels) for frame in frames]
        height, width = frames[0].pixels.shape[:2]
        return merge_boxes(boxes, width, height, self._classify, self._max_regions)


def face_detector(find_boxes: BoxModel, confidence_exponent: float = 1.0) -> BoxDetector:
    """A `RegionDetector` made of a model that finds faces.

    An exponent above 1 is for models whose confidence is near 1 also where they are often wrong.
    """

    def classify(_class_id: int, confidence: float) -> tuple[RegionKind, float, str]:
        weight = (confidence - _MIN_FACE_CONFIDENCE) / (1 - _MIN_FACE_CONFIDENCE)
        return "face", max(0.0, weight) ** confidence_exponent, ""

    return BoxDetector(find_boxes, classify, MAX_FACES)


def merge_boxes(
    boxes_of_frames: Sequence[Boxes], width: int, height: int, classify: BoxClass, max_regions: int
) -> list[Region]:
    """The boxes of all frames of that size as regions, each object once, the most confident first.

    At most ``max_regions``; what lies outside the picture or has no weight is left out.
    """
    boxes = np.concatenate(boxes_of_frames)
    boxes = boxes[np.argsort(-boxes[:, 4], kind="stable")]
    classes = [boxes[boxes[:, 5] == class_id] for class_id in np.unique(boxes[:, 5])]
    distinct = [same[non_max_suppression(same, _MAX_OVERLAP)] for same in classes]
    boxes = np.concatenate([boxes[:0], *distinct])
    boxes = boxes[np.argsort(-boxes[:, 4], kind="stable")][:max_regions]
    regions = (_region(box, width, height, classify) for box in boxes.tolist())
    return [region for region in regions if _is_visible(region)]


def _region(box: Sequence[float], width: int, height: int, classify: BoxClass) -> Region:
    left, top, right, bottom, confidence, class_id = box
    kind, weight, label = classify(int(class_id), confidence)
    return Region(
        _fraction(left, width),
        _fraction(top, height),
        _fraction(right, width),
        _fraction(bottom, height),
        round(weight, _DIGITS),
        kind,
        label,
    )


def _fraction(value: float, length: int) -> float:
    return round(min(max(value / length, 0.0), 1.0), _DIGITS)


def _is_visible(region: Region) -> bool:
    """False for what lies outside the picture, or has no weight."""
    return region.left < region.right and region.top < region.bottom and region.weight > 0
