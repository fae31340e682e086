"""How much of the subject a crop keeps: 0 is as bad as it can be placed, 1 as good.

A crop is judged only for where the largest window of a ratio is placed, so every case is a line of
positions. With ``recall`` the share of subject area kept (mean over subjects, by weight), ``faces``
the mean over faces of 1 (at least 98 % inside), half the share kept (cut) or 0 (gone), and ``room``
the recall of the subjects' boxes grown by 8 %::

    U = 0.45 recall + 0.40 faces + 0.15 room        with faces
    U = 0.85 recall + 0.15 room                     without

and the score is ``(U - worst) / (best - worst)`` over all positions, for cases where best and worst
lie at least 0.1 apart; elsewhere the place does not matter and nothing is scored.
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
WHOLE = 0.98  # share of a face inside, and it counts as whole
MATTERS = 0.1  # least distance of best and worst for a case to be scored
CLEARLY_WORSE = 0.05  # a centre crop this far below the best is "clearly worse"

Line = npt.NDArray[np.float64]


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


def window(width: int, height: int, ratio: float) -> Window:
    """The window of ``ratio`` (width by height) in a picture."""
    if width / height > ratio:
        across = min(width, max(1, round(height * ratio)))
        return Window(across, height, True, width - across + 1)
    down = min(height, max(1, round(width / ratio)))
    return Window(width, down, False, height - down + 1)


@dataclass(frozen=True)
class Subject:
    """A thing to keep: how much of it lies in each column and row, and its box."""

    box: tuple[float, float, float, float]
    weight: float
    columns: Line
    rows: Line


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
    def ratios(self) -> dict[str, tuple[Window, Line]]:
        """For each ratio the window and U at each of its positions."""
        found = {}
        for name, ratio in RATIOS.items():
            frame = window(self.width, self.height, ratio)
            found[name] = frame, utility(self, frame)
        return found


def _shares(start: float, end: float, frame: Window) -> Line:
    """Share of the stretch [start, end] inside the window, at each position."""
    length = frame.width if frame.along_x else frame.height
    at = np.arange(frame.positions, dtype=np.float64)
    kept = np.minimum(end, at + length) - np.maximum(start, at)
    return np.clip(kept, 0, None) / max(end - start, 1e-9)


def _box_shares(box: Sequence[float], frame: Window) -> Line:
    left, top, right, bottom = box
    return _shares(left, right, frame) if frame.along_x else _shares(top, bottom, frame)


def _profile_shares(profile: Line, frame: Window) -> Line:
    length = frame.width if frame.along_x else frame.height
    sums = np.concatenate(([0.0], np.cumsum(profile)))
    at = np.arange(frame.positions)
    return (sums[at + length] - sums[at]) / max(float(sums[-1]), 1e-9)


def utility(picture: Picture, frame: Window) -> Line:
    """U of the window at each of its positions."""
    total = sum(subject.weight for subject in picture.subjects) or 1.0
    recall = np.zeros(frame.positions)
    room = np.zeros(frame.positions)
    for subject in picture.subjects:
        profile = subject.columns if frame.along_x else subject.rows
        recall += subject.weight * _profile_shares(profile, frame)
        left, top, right, bottom = subject.box
        more_x, more_y = 0.08 * (right - left), 0.08 * (bottom - top)
        grown = (
            max(0.0, left - more_x),
            max(0.0, top - more_y),
            min(float(picture.width), right + more_x),
            min(float(picture.height), bottom + more_y),
        )
        room += subject.weight * _box_shares(grown, frame)
    recall, room = recall / total, room / total
    if not picture.faces:
        return 0.85 * recall + 0.15 * room
    faces = np.mean([_face(_box_shares(box, frame)) for box in picture.faces], axis=0)
    return 0.45 * recall + 0.40 * faces + 0.15 * room


def _face(kept: Line) -> Line:
    return np.where(kept >= WHOLE, 1.0, 0.5 * kept)


@dataclass(frozen=True)
class Case:
    """One picture at one ratio, and where a crop was placed in it."""

    picture: Picture
    ratio: str
    position: int
    utility: float
    best: float
    worst: float
    centre: float
    faces_cut: int
    faces_gone: int

    @property
    def matters(self) -> bool:
        """Whether the place of the window makes a difference."""
        return self.best - self.worst >= MATTERS

    @property
    def score(self) -> float:
        """0 for the worst position, 1 for the best."""
        return (self.utility - self.worst) / (self.best - self.worst)

    @property
    def centre_is_worse(self) -> bool:
        """Whether a centre crop would clearly lose something here."""
        return self.matters and self.best - self.centre >= CLEARLY_WORSE


def judge(picture: Picture, ratio: str, left: float, top: float) -> Case:
    """The case of a crop whose upper left corner, in pixels of the picture, is given."""
    frame, values = picture.ratios[ratio]
    position = min(max(round(left if frame.along_x else top), 0), frame.positions - 1)
    kept_faces = _kept_faces(picture, frame, position)
    return Case(
        picture=picture,
        ratio=ratio,
        position=position,
        utility=float(values[position]),
        best=float(values.max()),
        worst=float(values.min()),
        centre=float(values[(frame.positions - 1) // 2]),
        faces_cut=sum(0 < kept < WHOLE for kept in kept_faces),
        faces_gone=sum(kept == 0 for kept in kept_faces),
    )


def _kept_faces(picture: Picture, frame: Window, position: int) -> list[float]:
    """The share kept of each face that some position keeps whole."""
    shares = [_box_shares(box, frame) for box in picture.faces]
    return [float(kept[position]) for kept in shares if kept.max() >= WHOLE]


@dataclass(frozen=True)
class Total:
    """What a table row says; faces are shares of those that could have been kept whole or not."""

    score: float
    scored: int
    faces_cut: float
    faces_gone: float
    hard: float


def total(cases: Sequence[Case]) -> Total:
    """Means over the cases that matter; ``hard`` over those where centre is clearly worse."""
    scored = [case for case in cases if case.matters]
    hard = [case for case in scored if case.centre_is_worse]
    faces = sum(len(case.picture.faces) for case in scored)
    return Total(
        score=float(np.mean([case.score for case in scored])) if scored else 1.0,
        scored=len(scored),
        faces_cut=sum(case.faces_cut for case in scored) / max(1, faces),
        faces_gone=sum(case.faces_gone for case in scored) / max(1, faces),
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
        mask = np.asarray(canvas, dtype=np.float64)
        columns, rows = mask.sum(axis=0), mask.sum(axis=1)
    else:
        columns, rows = _stretch(left, right, width), _stretch(top, bottom, height)
    return Subject((left, top, right, bottom), float(entry["weight"]), columns, rows)


def _stretch(start: float, end: float, length: int) -> Line:
    edges = np.arange(length + 1, dtype=np.float64)
    return np.clip(np.minimum(edges[1:], end) - np.maximum(edges[:-1], start), 0, None)


def load(folder: Path) -> Iterator[Picture]:
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
