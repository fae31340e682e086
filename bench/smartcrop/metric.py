"""Score how much of the subject a crop contains: 0 is the worst position, 1 the best.

Only the position of the largest window of an aspect ratio is scored, so each case is a line of
positions. ``recall`` is the share of the subjects' area inside (mean over subjects, by weight),
``faces`` the mean over faces of 1 (at least 98 % inside), half the share inside (cut) or 0 (lost),
and ``margin`` the recall of the subjects' boxes enlarged by 8 %. The utility is::

    U = 0.45 recall + 0.40 faces + 0.15 margin      with faces
    U = 0.85 recall + 0.15 margin                   without

and the score is ``(U - worst) / (best - worst)`` over all positions, for cases where best and worst
differ by at least 0.1; in the others the position does not matter, and they are not scored.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

RATIOS: Mapping[str, float] = {
    "1:1": 1.0,
    "4:3": 4 / 3,
    "16:9": 16 / 9,
    "3:4": 3 / 4,
    "1.91:1": 1.91,
    "9:16": 9 / 16,
}
WHOLE = 0.98  # share of a face inside from which it counts as whole
MIN_RANGE = 0.1  # between best and worst, for a case to be scored
CLEARLY_WORSE = 0.05  # below the best utility

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Window:
    """The largest window of a ratio in a picture; it slides along one axis, by whole pixels."""

    width: int
    height: int
    along_x: bool
    positions: int

    def box(self, position: int) -> tuple[int, int, int, int]:
        """Left, top, right, bottom of the window at a position."""
        left, top = (position, 0) if self.along_x else (0, position)
        return left, top, left + self.width, top + self.height


def largest_window(width: int, height: int, ratio: float) -> Window:
    """The largest window of ``ratio`` (width by height) in a picture."""
    if width / height > ratio:
        window_width = min(width, max(1, round(height * ratio)))
        return Window(window_width, height, True, width - window_width + 1)
    window_height = min(height, max(1, round(width / ratio)))
    return Window(width, window_height, False, height - window_height + 1)


@dataclass(frozen=True)
class Subject:
    """An annotated object: its box, its weight, and its pixels in each column and row.

    ``mask`` is 1 for its pixels, None where only its box is known.
    """

    box: tuple[float, float, float, float]
    weight: float
    columns: Values
    rows: Values
    mask: npt.NDArray[np.uint8] | None = None

    def share_inside(self, box: tuple[float, float, float, float]) -> float:
        """The share of its pixels inside a box."""
        if self.mask is not None:
            left, top, right, bottom = (max(0, round(edge)) for edge in box)
            return float(self.mask[top:bottom, left:right].sum()) / max(1, int(self.mask.sum()))
        width = min(self.box[2], box[2]) - max(self.box[0], box[0])
        height = min(self.box[3], box[3]) - max(self.box[1], box[1])
        size = (self.box[2] - self.box[0]) * (self.box[3] - self.box[1])
        return max(0.0, width) * max(0.0, height) / max(size, 1e-9)


@dataclass(frozen=True)
class Picture:
    """One annotated photograph."""

    id: str
    path: Path
    width: int
    height: int
    category: str
    subjects: tuple[Subject, ...]
    faces: tuple[tuple[float, float, float, float], ...]

    @cached_property
    def windows(self) -> dict[str, tuple[Window, Values]]:
        """For each ratio the window and the utility at each of its positions."""
        windows = {}
        for name, ratio in RATIOS.items():
            window = largest_window(self.width, self.height, ratio)
            windows[name] = window, utility(self, window)
        return windows


def _shares(start: float, end: float, window: Window) -> Values:
    """Share of the interval [start, end] inside the window, at each position."""
    length = window.width if window.along_x else window.height
    offsets = np.arange(window.positions, dtype=np.float64)
    inside = np.minimum(end, offsets + length) - np.maximum(start, offsets)
    return np.clip(inside, 0, None) / max(end - start, 1e-9)


def _box_shares(box: Sequence[float], window: Window) -> Values:
    left, top, right, bottom = box
    return _shares(left, right, window) if window.along_x else _shares(top, bottom, window)


def _profile_shares(profile: Values, window: Window) -> Values:
    length = window.width if window.along_x else window.height
    sums = np.concatenate(([0.0], np.cumsum(profile)))
    offsets = np.arange(window.positions)
    return (sums[offsets + length] - sums[offsets]) / max(float(sums[-1]), 1e-9)


def utility(picture: Picture, window: Window) -> Values:
    """The utility of the window at each of its positions."""
    total = sum(subject.weight for subject in picture.subjects) or 1.0
    recall = np.zeros(window.positions)
    margin = np.zeros(window.positions)
    for subject in picture.subjects:
        profile = subject.columns if window.along_x else subject.rows
        recall += subject.weight * _profile_shares(profile, window)
        left, top, right, bottom = subject.box
        margin_x, margin_y = 0.08 * (right - left), 0.08 * (bottom - top)
        enlarged = (
            max(0.0, left - margin_x),
            max(0.0, top - margin_y),
            min(float(picture.width), right + margin_x),
            min(float(picture.height), bottom + margin_y),
        )
        margin += subject.weight * _box_shares(enlarged, window)
    recall, margin = recall / total, margin / total
    if not picture.faces:
        return 0.85 * recall + 0.15 * margin
    faces = np.mean([_face_utility(_box_shares(box, window)) for box in picture.faces], axis=0)
    return 0.45 * recall + 0.40 * faces + 0.15 * margin


def _face_utility(inside: Values) -> Values:
    return np.where(inside >= WHOLE, 1.0, 0.5 * inside)


@dataclass(frozen=True)
class Case:
    """One picture at one ratio, and the position of a crop in it."""

    picture: Picture
    ratio: str
    position: int
    utility: float
    best: float
    worst: float
    center: float
    faces_cut: int
    faces_lost: int

    @property
    def is_scored(self) -> bool:
        """Whether the position of the window makes a difference."""
        return self.best - self.worst >= MIN_RANGE

    @property
    def score(self) -> float:
        """0 for the worst position, 1 for the best."""
        return (self.utility - self.worst) / (self.best - self.worst)

    @property
    def center_is_worse(self) -> bool:
        """Whether a centered crop clearly loses something here."""
        return self.is_scored and self.best - self.center >= CLEARLY_WORSE


def score_crop(picture: Picture, ratio: str, left: float, top: float) -> Case:
    """Score a crop by its upper left corner, in pixels of the picture."""
    window, values = picture.windows[ratio]
    position = min(max(round(left if window.along_x else top), 0), window.positions - 1)
    inside = _shares_of_faces(picture, window, position)
    return Case(
        picture=picture,
        ratio=ratio,
        position=position,
        utility=float(values[position]),
        best=float(values.max()),
        worst=float(values.min()),
        center=float(values[(window.positions - 1) // 2]),
        faces_cut=sum(0 < share < WHOLE for share in inside),
        faces_lost=sum(share == 0 for share in inside),
    )


def _shares_of_faces(picture: Picture, window: Window, position: int) -> list[float]:
    """The share inside of each face that is whole at some position."""
    shares = [_box_shares(box, window) for box in picture.faces]
    return [float(share[position]) for share in shares if share.max() >= WHOLE]


@dataclass(frozen=True)
class Summary:
    """The values of a table row; faces are shares of all faces in scored cases."""

    score: float
    scored: int
    faces_cut: float
    faces_lost: float
    hard: float


def summarize(cases: Sequence[Case]) -> Summary:
    """Means over the scored cases; ``hard`` over those where a centered crop is clearly worse."""
    scored = [case for case in cases if case.is_scored]
    hard = [case for case in scored if case.center_is_worse]
    faces = sum(len(case.picture.faces) for case in scored)
    return Summary(
        score=float(np.mean([case.score for case in scored])) if scored else 1.0,
        scored=len(scored),
        faces_cut=sum(case.faces_cut for case in scored) / max(1, faces),
        faces_lost=sum(case.faces_lost for case in scored) / max(1, faces),
        hard=float(np.mean([case.score for case in hard])) if hard else 1.0,
    )


def _subject(entry: Mapping[str, Any], width: int, height: int) -> Subject:
    left, top, right, bottom = (float(value) for value in entry["box"])
    canvas = Image.new("L", (width, height), 0)
    draw = ImageDraw.Draw(canvas)
    if entry.get("poly"):
        for outline in entry["poly"]:
            draw.polygon(
                [(float(x), float(y)) for x, y in zip(outline[::2], outline[1::2], strict=True)],
                fill=1,
            )
        mask = np.asarray(canvas, dtype=np.uint8)
        columns, rows = mask.sum(axis=0, dtype=np.float64), mask.sum(axis=1, dtype=np.float64)
    else:
        mask = None
        columns, rows = _overlap(left, right, width), _overlap(top, bottom, height)
    return Subject((left, top, right, bottom), float(entry["weight"]), columns, rows, mask)


def _overlap(start: float, end: float, length: int) -> Values:
    edges = np.arange(length + 1, dtype=np.float64)
    return np.clip(np.minimum(edges[1:], end) - np.maximum(edges[:-1], start), 0, None)


def load_set(folder: Path) -> Iterator[Picture]:
    """The pictures of an annotated set (``annotations.json``, format ``smartcrop-eval/1``)."""
    for entry in json.loads((folder / "annotations.json").read_text())["images"]:
        width, height = entry["w"], entry["h"]
        yield Picture(
            id=entry["id"],
            path=folder / entry["file"],
            width=width,
            height=height,
            category=entry["category"],
            subjects=tuple(_subject(subject, width, height) for subject in entry["subjects"]),
            faces=tuple(tuple(map(float, face["box"])) for face in entry["faces"]),
        )
