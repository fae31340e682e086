"""Cover parts of a picture: the inside of a superellipse becomes unrecognizable, its edge is soft.

How coarse a cover is follows from the size of what it covers. So what is left of a face is the same
few values whatever its size, and enlarging, shrinking or sharpening the result brings nothing back.
"""

import math

import pyvips
from msgspec import Struct

from proxy.geometry import Box, Size
from proxy.imaging.alpha import ImageFunction

_SOFT_EDGE = 1.15
"""How much larger the outline is in which the cover fades out."""


class Outline(Struct, frozen=True):
    """A superellipse around a rectangle whose edges are fractions (0 to 1) of the picture's sides.

    ``exponent`` 2 is an ellipse; higher ones come close to a rectangle. ``scale`` is how much
    wider and higher than the rectangle it is.
    """

    left: float
    top: float
    right: float
    bottom: float
    exponent: int
    scale: float

    def box(self, size: Size) -> Box:
        """The pixels that the cover reaches, inside a picture of that size."""
        left, right = _reach(self.left, self.right, self.scale * _SOFT_EDGE, size.width)
        top, bottom = _reach(self.top, self.bottom, self.scale * _SOFT_EDGE, size.height)
        return Box(left, top, right - left, bottom - top)

    def short_side(self, size: Size) -> float:
        """The shorter side of the rectangle, in pixels."""
        return min((self.right - self.left) * size.width, (self.bottom - self.top) * size.height)


def cover(image: pyvips.Image, outline: Outline, function: ImageFunction) -> pyvips.Image:
    """Put what the function makes of the pixels at the outline in place of them.

    The image has no alpha, or premultiplied colors, and can be read in any order.
    """
    size = Size(image.width, image.height)
    box = outline.box(size)
    part = image.crop(box.left, box.top, box.width, box.height)
    mask = _mask(outline, box, size)
    covered = mask.ifthenelse(function(part).cast(part.format), part, blend=True)
    return image.insert(covered, box.left, box.top)


def _mask(outline: Outline, box: Box, size: Size) -> pyvips.Image:
    """255 inside, falling to 0 at the end of the soft edge."""
    place = pyvips.Image.xyz(box.width, box.height)
    x = _distance(place[0] + box.left + 0.5, outline.left, outline.right, size.width)
    y = _distance(place[1] + box.top + 0.5, outline.top, outline.bottom, size.height)
    exponent = outline.exponent
    reach = (x**exponent + y**exponent) ** (1 / exponent) / outline.scale
    return ((_SOFT_EDGE - reach) / (_SOFT_EDGE - 1) * 255).rint().cast("uchar")


def _distance(place: pyvips.Image, start: float, end: float, length: int) -> pyvips.Image:
    """From the middle, in halves of the side."""
    middle, half = (start + end) / 2 * length, max(0.5, (end - start) / 2 * length)
    return ((place - middle) / half).abs()


def _reach(start: float, end: float, scale: float, length: int) -> tuple[int, int]:
    middle, half = (start + end) / 2 * length, max(0.5, (end - start) / 2 * length) * scale
    first = min(max(0, math.floor(middle - half)), length - 1)
    return first, max(first + 1, min(length, math.ceil(middle + half)))
