"""Arithmetic of evidence: which of it counts, how much, and how far it reaches."""

from __future__ import annotations

from collections.abc import Iterable
from math import sqrt
from typing import Literal

from proxy.smartcrop.subject import Evidence, Focus, Region

Wanted = Literal["auto", "face", "person", "animal", "object", "saliency", "center"]
Decided = Evidence | Literal["center"]

ORDER: tuple[Evidence, ...] = ("face", "person", "animal", "object", "saliency")
"""What decides before what."""

THINGS: frozenset[Evidence] = frozenset(("person", "animal", "object"))
BODY = (3.0, 7.0)  # a standing person in faces: as wide, as tall


def chosen(focus: Focus, wanted: Wanted) -> tuple[Region, ...]:
    """The evidence that is gone by; a face is evidence of a person, too."""
    if wanted == "center":
        return ()
    if wanted == "auto":
        return focus.regions
    kinds = {wanted, "face"} if wanted == "person" else {wanted}
    named = tuple(region for region in focus.regions if region.kind in kinds)
    after = ORDER[ORDER.index(wanted) :]
    return named or tuple(region for region in focus.regions if region.kind in after)


def first_kind(regions: Iterable[Region]) -> Decided:
    return min((region.kind for region in regions), key=ORDER.index)


def across(region: Region) -> tuple[float, float]:
    return region.left, region.right


def down(region: Region) -> tuple[float, float]:
    return region.top, region.bottom


def area_weight(region: Region) -> float:
    return region.weight * (region.right - region.left) * (region.bottom - region.top)


def side_weight(region: Region) -> float:
    return region.weight * sqrt((region.right - region.left) * (region.bottom - region.top))


def room(region: Region, sides: float, above: float, below: float) -> Region:
    """The region with room, in shares of its extent, as far as the picture goes."""
    width, height = region.right - region.left, region.bottom - region.top
    return Region(
        max(0.0, region.left - sides * width),
        max(0.0, region.top - above * height),
        min(1.0, region.right + sides * width),
        min(1.0, region.bottom + below * height),
        region.weight,
        region.kind,
    )


def body(face: Region) -> Region:
    """Where the person below a face would be."""
    wide, tall = BODY
    below = room(face, (wide - 1) / 2, 0.3, tall - 1)
    return Region(below.left, below.top, below.right, below.bottom, face.weight, "person")
