"""Regions of a subject: which of them count for a crop, how much, and how far they reach.

Fractions (0 to 1) are of the picture's width and height.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import sqrt
from typing import Literal

from msgspec import structs

from proxy.smartcrop.focus import KIND_PRIORITY, kind_of, parse_focus
from proxy.smartcrop.subject import Region, RegionKind, Subject

FocusOption = Literal["auto", "face", "person", "animal", "object", "saliency", "center"]
CropReason = RegionKind | Literal["center"]

OBJECT_KINDS: frozenset[RegionKind] = frozenset(("person", "animal", "object"))

_BODY_WIDTH, _BODY_HEIGHT = 3.0, 7.0  # of a standing person, in widths and heights of the face


def select_regions(subject: Subject, focus: str) -> tuple[Region, ...]:
    """The regions that a crop with this focus goes by, weighed as it says.

    Without any of them, those of the same kinds and of the kinds after these in `KIND_PRIORITY`. A
    face counts as a person, too.
    """
    if focus == "center":
        return ()
    if focus == "auto":
        return subject.regions
    weights = parse_focus(focus)
    selected = tuple(
        region if weight == 1 else structs.replace(region, weight=region.weight * weight)
        for region in subject.regions
        if (weight := _weight_in(weights, region)) > 0
    )
    first = min(KIND_PRIORITY.index(kind_of(name)) for name in weights)
    fallback = KIND_PRIORITY[first:]
    return selected or tuple(region for region in subject.regions if region.kind in fallback)


def _weight_in(weights: Mapping[str, float], region: Region) -> float:
    """The weight of a region by its class or else its kind; 0 if neither is named."""
    weight = weights.get(region.label) or weights.get(region.kind)
    if weight is None and region.kind == "face":
        weight = weights.get("person")
    return weight or 0.0


def top_kind(regions: Iterable[Region]) -> CropReason:
    """The kind with the highest priority; there is at least one region."""
    return min((region.kind for region in regions), key=KIND_PRIORITY.index)


def center_of(region: Region) -> tuple[float, float]:
    """The x and y of the middle of a region."""
    return (region.left + region.right) / 2, (region.top + region.bottom) / 2


def contains_center(region: Region, other: Region) -> bool:
    """Whether the middle of another region lies in this one."""
    x, y = center_of(other)
    return region.left <= x <= region.right and region.top <= y <= region.bottom


def mean_side(region: Region) -> float:
    """The geometric mean of width and height."""
    return sqrt((region.right - region.left) * (region.bottom - region.top))


def area_weight(region: Region) -> float:
    """The weight of an object: confidence times area."""
    return region.weight * (region.right - region.left) * (region.bottom - region.top)


def side_weight(region: Region) -> float:
    """The weight of a face: confidence times mean side."""
    return region.weight * mean_side(region)


def estimate_body(face: Region) -> Region:
    """Where the person with this face probably is."""
    width, height = face.right - face.left, face.bottom - face.top
    return Region(
        max(0.0, face.left - (_BODY_WIDTH - 1) / 2 * width),
        max(0.0, face.top - 0.3 * height),
        min(1.0, face.right + (_BODY_WIDTH - 1) / 2 * width),
        min(1.0, face.bottom + (_BODY_HEIGHT - 1) * height),
        face.weight,
        "person",
    )
