"""What is known of a picture's subject: weighted boxes, and nothing of what was found in them."""

from typing import Literal

from msgspec import Struct

Evidence = Literal["face", "person", "animal", "object", "saliency"]


class Region(Struct, frozen=True, array_like=True):
    """A place worth keeping. Sides are shares, 0 to 1, of the upright picture's extent.

    Of faces and things ``weight`` is how sure a detector was, 0 to 1; of saliency it is the share
    of all saliency that lies in the box. Written as a list: half the bytes, and many are kept.
    """

    left: float
    top: float
    right: float
    bottom: float
    weight: float
    kind: Evidence


class Focus(Struct, frozen=True):
    """All evidence of one picture, whatever size or ratio it will be cropped to."""

    regions: tuple[Region, ...] = ()
