"""From evidence to a window: where to cut a picture so that its subject stays.

For every place of the window along an axis, the shares it keeps of each kind of evidence are added
up, each with its own weight; the best place wins, and between equals the one nearest the evidence's
middle. Nothing here looks at pixels, so one look serves every size and ratio, and equal evidence
gives equal windows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import sqrt

from msgspec import Struct

from proxy.geometry import Box, Size, anchored, largest_window
from proxy.smartcrop.area_of_interest import Shares, area_of_interest, to_show
from proxy.smartcrop.subject import Focus, Region
from proxy.smartcrop.weights import (
    THINGS,
    Decided,
    Wanted,
    across,
    area_weight,
    body,
    chosen,
    down,
    first_kind,
    room,
    side_weight,
)

WORTH: dict[str, float] = {"face": 2.0, "body": 0.25, "thing": 1.0, "saliency": 1.0}
"""What it is worth to keep all evidence of a sort; people, animals and objects are things."""

# Detectors place the edge of a face to about a tenth of it, and hair, hat and chin want air: a
# window that keeps a face with more room around it is better. Shares of the face's extent: sides
# and below, above.
ROOM: tuple[tuple[float, float], ...] = ((0.05, 0.05), (0.15, 0.25), (0.3, 0.5))
PROMINENT = 0.1  # of the picture's mean side: a face that counts fully
CUT = 0.5  # what a cut face counts for, beside a whole one
WHOLE = 0.995  # of a face, and it counts as whole
NEAR = 0.02  # what the whole way from the evidence's middle costs
PLACES = 128  # tried along an axis
RATIOS = (0.5, 2.0)  # of a window whose ratio nobody asked for


class Placement(Struct, frozen=True):
    """Where to cut, in pixels, and the kind of evidence that had the first word."""

    box: Box
    decided: Decided


class Span(Struct, frozen=True):
    """Evidence along one axis, in shares of it; ``whole`` evidence is spoilt by a cut."""

    start: float
    end: float
    worth: float
    whole: bool = False


def place(
    focus: Focus,
    picture: Size,
    target: Size,
    wanted: Wanted = "auto",
    zoom: float | None = None,
) -> Placement:
    """The window of the target's ratio that keeps the subject.

    It is the largest in the picture; ``zoom`` (0 to 1) draws it together around the subject, at 1
    to as little as shows it with some room, but never below the target's own size. ``wanted``
    names the evidence to go by; where there is none of it, the kinds that follow it in ORDER are
    taken, and without any the middle.
    """
    regions = chosen(focus, wanted)
    window = largest_window(picture, target)
    if not regions:
        return Placement(anchored(window, picture, 0.5, 0.5), "center")
    subject = None
    if zoom:
        subject = to_show(regions)
        window = _drawn(window, _tight(subject, picture, target, window), zoom)
    box = Box(
        _along(_spans(regions, across), picture.width, window.width, subject and subject[0::2]),
        _along(_spans(regions, down), picture.height, window.height, subject and subject[1::2]),
        window.width,
        window.height,
    )
    return Placement(box, first_kind(regions))


def best_window(focus: Focus, picture: Size) -> Placement:
    """The window of the subject's own ratio, between 1:2 and 2:1: for when none is asked for."""
    area = area_of_interest(focus, picture)
    least, most = RATIOS
    ratio = min(max(area.width / area.height, least), most)
    width = min(picture.width, max(area.width, round(area.height * ratio)))
    height = min(picture.height, max(area.height, round(area.width / ratio)))
    width, height = min(width, int(height * most)), min(height, int(width / least))
    window = Size(max(1, width), max(1, height))
    left = area.left + (area.width - window.width) // 2
    top = area.top + (area.height - window.height) // 2
    box = Box(
        min(max(0, left), picture.width - window.width),
        min(max(0, top), picture.height - window.height),
        window.width,
        window.height,
    )
    regions = chosen(focus, "auto")
    return Placement(box, first_kind(regions) if regions else "center")


Sides = Callable[[Region], tuple[float, float]]


def _spans(regions: Sequence[Region], sides: Sides) -> list[Span]:
    """The evidence along one axis."""
    faces = _prominent([face for face in regions if face.kind == "face"])
    things = [(thing, area_weight(thing)) for thing in regions if thing.kind in THINGS]
    salient = [(place, place.weight) for place in regions if place.kind == "saliency"]
    seen_whole = any(thing.kind == "person" for thing, _ in things)
    bodies = [] if seen_whole else [(body(face), share) for face, share in faces]
    worths = [
        *_worth(WORTH["thing"], _whole(things)),
        *_worth(WORTH["saliency"], _whole(salient)),
        *_worth(WORTH["body"], bodies),
    ]
    for around, above in ROOM:
        roomy = [(room(face, around, above, around), share) for face, share in faces]
        worths += _worth(WORTH["face"] / len(ROOM), roomy)
    merged: dict[tuple[float, float, bool], float] = {}
    for region, worth in worths:
        key = (*sides(region), region.kind == "face")
        merged[key] = merged.get(key, 0.0) + worth
    return [Span(start, end, worth, whole) for (start, end, whole), worth in merged.items()]


Weighted = list[tuple[Region, float]]


def _prominent(faces: Sequence[Region]) -> Weighted:
    """How far each face counts; all together 1, or less where none is sure and large.

    A doubtful or very small face is no reason to give up the rest, and whoever stands in front is
    whom a picture is about.
    """
    seen = sum(face.weight * min(1.0, _side(face) / PROMINENT) for face in faces)
    total = sum(map(side_weight, faces))
    return [(face, min(1.0, seen) * side_weight(face) / total) for face in faces if total > 0]


def _side(region: Region) -> float:
    return sqrt((region.right - region.left) * (region.bottom - region.top))


def _whole(weighted: Weighted) -> Weighted:
    """With the weights brought to add up to 1."""
    total = sum(weight for _, weight in weighted)
    return [(region, weight / total) for region, weight in weighted if weight > 0]


def _worth(worth: float, weighted: Weighted) -> Weighted:
    return [(region, worth * weight) for region, weight in weighted]


def _along(
    spans: Sequence[Span], length: int, window: int, keep: tuple[float, float] | None
) -> int:
    """The best start, in pixels, of a window along an axis; ``keep`` is what it must not leave."""
    first, last = 0, length - window
    if keep is not None:
        first = min(last, max(0, round(keep[1] * length) - window))
        last = max(first, min(last, round(keep[0] * length)))
    if first == last:
        return first
    share = window / length
    total = sum(span.worth for span in spans) or 1.0
    middle = sum(span.worth * (span.start + span.end) / 2 for span in spans) / total
    steps = min(last - first, PLACES)
    best, best_value = first, float("-inf")
    for step in range(steps + 1):
        start = first + (last - first) * step // steps
        value = _kept(spans, start / length, share)
        value -= NEAR * abs((start + window / 2) / length - middle)
        if value > best_value:
            best, best_value = start, value
    return best


def _kept(spans: Sequence[Span], start: float, share: float) -> float:
    """What a window is worth: the evidence it keeps."""
    end = start + share
    value = 0.0
    for span in spans:
        low = max(start, span.start)
        high = min(end, span.end)
        if high > low:
            kept = (high - low) / (span.end - span.start)
            if span.whole and kept < WHOLE:
                kept *= CUT
            value += span.worth * kept
    return value


def _tight(subject: Shares, picture: Size, target: Size, window: Size) -> Size:
    """The smallest window that shows the subject; as large as the target, where it can be."""
    left, top, right, bottom = subject
    scale = max(
        (right - left) * picture.width / window.width,
        (bottom - top) * picture.height / window.height,
        target.width / window.width,
    )
    return _scaled(window, min(1.0, scale))


def _drawn(window: Size, tight: Size, zoom: float) -> Size:
    """Between the two: every step of zoom makes it smaller by the same factor."""
    return _scaled(window, (tight.width / window.width) ** zoom)


def _scaled(window: Size, scale: float) -> Size:
    return Size(max(1, round(window.width * scale)), max(1, round(window.height * scale)))
