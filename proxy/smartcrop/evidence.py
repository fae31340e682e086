"""Weigh what detectors found: the one basis of the area of interest and of every crop.

Each region becomes evidence: a box, and what it is worth to keep it. Faces are worth as much as
they are certain and large. A face brings the body below it. Objects share a value by confidence,
area, place, and by how much they stand out. Saliency counts in full where nothing else was found,
and less the more certain faces and objects are. So a doubtful detection moves a crop, but does not
decide it alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp
from typing import Literal, NamedTuple

from msgspec import structs

from proxy.smartcrop.edges import Edges
from proxy.smartcrop.regions import (
    OBJECT_KINDS,
    area_weight,
    center_of,
    contains_center,
    estimate_body,
    mean_side,
    side_weight,
)
from proxy.smartcrop.subject import Region

_FACES, _BODIES, _OBJECTS, _SALIENCY = 1.2, 0.5, 1.2, 1.5
"""What everything of a kind is worth, where it is certain."""

_FULL_SIZE_FACE = 0.1  # of the picture's mean side; smaller faces are worth less
_FULL_SIZE_OBJECT = 0.1  # the same for objects
_OBJECT_CERTAINTY = 0.7  # a single object is less certain to be the subject than a face
_SALIENCY_LOSS_BY_FACES = 0.5  # share of the value of saliency, where faces are certain
_SALIENCY_LOSS_BY_OBJECTS = 0.5  # the same for objects
_FACELESS = 0.3  # worth of a person without a face beside a certain face
_SALIENCE_EXPONENT = 0.2  # how much it matters that an object stands out
_CENTER_SIGMA = 0.5  # of the Gaussian by which objects count less the farther from the center
_SALIENCY_EXPONENT = 0.95  # below 1, faint saliency counts more

_DIGITS = 6

EvidenceKind = Literal["face", "body", "object", "saliency"]


class Evidence(NamedTuple):
    """A box, and what it is worth to keep it; faces and bodies should be whole.

    A body is that of a person or an animal.
    """

    edges: Edges
    value: float
    kind: EvidenceKind


def weigh(regions: Sequence[Region]) -> list[Evidence]:
    """The evidence in these regions; what is worth nothing is left out."""
    faces = [region for region in regions if region.kind == "face"]
    objects = [region for region in regions if region.kind in OBJECT_KINDS]
    salient = [region for region in regions if region.kind == "saliency"]
    objects = [_doubt_faceless(each, faces) for each in objects]
    face_certainty = _certainty(faces, _FULL_SIZE_FACE)
    object_certainty = min(1.0, _OBJECT_CERTAINTY * _certainty(objects, _FULL_SIZE_OBJECT))
    return [
        *_weigh_faces(faces, face_certainty),
        *_weigh_bodies(faces, objects, face_certainty),
        *_weigh_objects(objects, salient, object_certainty),
        *_weigh_saliency(
            salient,
            (1 - _SALIENCY_LOSS_BY_FACES * face_certainty)
            * (1 - _SALIENCY_LOSS_BY_OBJECTS * object_certainty),
        ),
    ]


def _certainty(regions: Sequence[Region], full_size: float) -> float:
    """How certain it is (0 to 1) that a picture shows this kind, at a size that matters."""
    return min(1.0, sum(each.weight * min(1.0, mean_side(each) / full_size) for each in regions))


def _weigh_faces(faces: Sequence[Region], certainty: float) -> list[Evidence]:
    weights = [side_weight(face) for face in faces]
    return _share(faces, weights, _FACES * certainty, "face")


def _weigh_bodies(
    faces: Sequence[Region], objects: Sequence[Region], certainty: float
) -> list[Evidence]:
    """The bodies of faces, where the person was not detected."""
    people = [each for each in objects if each.kind == "person"]
    alone = [not any(contains_center(person, face) for person in people) for face in faces]
    weights = [side_weight(face) for face in faces]
    total = sum(weights)
    bodies = [estimate_body(face) for face, is_alone in zip(faces, alone, strict=True) if is_alone]
    weights = [weight for weight, is_alone in zip(weights, alone, strict=True) if is_alone]
    value = _BODIES * certainty * sum(weights) / total if total else 0.0
    return _share(bodies, weights, value, "body")


def _doubt_faceless(region: Region, faces: Sequence[Region]) -> Region:
    """Lower the weight of a person without a face beside certain faces of others."""
    if region.kind != "person" or any(contains_center(region, face) for face in faces):
        return region
    best_face = max((face.weight for face in faces), default=0.0)
    return structs.replace(region, weight=region.weight * (1 - best_face * (1 - _FACELESS)))


def _weigh_objects(
    objects: Sequence[Region], salient: Sequence[Region], certainty: float
) -> list[Evidence]:
    weights = []
    for each in objects:
        weight = area_weight(each) * _salience(each, salient) ** _SALIENCE_EXPONENT
        x, y = center_of(each)
        weight *= exp(-((x - 0.5) ** 2 + (y - 0.5) ** 2) / (2 * _CENTER_SIGMA**2))
        weights.append(weight)
    return _share(objects, weights, _OBJECTS * certainty, "object")


def _weigh_saliency(salient: Sequence[Region], share: float) -> list[Evidence]:
    weights = []
    for each in salient:
        area = (each.right - each.left) * (each.bottom - each.top)
        weights.append(area * (each.weight / area) ** _SALIENCY_EXPONENT)
    return _share(salient, weights, _SALIENCY * share, "saliency")


def _salience(region: Region, salient: Sequence[Region]) -> float:
    """The density of saliency in a region; 1 is the mean of the picture."""
    if not salient:
        return 1.0
    inside = 0.0
    for each in salient:
        width = min(region.right, each.right) - max(region.left, each.left)
        height = min(region.bottom, each.bottom) - max(region.top, each.top)
        if width > 0 and height > 0:
            area = (each.right - each.left) * (each.bottom - each.top)
            inside += each.weight * width * height / area
    return inside / ((region.right - region.left) * (region.bottom - region.top))


def _share(
    regions: Sequence[Region], weights: Sequence[float], value: float, kind: EvidenceKind
) -> list[Evidence]:
    """Divide a value among regions by their weights."""
    total = sum(weights)
    if total <= 0 or value <= 0:
        return []
    return [
        Evidence(
            Edges(each.left, each.top, each.right, each.bottom),
            worth,
            "body" if each.kind in ("person", "animal") else kind,
        )
        for each, weight in zip(regions, weights, strict=True)
        # Rounded, because processors and libraries compute powers to other last digits.
        if (worth := round(value * weight / total, _DIGITS)) > 0
    ]
