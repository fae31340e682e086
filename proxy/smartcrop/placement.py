"""Place a crop: the window of a given aspect ratio that keeps most of the subject.

For each offset of the window along an axis, the shares of all regions inside it are added up, each
with the weight of its kind. The offset with the highest score wins; among equals, the one nearest
to the center of the regions. Only regions are read, not pixels, so one detection serves all sizes
and aspect ratios, and equal regions give equal crops.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec import Struct

from proxy.geometry import Box, Size, anchor, largest_window
from proxy.smartcrop.area_of_interest import Edges, area_of_interest, zoom_target
from proxy.smartcrop.regions import (
    OBJECT_KINDS,
    CropReason,
    FocusOption,
    area_weight,
    estimate_body,
    mean_side,
    select_regions,
    side_weight,
    top_kind,
    with_margin,
    x_interval,
    y_interval,
)
from proxy.smartcrop.subject import Region, Subject

_FACE_VALUE, _BODY_VALUE, _OBJECT_VALUE, _SALIENCY_VALUE = 2.0, 0.25, 1.0, 1.0
"""Score of a window that holds everything of a kind; people and animals are objects here."""

# Detectors find the edge of a face to about a tenth of its width, and hair, hat and chin need
# space: a window with more space around a face scores higher. As shares of the face: at the sides
# and below, above.
_FACE_MARGINS: tuple[tuple[float, float], ...] = ((0.05, 0.05), (0.15, 0.25), (0.3, 0.5))
_FULL_SIZE_FACE = 0.1  # of the picture's mean side; smaller faces score less
_CUT_FACTOR = 0.5  # score of a cut face, relative to a whole one
_WHOLE = 0.995  # share of a face from which it counts as whole
_CENTER_PENALTY = 0.02  # for a distance of one picture from the center of the regions
_MAX_OFFSETS = 128  # that are tried along an axis
_MIN_RATIO, _MAX_RATIO = 0.5, 2.0  # width by height, when the caller asks for no ratio


class Placement(Struct, frozen=True):
    """Where to crop, in pixels, and the most important kind of region that decided it."""

    box: Box
    reason: CropReason


class Interval(Struct, frozen=True):
    """A region along one axis, in fractions; with ``indivisible`` its parts are worth less."""

    start: float
    end: float
    value: float
    indivisible: bool = False


WeightedRegions = list[tuple[Region, float]]


def place_crop(
    subject: Subject,
    picture: Size,
    target: Size,
    focus: FocusOption = "auto",
    zoom: float | None = None,
) -> Placement:
    """Place the window of the target's aspect ratio so that it keeps the subject.

    It is the largest window that fits, or smaller by ``zoom``: from 0 to 1 it shrinks around the
    subject, at 1 to the subject with some margin, but never below the target's own size. ``focus``
    selects the kind of regions, see `select_regions`; without any, the window is centered.
    """
    regions = select_regions(subject, focus)
    window = largest_window(picture, target)
    if not regions:
        return Placement(anchor(window, picture, 0.5, 0.5), "center")
    keep_x = keep_y = None
    if zoom:
        edges = zoom_target(regions)
        window = _interpolate_zoom(window, _tightest(edges, picture, target, window), zoom)
        keep_x, keep_y = (edges[0], edges[2]), (edges[1], edges[3])
    box = Box(
        _best_offset(_intervals(regions, x_interval), picture.width, window.width, keep_x),
        _best_offset(_intervals(regions, y_interval), picture.height, window.height, keep_y),
        window.width,
        window.height,
    )
    return Placement(box, top_kind(regions))


def place_window(
    subject: Subject, picture: Size, window: Size, focus: FocusOption = "auto"
) -> Placement:
    """Place a window of exactly this size, which is no larger than the picture."""
    regions = select_regions(subject, focus)
    if not regions:
        return Placement(anchor(window, picture, 0.5, 0.5), "center")
    box = Box(
        _best_offset(_intervals(regions, x_interval), picture.width, window.width, None),
        _best_offset(_intervals(regions, y_interval), picture.height, window.height, None),
        window.width,
        window.height,
    )
    return Placement(box, top_kind(regions))


def place_crops(subject: Subject, picture: Size, targets: Sequence[Size]) -> tuple[Placement, ...]:
    """Place a crop for each target, in their order."""
    return tuple(place_crop(subject, picture, target) for target in targets)


def best_crop(subject: Subject, picture: Size) -> Placement:
    """Crop to the subject at its own aspect ratio, between 1:2 and 2:1."""
    area = area_of_interest(subject, picture)
    ratio = min(max(area.width / area.height, _MIN_RATIO), _MAX_RATIO)
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


def _intervals(
    regions: Sequence[Region], interval_of: Callable[[Region], tuple[float, float]]
) -> list[Interval]:
    """The regions along one axis, with their values."""
    faces = _weigh_faces([region for region in regions if region.kind == "face"])
    objects = [(region, area_weight(region)) for region in regions if region.kind in OBJECT_KINDS]
    salient = [(region, region.weight) for region in regions if region.kind == "saliency"]
    has_people = any(region.kind == "person" for region, _ in objects)
    bodies = [] if has_people else [(estimate_body(face), weight) for face, weight in faces]
    valued = [
        *_scale(_OBJECT_VALUE, _normalize(objects)),
        *_scale(_SALIENCY_VALUE, _normalize(salient)),
        *_scale(_BODY_VALUE, bodies),
    ]
    for sides, above in _FACE_MARGINS:
        grown = [(with_margin(face, sides, above, sides), weight) for face, weight in faces]
        valued += _scale(_FACE_VALUE / len(_FACE_MARGINS), grown)
    merged: dict[tuple[float, float, bool], float] = {}
    for region, value in valued:
        key = (*interval_of(region), region.kind == "face")
        merged[key] = merged.get(key, 0.0) + value
    return [Interval(start, end, value, whole) for (start, end, whole), value in merged.items()]


def _weigh_faces(faces: Sequence[Region]) -> WeightedRegions:
    """Give each face a weight; they add up to 1, or less when none is both certain and large.

    A doubtful or very small face is no reason to lose the rest, and the larger a face, the more the
    picture is about it.
    """
    certainty = sum(face.weight * min(1.0, mean_side(face) / _FULL_SIZE_FACE) for face in faces)
    total = sum(map(side_weight, faces))
    return [(face, min(1.0, certainty) * side_weight(face) / total) for face in faces if total > 0]


def _normalize(weighted: WeightedRegions) -> WeightedRegions:
    """Scale the weights so that they add up to 1."""
    total = sum(weight for _, weight in weighted)
    return [(region, weight / total) for region, weight in weighted if weight > 0]


def _scale(factor: float, weighted: WeightedRegions) -> WeightedRegions:
    return [(region, factor * weight) for region, weight in weighted]


def _best_offset(
    intervals: Sequence[Interval], length: int, window: int, keep: tuple[float, float] | None
) -> int:
    """The best start of a window along an axis; ``length`` and ``window`` are pixels.

    The window contains ``keep`` (start and end as fractions), as far as it can.
    """
    first, last = 0, length - window
    if keep is not None:
        first = min(last, max(0, round(keep[1] * length) - window))
        last = max(first, min(last, round(keep[0] * length)))
    if first == last:
        return first
    share = window / length
    total = sum(interval.value for interval in intervals) or 1.0
    center = sum(each.value * (each.start + each.end) / 2 for each in intervals) / total
    steps = min(last - first, _MAX_OFFSETS)
    best, best_score = first, float("-inf")
    for step in range(steps + 1):
        start = first + (last - first) * step // steps
        score = _score(intervals, start / length, share)
        score -= _CENTER_PENALTY * abs((start + window / 2) / length - center)
        if score > best_score:
            best, best_score = start, score
    return best


def _score(intervals: Sequence[Interval], start: float, share: float) -> float:
    """The value inside a window from ``start`` that covers ``share`` of the axis."""
    end = start + share
    score = 0.0
    for interval in intervals:
        low = max(start, interval.start)
        high = min(end, interval.end)
        if high > low:
            inside = (high - low) / (interval.end - interval.start)
            if interval.indivisible and inside < _WHOLE:
                inside *= _CUT_FACTOR
            score += interval.value * inside
    return score


def _tightest(subject: Edges, picture: Size, target: Size, window: Size) -> Size:
    """The smallest window that shows the subject, at least as large as the target if it can be."""
    left, top, right, bottom = subject
    scale = max(
        (right - left) * picture.width / window.width,
        (bottom - top) * picture.height / window.height,
        target.width / window.width,
    )
    return _scale_size(window, min(1.0, scale))


def _interpolate_zoom(window: Size, tightest: Size, zoom: float) -> Size:
    """From ``window`` at 0 to ``tightest`` at 1; equal steps shrink by equal factors."""
    return _scale_size(window, (tightest.width / window.width) ** zoom)


def _scale_size(size: Size, scale: float) -> Size:
    return Size(max(1, round(size.width * scale)), max(1, round(size.height * scale)))
