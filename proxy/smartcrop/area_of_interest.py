"""What the subject is, as one box: what to zoom to, and the area of interest."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from proxy.geometry import Box, Size
from proxy.smartcrop.subject import Focus, Region
from proxy.smartcrop.weights import (
    THINGS,
    across,
    area_weight,
    body,
    chosen,
    down,
    first_kind,
    room,
    side_weight,
)

Shares = tuple[float, float, float, float]
"""Left, top, right, bottom, as shares of the picture."""

PORTRAIT = (0.6, 0.7, 0.9)  # room around faces that are zoomed to: sides, above, below
MARGIN = 0.08  # room around anything else that is zoomed to, as a share of its extent
MAIN = 0.5  # of the largest face or the weightiest thing: what else still is the subject
CORE = 0.94  # of the saliency, when it alone tells where the subject is
LEAST_AREA = 0.1  # of a side: an area of interest is never smaller
MOST_AREA = 0.9  # of a side: an area of interest that is nearly all says nothing


def area_of_interest(focus: Focus, picture: Size) -> Box:
    """The region that holds the subject: in the picture, neither next to nothing nor all of it."""
    regions = chosen(focus, "auto")
    left, top, right, bottom = _area(regions) if regions else (0.1, 0.1, 0.9, 0.9)
    columns = _bounded(left, right, picture.width)
    rows = _bounded(top, bottom, picture.height)
    return Box(columns[0], rows[0], columns[1], rows[1])


def to_show(regions: Sequence[Region]) -> Shares:
    """What to zoom to, with room around it."""
    kind = first_kind(regions)
    if kind == "saliency":
        return _around([_core(regions)])
    weigh = side_weight if kind == "face" else area_weight
    among = [region for region in regions if region.kind == kind]
    least = MAIN * max(map(weigh, among))
    main = [region for region in among if weigh(region) >= least]
    if kind == "face":
        return _together([room(face, *PORTRAIT) for face in main])
    return _around(main)


def _area(regions: Sequence[Region]) -> Shares:
    """Faces with their people, and the main things; without any, the core of the saliency."""
    kind = first_kind(regions)
    if kind == "saliency":
        return _around([_core(regions)])
    things = [region for region in regions if region.kind in THINGS]
    faces = [region for region in regions if region.kind == "face"]
    shown: list[Region] = []
    if faces:
        least = MAIN * max(map(side_weight, faces))
        shown += [body(face) for face in faces if side_weight(face) >= least]
    if things:
        least = MAIN * max(map(area_weight, things))
        shown += [thing for thing in things if area_weight(thing) >= least]
    return _together(shown)


def _around(regions: Sequence[Region]) -> Shares:
    return _together([room(region, MARGIN, MARGIN, MARGIN) for region in regions])


def _together(regions: Sequence[Region]) -> Shares:
    return (
        min(region.left for region in regions),
        min(region.top for region in regions),
        max(region.right for region in regions),
        max(region.bottom for region in regions),
    )


def _core(regions: Sequence[Region]) -> Region:
    """The box that the middle of the saliency lies in, on both axes."""
    salient = [region for region in regions if region.kind == "saliency"]
    left, right = _quantiles([(*across(region), region.weight) for region in salient])
    top, bottom = _quantiles([(*down(region), region.weight) for region in salient])
    return Region(left, top, right, bottom, 1.0, "saliency")


def _quantiles(weighted: Sequence[tuple[float, float, float]]) -> tuple[float, float]:
    """Between which shares of an axis CORE of the weight lies, the rest evenly before and after."""
    total = sum(weight for _, _, weight in weighted)
    edges = sorted({edge for start, end, _ in weighted for edge in (start, end)})
    below = [
        sum(w * min(max((edge - s) / (e - s), 0.0), 1.0) for s, e, w in weighted) / total
        for edge in edges
    ]

    def at(wanted: float) -> float:
        for (edge, mass), (after, more) in pairwise(zip(edges, below, strict=True)):
            if more >= wanted:
                return edge + (after - edge) * (wanted - mass) / max(more - mass, 1e-9)
        return edges[-1]

    return at((1 - CORE) / 2), at((1 + CORE) / 2)


def _bounded(start: float, end: float, length: int) -> tuple[int, int]:
    """Shares as whole pixels, start and extent, within the bounds of an area of interest."""
    extent = min(max(end - start, LEAST_AREA), MOST_AREA)
    middle = min(max((start + end) / 2, extent / 2), 1 - extent / 2)
    pixels = max(1, round(extent * length))
    return min(max(0, round((middle - extent / 2) * length)), length - pixels), pixels
