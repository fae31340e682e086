"""The labels of the training pictures: annotations and teachers together, and views of them."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from proxy.smartcrop.coco import COCO_CLASSES
from proxy.smartcrop.evidence import Evidence, weigh
from proxy.smartcrop.saliency import coarsen, saliency_regions
from proxy.smartcrop.subject import Region, RegionKind
from proxy.smartcrop.yolox import class_kind

Array = npt.NDArray[np.float32]
Window = tuple[float, float, float, float]

WHOLE: Window = (0.0, 0.0, 1.0, 1.0)
ANNOTATED = 0.95  # confidence of what people marked
UNKNOWN_CLASS = -1

# Boxes of which less is visible, that are smaller (in pixels of the view) or less certain are
# neither learned nor counted as background.
_MIN_VISIBLE = {"objects": 0.35, "faces": 0.6}
_MIN_PIXELS = {"objects": 8, "faces": 7}
_MIN_CONFIDENCE = {"objects": 0.25, "faces": 0.6}
_MAX_BOXES = 30
_MIN_EVIDENCE = {"objects": 0.2, "faces": 0.6}  # confidence from which a box counts for the map

_FIXATIONS = 0.6  # of the map, where it is known at what people looked
_CROP_SIGMA = 0.4  # of the Gaussian around the center of a view, for saliency
_VOC_NAMES = {
    "aeroplane": "airplane",
    "motorbike": "motorcycle",
    "diningtable": "dining_table",
    "pottedplant": "potted_plant",
    "sofa": "couch",
    "tvmonitor": "tv",
}


@dataclass(frozen=True)
class Labels:
    """What a view shows, in its pixels.

    Rows are left, top, right, bottom, confidence, class. ``heat`` has a cell for each 8 x 8 pixels,
    and the sum 1. What lies in ``doubtful`` boxes is neither right nor wrong.
    """

    objects: Array
    doubtful_objects: Array
    faces: Array
    doubtful_faces: Array
    heat: Array


@dataclass(frozen=True)
class TrainingPicture:
    """A picture with all its boxes, as shares of it: edges, confidence, class."""

    pixels: npt.NDArray[np.uint8]
    objects: Array
    faces: Array
    saliency: Array | None
    fixations: Array | None

    def crop(self, window: Window, *, mirrored: bool, width: int, height: int) -> Any:
        """The pixels of a view of that size."""
        rows, columns = self.pixels.shape[:2]
        box = (
            window[0] * columns,
            window[1] * rows,
            window[2] * columns,
            window[3] * rows,
        )
        view = Image.fromarray(self.pixels).resize(
            (width, height), Image.Resampling.BILINEAR, box=box
        )
        pixels = np.asarray(view)
        return pixels[:, ::-1] if mirrored else pixels

    def label(self, window: Window, *, mirrored: bool, width: int, height: int) -> Labels:
        """The labels of a view of that size."""
        found, regions = [], []
        for name, known in (("objects", self.objects), ("faces", self.faces)):
            boxes, visible = _clip(known, window, mirrored=mirrored)
            sides = (boxes[:, 2:4] - boxes[:, :2]) * (width, height)
            shortest, confidence = sides.min(axis=1, initial=np.inf), boxes[:, 4]
            is_good = (
                (visible > _MIN_VISIBLE[name])
                & (confidence >= _MIN_CONFIDENCE[name])
                & (shortest >= _MIN_PIXELS[name])
            )
            in_pixels = boxes * np.array([width, height, width, height, 1, 1], np.float32)
            good = in_pixels[is_good]
            found.append(good[np.argsort(-good[:, 4], kind="stable")][:_MAX_BOXES])
            found.append(in_pixels[~is_good & (visible > 0.05) & (shortest > 2)])
            counts = (visible > 0.3) & (sides > 1).all(axis=1) & (confidence > _MIN_EVIDENCE[name])
            regions += [_region(name, box) for box in boxes[counts]]
        heat = self._heat(regions, window, mirrored=mirrored, columns=width // 8, rows=height // 8)
        return Labels(*found, heat)

    def _heat(
        self, regions: list[Region], window: Window, *, mirrored: bool, columns: int, rows: int
    ) -> Array:
        if self.saliency is not None:
            salient = _resample(self.saliency, window, columns, rows, mirrored=mirrored)
            if window != WHOLE:  # a view has its own center
                y = (np.arange(rows) + 0.5) / rows - 0.5
                x = (np.arange(columns) + 0.5) / columns - 0.5
                salient *= np.exp(-(y[:, None] ** 2 + x**2) / (2 * _CROP_SIGMA**2))
            if salient.max() > 0.02:
                regions = [*regions, *saliency_regions(coarsen(salient))]
        heat = _density(weigh(regions), columns, rows)
        heat /= max(float(heat.sum()), 1e-6)
        if self.fixations is not None:
            looked_at = _resample(self.fixations, window, columns, rows, mirrored=mirrored)
            if looked_at.mean() > 0.006:
                looked_at /= looked_at.sum()
                heat = _FIXATIONS * looked_at + (1 - _FIXATIONS) * heat
        if heat.sum() <= 0:
            heat = np.ones_like(heat)
        normalized: Array = (heat / heat.sum()).astype(np.float32)
        return normalized


def load_pictures(folder: Path, teachers: Path) -> list[TrainingPicture]:
    """All pictures of a set; ``teachers`` is what ``prepare.py`` wrote for it."""
    lines = (folder / "annotations.jsonl").read_text().splitlines()
    taught = pickle.loads(teachers.read_bytes())
    return [
        _load_picture(folder, json.loads(line), record)
        for line, record in zip(lines, taught, strict=True)
    ]


def _load_picture(
    folder: Path, entry: Mapping[str, Any], taught: Mapping[str, Any]
) -> TrainingPicture:
    objects = _agree(taught["objects"], 0.5, by_kind=True)
    faces = _agree(taught["faces"], 0.4, by_kind=False)
    # A face that one run is sure of may be missed by the others: it is small, or at the edge.
    face_boxes = [[*box[:4], (box[4] + box[6]) / 2, 0] for box in faces]
    object_boxes = [[*box[:4], box[4], box[5]] for box in objects]
    for box in entry["boxes"]:
        _annotate(face_boxes if box["kind"] == "face" else object_boxes, box)
    mask = None
    if entry["mask"]:
        mask = np.asarray(Image.open(folder / "masks" / entry["mask"]).convert("L"), np.float32)
    return TrainingPicture(
        pixels=np.asarray(Image.open(folder / "images" / entry["file"]).convert("RGB")),
        objects=np.array(object_boxes, np.float32).reshape(-1, 6),
        faces=np.array(face_boxes, np.float32).reshape(-1, 6),
        saliency=taught["saliency"],
        fixations=None if mask is None else mask / 255,
    )


def _agree(runs: Sequence[Array], min_overlap: float, *, by_kind: bool) -> Array:
    """The boxes of several runs, each thing once: edges, mean confidence, class, highest, run.

    A run that does not see a thing counts as 0. Edges are means weighted by confidence.
    """
    boxes = np.concatenate(
        [np.column_stack([run, np.full(len(run), k)]) for k, run in enumerate(runs)]
    )
    boxes = boxes[np.argsort(-boxes[:, 4], kind="stable")]
    overlaps = _overlaps(boxes, boxes)
    agreed, is_used = [], np.zeros(len(boxes), bool)
    for index, box in enumerate(boxes):
        if is_used[index]:
            continue
        same = {int(box[6]): box}
        for other in np.flatnonzero(overlaps[index] >= min_overlap):
            if other <= index or is_used[other]:
                continue
            if by_kind and _kind(boxes[other][5]) != _kind(box[5]):
                continue
            is_used[other] = True
            same.setdefault(int(boxes[other][6]), boxes[other])
        group = np.array(list(same.values()))
        edges = np.average(group[:, :4], axis=0, weights=group[:, 4])
        agreed.append([*edges, group[:, 4].sum() / len(runs), box[5], group[:, 4].max()])
    return np.array(agreed, np.float32).reshape(-1, 7)


def _annotate(boxes: list[list[float]], annotation: Mapping[str, Any]) -> None:
    """Add what people marked, in place of what the teachers saw there."""
    kind = annotation["kind"]
    label = annotation["label"].replace(" ", "_")
    label = _VOC_NAMES.get(label, label)
    class_id = COCO_CLASSES.index(label) if label in COCO_CLASSES else UNKNOWN_CLASS
    if kind in ("face", "person"):
        class_id = 0
    edges = annotation["box"]
    overlaps = _overlaps(
        np.array([edges], np.float32), np.array([box[:4] for box in boxes], np.float32)
    )[0]
    for index, box in enumerate(boxes):
        if kind != "face" and box[5] != UNKNOWN_CLASS and _kind(box[5]) != kind:
            overlaps[index] = 0
    best = int(overlaps.argmax()) if len(boxes) else 0
    if boxes and overlaps[best] > (0.4 if kind == "face" else 0.5):
        known = class_id if class_id != UNKNOWN_CLASS else boxes[best][5]
        boxes[best] = [*edges, max(ANNOTATED, boxes[best][4]), known]
    else:
        boxes.append([*edges, ANNOTATED, class_id])


def _kind(class_id: float) -> RegionKind:
    return class_kind(int(class_id))[0]


def _overlaps(first: Array, second: Array) -> Array:
    """Intersection over union of each pair."""
    first, second = first[:, None], second.reshape(1, -1, second.shape[-1] if second.size else 4)
    width = np.minimum(first[..., 2], second[..., 2]) - np.maximum(first[..., 0], second[..., 0])
    height = np.minimum(first[..., 3], second[..., 3]) - np.maximum(first[..., 1], second[..., 1])
    inside = width.clip(0) * height.clip(0)
    areas = [
        (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])
        for boxes in (first, second)
    ]
    overlaps: Array = inside / np.maximum(areas[0] + areas[1] - inside, 1e-9)
    return overlaps


def _clip(boxes: Array, window: Window, *, mirrored: bool) -> tuple[Array, Array]:
    """Boxes as shares of a window, and the share of each that it shows."""
    left, top, right, bottom = window
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    boxes = boxes.copy()
    boxes[:, [0, 2]] = np.clip((boxes[:, [0, 2]] - left) / (right - left), 0, 1)
    boxes[:, [1, 3]] = np.clip((boxes[:, [1, 3]] - top) / (bottom - top), 0, 1)
    inside = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    visible = inside * (right - left) * (bottom - top) / np.maximum(area, 1e-9)
    if mirrored:
        boxes[:, [0, 2]] = 1 - boxes[:, [2, 0]]
    return boxes, visible


def _region(name: str, box: Array) -> Region:
    edges, confidence, class_id = (float(edge) for edge in box[:4]), float(box[4]), int(box[5])
    if name == "faces":
        return Region(*edges, max(0.0, (confidence - 0.6) / 0.4), "face")
    kind, prior = ("object", 0.5) if class_id == UNKNOWN_CLASS else class_kind(class_id)
    return Region(*edges, confidence * prior, kind)


def _density(evidence: Sequence[Evidence], columns: int, rows: int) -> Array:
    """What each cell is worth."""
    density = np.zeros((rows, columns), np.float32)
    for each in evidence:
        edges = each.edges
        x = _shares_of_cells(edges.left, edges.right, columns)
        y = _shares_of_cells(edges.top, edges.bottom, rows)
        density += each.value * np.outer(y, x)
    return density


def _shares_of_cells(start: float, end: float, count: int) -> Array:
    lines = np.arange(count + 1) / count
    inside = np.minimum(lines[1:], end) - np.maximum(lines[:-1], start)
    shares: Array = (inside.clip(0) / max(end - start, 1e-9)).astype(np.float32)
    return shares


def _resample(grid: Array, window: Window, columns: int, rows: int, *, mirrored: bool) -> Array:
    image = Image.fromarray(np.ascontiguousarray(grid, np.float32))
    width, height = image.size
    box = (window[0] * width, window[1] * height, window[2] * width, window[3] * height)
    part = np.array(image.resize((columns, rows), Image.Resampling.BILINEAR, box=box)).clip(0)
    return part[:, ::-1].copy() if mirrored else part
