"""What the subject net sees, as regions: faces, people, animals, objects, and what is salient."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import cache

import numpy as np
import numpy.typing as npt

from proxy.smartcrop.box_detector import MAX_FACES, merge_boxes
from proxy.smartcrop.frame import Frame, Pixels, rgb_image
from proxy.smartcrop.grid_boxes import cells_of, decode_boxes
from proxy.smartcrop.models import ModelsConfig
from proxy.smartcrop.nms import Boxes, non_max_suppression
from proxy.smartcrop.saliency import cell_means, coarsen, saliency_map, saliency_regions
from proxy.smartcrop.subject import Region, RegionKind
from proxy.smartcrop.subject_net import CLASS_COUNT, SIDE_MULTIPLE, SubjectNet
from proxy.smartcrop.subject_net_weights import LayerWeights
from proxy.smartcrop.yolox import class_kind

Array = npt.NDArray[np.float32]

_PIXELS = 224 * 160  # that the net sees; it was trained at this size
_MAX_SIDE = 14 * SIDE_MULTIPLE
_MIN_SIDE = 2 * SIDE_MULTIPLE
_MIN_OBJECT_CONFIDENCE = 0.2
_MIN_FACE_CONFIDENCE = 0.3
_MAX_OVERLAP = 0.45
_MAX_OBJECTS = 24
_NET_SHARE = 0.5  # of the net in the map of what is salient
_CONFIDENCE_DIGITS = 4  # that confidences are rounded to before they are compared


_KIND_IDS = np.array(
    [
        ("person", "animal", "object").index(class_kind(class_id)[0])
        for class_id in range(CLASS_COUNT)
    ]
)


def load_detector(_models: ModelsConfig) -> SubjectNetDetector:
    return SubjectNetDetector(_load_net())


def before_fork() -> None:
    """Load the net once for all render processes: 3.7 MB, and 38 ms of a first detection."""
    with suppress(OSError, ValueError):  # the first detection fails with it
        _load_net()


@cache
def _load_net() -> SubjectNet:
    return SubjectNet(LayerWeights())


class SubjectNetDetector:
    """A `RegionDetector`; the net runs once for each frame."""

    def __init__(self, net: SubjectNet) -> None:
        self._net = net

    def __call__(self, frames: Sequence[Frame]) -> list[Region]:
        height, width = frames[0].pixels.shape[:2]
        scaled = [_scale(frame.pixels) for frame in frames]
        outputs = [self._net(pixels) for pixels in scaled]
        net_height, net_width = scaled[0].shape[:2]
        cells, strides = cells_of(net_width, net_height)
        scale = np.array([width / net_width, height / net_height] * 2, np.float32)
        objects, faces = [], []
        for output in outputs:
            edges = decode_boxes(output.objects, cells, strides) * scale
            confidences = _sigmoid(output.objects[:, 4:5]) * _sigmoid(output.objects[:, 5:])
            objects.append(_find_objects(edges, confidences))
            edges = decode_boxes(output.faces, cells, strides) * scale
            faces.append(_find_faces(edges, _sigmoid(output.faces[:, 4])))
        return [
            *merge_boxes(faces, width, height, _classify_face, MAX_FACES),
            *merge_boxes(objects, width, height, _classify_object, _MAX_OBJECTS),
            *_salient_regions(frames, [output.heat for output in outputs]),
        ]


def _scale(pixels: Pixels) -> Pixels:
    """The picture at about as many pixels as the net was trained with."""
    height, width = pixels.shape[:2]
    columns, rows = input_size(width, height)
    image = rgb_image(pixels).resize(columns / width, vscale=rows / height, kernel="linear")
    scaled: Pixels = image.numpy()
    return scaled


def input_size(width: int, height: int) -> tuple[int, int]:
    """Width and height at which the net sees a picture of that size: about in its ratio."""
    scale = (_PIXELS / (width * height)) ** 0.5
    return _input_side(width * scale), _input_side(height * scale)


def _input_side(length: float) -> int:
    return min(_MAX_SIDE, max(_MIN_SIDE, round(length / SIDE_MULTIPLE) * SIDE_MULTIPLE))


def _sigmoid(logits: Array) -> Array:
    """Rounded, so that equal pictures give equal boxes whatever processor computes them."""
    probabilities: Array = np.reciprocal(1 + np.exp(-logits.clip(-30, 30)))
    return probabilities.round(_CONFIDENCE_DIGITS)


def _find_objects(edges: Array, confidences: Array) -> Boxes:
    """The distinct objects; each cell has a confidence for each class."""
    class_ids = confidences.argmax(axis=1)
    best = confidences[np.arange(len(confidences)), class_ids]
    boxes = _confident(edges, best, class_ids, _MIN_OBJECT_CONFIDENCE)
    kinds = _KIND_IDS[boxes[:, 5].astype(int)]
    alike = [boxes[kinds == kind] for kind in np.unique(kinds)]
    distinct = [boxes[non_max_suppression(boxes, _MAX_OVERLAP)] for boxes in alike]
    return np.concatenate([boxes[:0], *distinct])


def _find_faces(edges: Array, confidences: Array) -> Boxes:
    """The distinct faces."""
    boxes = _confident(edges, confidences, np.zeros(len(edges)), _MIN_FACE_CONFIDENCE)
    return boxes[non_max_suppression(boxes, _MAX_OVERLAP)]


def _confident(edges: Array, confidence: Array, class_ids: npt.ArrayLike, minimum: float) -> Boxes:
    """The boxes above a confidence, the most confident first."""
    found = np.flatnonzero(confidence > minimum)
    found = found[np.argsort(-confidence[found], kind="stable")]
    columns = [edges[found], confidence[found], np.asarray(class_ids)[found]]
    return np.column_stack(columns).astype(np.float32)


def _classify_object(class_id: int, confidence: float) -> tuple[RegionKind, float, str]:
    kind, prior = class_kind(class_id)
    return kind, confidence * prior, ""


def _classify_face(_class_id: int, confidence: float) -> tuple[RegionKind, float, str]:
    return "face", (confidence - _MIN_FACE_CONFIDENCE) / (1 - _MIN_FACE_CONFIDENCE), ""


def _salient_regions(frames: Sequence[Frame], heats: Sequence[Array]) -> list[Region]:
    """Where the net sees the subject and what stands out, half each, the mean of all frames.

    Frames in which nothing stands out do not count.
    """
    grids = []
    for frame, heat in zip(frames, heats, strict=True):
        standing_out = saliency_map(frame.pixels, frame.alpha)
        if standing_out is not None:
            coarse = coarsen(standing_out)
            seen = cell_means(np.exp(heat - heat.max()), *coarse.shape)
            grids.append(coarse / coarse.sum() * (1 - _NET_SHARE) + seen / seen.sum() * _NET_SHARE)
    return saliency_regions(np.mean(grids, axis=0)) if grids else []
