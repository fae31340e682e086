"""Place a crop: the window of a given aspect ratio that keeps most of the subject.

A subject is weighed once (`proxy.smartcrop.evidence`). From that come the area of interest, the
crop at the subject's own aspect ratio, and for each ratio the window: it contains the area of
interest where it is large enough, and of the places where it does, it takes the one with the most
evidence. Only regions are read, not pixels, so one detection serves all sizes and aspect ratios,
and equal regions give equal crops.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from math import sqrt

from msgspec import Struct

from proxy.geometry import Box, Size, anchor, largest_window
from proxy.smartcrop.area_of_interest import (
    area_in_pixels,
    area_with_margin,
    core_in_pixels,
    faces_to_zoom_to,
    head_and_shoulders,
)
from proxy.smartcrop.axis import AxisProfile
from proxy.smartcrop.edges import Edges
from proxy.smartcrop.evidence import Evidence, weigh
from proxy.smartcrop.focus import parse_focus
from proxy.smartcrop.regions import CropReason, select_regions, top_kind
from proxy.smartcrop.subject import Subject

_MIN_RATIO, _MAX_RATIO = 0.5, 2.0  # width by height, when the caller asks for no ratio

_SMALL = 256  # pixels of the mean side of a result, below which it zooms in by default
_MAX_DEFAULT_ZOOM = 3.0  # by which the window is smaller than the largest one, at most
_DISTANT = 0.4  # of the window's side; a subject that is longer needs no default zoom
_LEGIBLE_SHARE = 0.5  # of the window's side that a distant subject may fill after it


class Placement(Struct, frozen=True):
    """Where to crop, in pixels, and the most important kind of region that decided it."""

    box: Box
    reason: CropReason


def place_crop(
    subject: Subject,
    picture: Size,
    target: Size,
    focus: str = "auto",
    zoom: float | None = 0.0,
) -> Placement:
    """Place the window of the target's aspect ratio so that it keeps the subject.

    It is the largest window that fits, or smaller by ``zoom``: from 0 to 1 it shrinks around the
    subject, at 1 to the subject with some margin, but never below the target's own size. Without
    ``zoom`` it shrinks where the target is so small that the subject could not be seen, see
    `max_default_zoom`. ``focus`` selects the kind of regions, see `select_regions`; without any,
    the window is centered.
    """
    return _CropPlacer(subject, picture, focus).crop(target, zoom)


def place_crops(subject: Subject, picture: Size, targets: Sequence[Size]) -> tuple[Placement, ...]:
    """Place a crop for each target, in their order."""
    placer = _CropPlacer(subject, picture, "auto")
    return tuple(placer.crop(target, 0.0) for target in targets)


def place_window(subject: Subject, picture: Size, window: Size, focus: str = "auto") -> Placement:
    """Place a window of exactly this size, which is no larger than the picture."""
    return _CropPlacer(subject, picture, focus).window(window)


def area_of_interest(subject: Subject, picture: Size) -> Box:
    """The box around the subject in pixels; without a subject, the middle of the picture."""
    return area_in_pixels(weigh(subject.regions), picture)


def best_crop(subject: Subject, picture: Size) -> Placement:
    """Crop to the area of interest at a ratio between its own and the picture's, 1:2 to 2:1."""
    area = area_of_interest(subject, picture)
    ratio = sqrt(area.width / area.height * picture.width / picture.height)
    ratio = min(max(ratio, _MIN_RATIO), _MAX_RATIO)
    width = min(picture.width, max(area.width, round(area.height * ratio)))
    height = min(picture.height, max(area.height, round(area.width / ratio)))
    width, height = min(width, int(height * _MAX_RATIO)), min(height, int(width / _MIN_RATIO))
    window = Size(max(1, width), max(1, height))
    left = area.left + (area.width - window.width) // 2
    top = area.top + (area.height - window.height) // 2
    box = Box(
        min(max(0, left), picture.width - window.width),
        min(max(0, top), picture.height - window.height),
        window.width,
        window.height,
    )
    regions = select_regions(subject, "auto")
    return Placement(box, top_kind(regions) if regions else "center")


def max_default_zoom(target: Size) -> float:
    """By how much a crop of this size may be smaller than the largest window, without ``zoom``.

    1 for a mean side of 256 pixels or more; a result of half that side may show a window of half
    the side, and so on, down to a third.
    """
    return min(max(_SMALL / sqrt(target.pixels), 1.0), _MAX_DEFAULT_ZOOM)


class _CropPlacer:
    """A subject in a picture, weighed once for all windows."""

    def __init__(self, subject: Subject, picture: Size, focus: str) -> None:
        self._regions = select_regions(subject, focus)
        self._picture = picture
        self._focus = focus
        self._evidence = weigh(self._regions)
        is_faces = parse_focus(focus).keys() == {"face"}
        if is_faces and any(each.kind == "face" for each in self._evidence):
            self._evidence = [each for each in self._evidence if each.kind == "face"]

    def crop(self, target: Size, zoom: float | None) -> Placement:
        largest = largest_window(self._picture, target)
        if not self._evidence:
            return self._centered(largest)
        if zoom is None:
            return self._default_zoom(largest, target)
        return self._zoom(largest, target, zoom) if zoom else self.window(largest)

    def window(self, window: Size) -> Placement:
        if not self._evidence:
            return self._centered(window)
        return self._place(window, self._evidence, self._area)

    def _default_zoom(self, largest: Size, target: Size) -> Placement:
        """Zoom in as far as a small target asks for, and no farther than the subject does."""
        limit = max(1 / max_default_zoom(target), target.width / largest.width)
        core = core_in_pixels(self._evidence, self._picture) if limit < 1 else None
        if core is None:
            return self.window(largest)
        extent = max(core.width / largest.width, core.height / largest.height)
        if extent > _DISTANT:
            return self.window(largest)
        scale = max(limit, extent / _LEGIBLE_SHARE)
        return self._place(_scale_size(largest, scale), self._evidence, core)

    def _zoom(self, largest: Size, target: Size, zoom: float) -> Placement:
        faces = faces_to_zoom_to(self._evidence)
        edges = head_and_shoulders(faces) if faces else area_with_margin(self._evidence)
        tightest = max(
            edges.width * self._picture.width / largest.width,
            edges.height * self._picture.height / largest.height,
            target.width / largest.width,
        )
        # Equal steps of zoom shrink the window by equal factors.
        window = _scale_size(largest, min(1.0, tightest) ** zoom)
        return self._place(window, faces or self._evidence, _to_box(edges.clip(), self._picture))

    def _place(self, window: Size, evidence: Sequence[Evidence], keep: Box) -> Placement:
        """Place a window that contains ``keep`` on each axis on which it is large enough."""
        picture = self._picture
        x, y = (
            (self._x, self._y)
            if evidence is self._evidence
            else (AxisProfile(evidence, vertical=False), AxisProfile(evidence, vertical=True))
        )
        box = Box(
            x.best_start(picture.width, window.width, (keep.left, keep.left + keep.width)),
            y.best_start(picture.height, window.height, (keep.top, keep.top + keep.height)),
            window.width,
            window.height,
        )
        return Placement(box, top_kind(self._regions))

    def _centered(self, window: Size) -> Placement:
        return Placement(anchor(window, self._picture, 0.5, 0.5), "center")

    @cached_property
    def _area(self) -> Box:
        return area_in_pixels(self._evidence, self._picture)

    @cached_property
    def _x(self) -> AxisProfile:
        return AxisProfile(self._evidence, vertical=False)

    @cached_property
    def _y(self) -> AxisProfile:
        return AxisProfile(self._evidence, vertical=True)


def _to_box(edges: Edges, picture: Size) -> Box:
    left, top = round(edges.left * picture.width), round(edges.top * picture.height)
    right, bottom = round(edges.right * picture.width), round(edges.bottom * picture.height)
    return Box(left, top, max(1, right - left), max(1, bottom - top))


def _scale_size(size: Size, scale: float) -> Size:
    return Size(max(1, round(size.width * scale)), max(1, round(size.height * scale)))
