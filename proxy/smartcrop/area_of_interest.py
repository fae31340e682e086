"""The subject as one box: the area of interest, and what a crop zooms to."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from proxy.geometry import Box, Size
from proxy.smartcrop.regions import (
    OBJECT_KINDS,
    area_weight,
    estimate_body,
    select_regions,
    side_weight,
    top_kind,
    with_margin,
    x_interval,
    y_interval,
)
from proxy.smartcrop.subject import Region, Subject

Edges = tuple[float, float, float, float]
"""Left, top, right, bottom, as fractions of the picture's width and height."""

_FACE_MARGIN = (0.6, 0.7, 0.9)  # around faces that are zoomed to: sides, above, below
_MARGIN = 0.08  # around anything else, as a share of its width and height
_MAIN = 0.5  # of the largest face or object: what is smaller is not part of the subject
_CORE = 0.94  # share of the saliency that makes up the subject, when there is nothing else
_MIN_SHARE, _MAX_SHARE = 0.1, 0.9  # of a side of the picture, for an area of interest
_DEFAULT: Edges = (0.1, 0.1, 0.9, 0.9)


def area_of_interest(subject: Subject, picture: Size) -> Box:
    """The box around the subject in pixels, each side 10 % to 90 % of the picture's."""
    regions = select_regions(subject, "auto")
    left, top, right, bottom = _subject_edges(regions) if regions else _DEFAULT
    x, width = _to_pixels(left, right, picture.width)
    y, height = _to_pixels(top, bottom, picture.height)
    return Box(x, y, width, height)


def zoom_target(regions: Sequence[Region]) -> Edges:
    """What a crop at zoom 1 shows, with some margin: the most important kind of regions."""
    kind = top_kind(regions)
    if kind == "saliency":
        return _bounding_box_with_margin([_salient_core(regions)])
    weight = side_weight if kind == "face" else area_weight
    candidates = [region for region in regions if region.kind == kind]
    threshold = _MAIN * max(map(weight, candidates))
    main = [region for region in candidates if weight(region) >= threshold]
    if kind == "face":
        return bounding_box([with_margin(face, *_FACE_MARGIN) for face in main])
    return _bounding_box_with_margin(main)


def bounding_box(regions: Sequence[Region]) -> Edges:
    return (
        min(region.left for region in regions),
        min(region.top for region in regions),
        max(region.right for region in regions),
        max(region.bottom for region in regions),
    )


def _subject_edges(regions: Sequence[Region]) -> Edges:
    """The main faces with their bodies, and the main objects; else the core of the saliency."""
    kind = top_kind(regions)
    if kind == "saliency":
        return _bounding_box_with_margin([_salient_core(regions)])
    objects = [region for region in regions if region.kind in OBJECT_KINDS]
    faces = [region for region in regions if region.kind == "face"]
    main: list[Region] = []
    if faces:
        threshold = _MAIN * max(map(side_weight, faces))
        main += [estimate_body(face) for face in faces if side_weight(face) >= threshold]
    if objects:
        threshold = _MAIN * max(map(area_weight, objects))
        main += [found for found in objects if area_weight(found) >= threshold]
    return bounding_box(main)


def _bounding_box_with_margin(regions: Sequence[Region]) -> Edges:
    return bounding_box([with_margin(region, _MARGIN, _MARGIN, _MARGIN) for region in regions])


def _salient_core(regions: Sequence[Region]) -> Region:
    """The box that holds the middle of the saliency on both axes."""
    salient = [region for region in regions if region.kind == "saliency"]
    left, right = _core_interval([(*x_interval(region), region.weight) for region in salient])
    top, bottom = _core_interval([(*y_interval(region), region.weight) for region in salient])
    return Region(left, top, right, bottom, 1.0, "saliency")


def _core_interval(intervals: Sequence[tuple[float, float, float]]) -> tuple[float, float]:
    """The quantiles that have `_CORE` of the weight between them, and equal rests outside.

    An interval is start, end and weight; its weight is spread evenly over it.
    """
    total = sum(weight for _, _, weight in intervals)
    edges = sorted({edge for start, end, _ in intervals for edge in (start, end)})
    cumulative = [
        sum(w * min(max((edge - s) / (e - s), 0.0), 1.0) for s, e, w in intervals) / total
        for edge in edges
    ]

    def quantile(share: float) -> float:
        for (edge, below), (next_edge, next_below) in pairwise(zip(edges, cumulative, strict=True)):
            if next_below >= share:
                return edge + (next_edge - edge) * (share - below) / max(next_below - below, 1e-9)
        return edges[-1]

    return quantile((1 - _CORE) / 2), quantile((1 + _CORE) / 2)


def _to_pixels(start: float, end: float, length: int) -> tuple[int, int]:
    """Start and extent in pixels, within the bounds of an area of interest."""
    extent = min(max(end - start, _MIN_SHARE), _MAX_SHARE)
    center = min(max((start + end) / 2, extent / 2), 1 - extent / 2)
    pixels = max(1, round(extent * length))
    return min(max(0, round((center - extent / 2) * length)), length - pixels), pixels
