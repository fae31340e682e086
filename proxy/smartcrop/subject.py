"""The subject of a picture: weighted boxes with the kind of what is in them, and nothing more."""

from typing import Literal

from msgspec import Struct

RegionKind = Literal["face", "person", "animal", "object", "saliency"]


class Region(Struct, frozen=True, array_like=True):
    """A part of a picture that a crop should keep; edges are fractions (0 to 1) of its sides.

    ``weight`` is 0 to 1: of a face or object how confident the detector is, of saliency the share
    of the picture's saliency in the box. Encoded as an array, which is half the bytes: the cache
    holds many.
    """

    left: float
    top: float
    right: float
    bottom: float
    weight: float
    kind: RegionKind
    label: str = ""
    """The class of COCO; empty where the detector has no classes."""


class Subject(Struct, frozen=True):
    """All regions of an upright picture; they serve every size and aspect ratio."""

    regions: tuple[Region, ...] = ()
    has_classes: bool = True
    """False where no detector could find classes."""
