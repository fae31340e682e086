"""The eye: looks at a picture once, and says where its subject is.

Faces come from an ONNX model where there is one, else from the nets that are built in; people,
animals and objects from an ONNX model or not at all; saliency always. What is handed on is boxes
and how much they count: nothing that tells one face from another is ever worked out.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyvips

from proxy.smartcrop import mtcnn, mtcnn_weights, onnx, saliency, yolox, yunet
from proxy.smartcrop.models import ModelsConfig
from proxy.smartcrop.nms import Rows, apart
from proxy.smartcrop.subject import Evidence, Focus, Region

Pixels = npt.NDArray[np.uint8]
Detector = Callable[[Pixels], Rows]

PREVIEW = 640  # px of the longer side; the built-in nets were tuned at it
LEAST_SIDE = 16  # px; nothing can be made out in less
BEHIND = 128  # grey seen through transparent places
MOST_FACES = 16
MOST_THINGS = 24
DOUBT = 0.6  # the confidence below which both face detectors are mostly wrong
SAME = 0.5  # overlap from which two frames show the same thing
DIGITS = 4

log = logging.getLogger(__name__)


class Eye:
    """Detectors, loaded when first needed, then kept; what isn't installed is done without."""

    def __init__(self, models: ModelsConfig | None = None) -> None:
        self._models = models or ModelsConfig()

    def load(self) -> None:
        """Load the detectors now, so that no picture waits for them, and copies share them.

        Raises ValueError when a file is there but is not what it should be.
        """
        _ = self._faces, self._things

    def look(self, *frames: pyvips.Image) -> Focus:
        """The evidence in upright 8-bit sRGB frames of equal size: what any of them shows.

        They have three bands, or four with alpha.
        """
        if min(frames[0].width, frames[0].height) < LEAST_SIDE:
            return Focus()
        previews = [_preview(frame) for frame in frames]
        height, width = previews[0][0].shape[:2]
        if min(width, height) < LEAST_SIDE:
            return Focus()
        pixels = [preview for preview, _ in previews]
        found = [
            *_regions([_face(row) for row in self._faces_in(pixels)], width, height),
            *_regions([_thing(row) for row in self._things_in(pixels)], width, height),
            *_salient(previews),
        ]
        return Focus(tuple(found))

    def _faces_in(self, frames: Sequence[Pixels]) -> Rows:
        if self._faces is None:
            return np.empty((0, 5), np.float32)
        rows = np.concatenate([self._faces(frame)[:MOST_FACES] for frame in frames])
        return _once(rows)[:MOST_FACES]

    def _things_in(self, frames: Sequence[Pixels]) -> Rows:
        if self._things is None:
            return np.empty((0, 6), np.float32)
        rows = np.concatenate([self._things(frame) for frame in frames])
        kinds = [_once(rows[rows[:, 5] == kind]) for kind in np.unique(rows[:, 5])]
        rows = np.concatenate([rows[:0], *kinds])
        return rows[np.argsort(-rows[:, 4], kind="stable")][:MOST_THINGS]

    @cached_property
    def _faces(self) -> Detector | None:
        path = self._model(self._models.face_file)
        if path is not None:
            return yunet.Faces(path)
        folder = mtcnn_weights.wheel_folder()
        if folder is None:
            log.warning("the mtcnn package is not installed: faces are not looked for")
            return None
        return mtcnn.Faces(folder)

    @cached_property
    def _things(self) -> Detector | None:
        path = self._model(self._models.object_file)
        return None if path is None else yolox.Things(path)

    def _model(self, name: str) -> Path | None:
        """Where an optional model lies, if it can be used."""
        path = next((path for path in self._models.installed_files() if path.name == name), None)
        if path is not None and not onnx.available():
            log.warning("%s is there, but onnxruntime is not installed", name)
            return None
        return path


def _preview(image: pyvips.Image) -> tuple[Pixels, Pixels | None]:
    """RGB of at most PREVIEW pixels a side, and the alpha plane where there is one."""
    scale = min(1.0, PREVIEW / max(image.width, image.height))
    if scale < 1:
        image = image.thumbnail_image(PREVIEW, height=PREVIEW, size="down")
    alpha = None
    if image.hasalpha():
        alpha = image[image.bands - 1].numpy()
        image = image.flatten(background=[BEHIND])
    return np.ascontiguousarray(image.numpy().reshape(image.height, image.width, 3)), alpha


def _once(rows: Rows) -> Rows:
    """Rows of several frames, the surest first, each thing once."""
    rows = rows[np.argsort(-rows[:, 4], kind="stable")]
    return rows[apart(rows, SAME)]


Found = tuple[list[float], float, Evidence]
"""A box in pixels of the preview, its weight, and what it is evidence of."""


def _face(row: Rows) -> Found:
    return row[:4].tolist(), (float(row[4]) - DOUBT) / (1 - DOUBT), "face"


def _thing(row: Rows) -> Found:
    kind, likely = yolox.meaning(int(row[5]))
    return row[:4].tolist(), float(row[4]) * likely, kind


def _regions(found: Iterable[Found], width: int, height: int) -> list[Region]:
    """What was found as regions in shares of the picture; what lies outside is cut off."""
    regions = []
    for (left, top, right, bottom), weight, kind in found:
        region = Region(
            _share(left, width),
            _share(top, height),
            _share(right, width),
            _share(bottom, height),
            round(weight, DIGITS),
            kind,
        )
        if region.left < region.right and region.top < region.bottom and region.weight > 0:
            regions.append(region)
    return regions


def _share(value: float, length: int) -> float:
    return round(min(max(value / length, 0.0), 1.0), DIGITS)


def _salient(previews: Sequence[tuple[Pixels, Pixels | None]]) -> list[Region]:
    """The saliency of all frames together; transparent places have none."""
    maps = [saliency.salience(*preview) for preview in previews]
    shown = [grid for grid in maps if grid is not None]
    if not shown:
        return []
    return saliency.regions(np.mean(shown, axis=0))
