"""Score boxes around a subject: the area of interest, and the crop that no ratio was asked for.

The main subjects of a picture are those with the highest weight. A box is bad where it keeps less
than half of one of them, where it cuts a face, or where it is a speck: less than 5 % of the
picture, beside a main subject that is three times as large.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from metric import WHOLE, Picture

Corners = tuple[float, float, float, float]
"""Left, top, right, bottom, in pixels."""

_SPECK = 0.05  # of the picture
_SPECK_FACTOR = 3.0
_TOUCHED = 0.02  # share of a face from which it is cut and not lost
_MIN_RATIO, _MAX_RATIO = 0.51, 1.97  # beyond, a box was pressed to 1:2 or 2:1


@dataclass(frozen=True)
class AreaScore:
    """What a box keeps of one picture, and how much of the picture it is.

    ``overlap`` is its intersection over union with the bounding box of the main subjects.
    """

    kept: float
    faces_cut: int
    is_speck: bool
    is_pressed: bool
    overlap: float
    share: float


def score_area(picture: Picture, box: Corners) -> AreaScore:
    """Score a box in a picture."""
    most = max(subject.weight for subject in picture.subjects)
    main = [subject for subject in picture.subjects if subject.weight == most]
    around = _bounding_box([subject.box for subject in main])
    inside = _intersection(around, box)
    share = _size(box) / (picture.width * picture.height)
    faces = [_intersection(face, box) / max(_size(face), 1e-9) for face in picture.faces]
    return AreaScore(
        kept=min(subject.share_inside(box) for subject in main),
        faces_cut=sum(_TOUCHED < kept < WHOLE for kept in faces),
        is_speck=share < _SPECK
        and max(_size(subject.box) for subject in main) >= _SPECK_FACTOR * _size(box),
        is_pressed=not _MIN_RATIO < (box[2] - box[0]) / max(box[3] - box[1], 1e-9) < _MAX_RATIO,
        overlap=inside / max(_size(around) + _size(box) - inside, 1e-9),
        share=share,
    )


@dataclass(frozen=True)
class AreaSummary:
    """Numbers of pictures, and means over all."""

    half_lost: int
    faces_cut: int
    specks: int
    pressed: int
    overlap: float
    share: float


def summarize_areas(scores: Sequence[AreaScore]) -> AreaSummary:
    return AreaSummary(
        half_lost=sum(score.kept < 0.5 for score in scores),
        faces_cut=sum(score.faces_cut > 0 for score in scores),
        specks=sum(score.is_speck for score in scores),
        pressed=sum(score.is_pressed for score in scores),
        overlap=float(np.mean([score.overlap for score in scores])),
        share=float(np.mean([score.share for score in scores])),
    )


def loses_area(area: Corners, window: Corners) -> bool:
    """Whether a window that is large enough for the area leaves out more than a tenth of it."""
    fits = area[2] - area[0] <= window[2] - window[0] and area[3] - area[1] <= window[3] - window[1]
    return fits and _intersection(area, window) < 0.9 * _size(area)


def _bounding_box(boxes: Sequence[Corners]) -> Corners:
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def _intersection(one: Corners, other: Corners) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(0.0, width) * max(0.0, height)


def _size(box: Corners) -> float:
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])
