"""Lanczos-3 that is exact to the edges, also after shrink-on-load.

Shrunk by an integer, an image rarely divides evenly, and its last pixels in a row or column stand
for less of the original than the others. libvips would center its result on the shrunk pixels. So
each side is reduced here by the exact factor and from the exact place.
"""

from itertools import count
from typing import NamedTuple

import pyvips

from proxy.geometry import Size
from proxy.imaging.shrink_on_load import LoadScale

_LANCZOS_FACTOR = 2
"""Pixels are averaged first as long as Lanczos is left with at least this factor, as `resize` of
libvips does."""

_FULL_SCALE = LoadScale()


class _Side(NamedTuple):
    """How one side is reduced.

    The image is extended to ``extended`` pixels, with ``before`` of them before its own, and then
    reduced by ``factor``. The result begins at ``start``.
    """

    factor: float
    before: int
    extended: int
    start: int


def resample(
    image: pyvips.Image, size: Size, natural: Size, scale: LoadScale = _FULL_SCALE
) -> pyvips.Image:
    """Resize to exactly ``size`` an image that was shrunk from ``natural`` by that scale."""
    if scale.factor == 1:
        natural = Size(image.width, image.height)
    image = _mirror(image, scale)
    columns = max(1, natural.width // (scale.factor * size.width * _LANCZOS_FACTOR))
    rows = max(1, natural.height // (scale.factor * size.height * _LANCZOS_FACTOR))
    if max(columns, rows) > 1:
        image = image.shrink(columns, rows, ceil=True)
    x = _reduce_side(image.width, natural.width, scale.factor * columns, size.width)
    y = _reduce_side(image.height, natural.height, scale.factor * rows, size.height)
    if x.before or y.before:
        image = image.embed(x.before, y.before, x.extended, y.extended, extend="copy")
    if max(x.factor, y.factor) > 1:
        image = image.reduce(x.factor, y.factor)
    if x.start or y.start:
        # Only this part of the result is computed.
        width = size.width if x.factor > 1 else image.width
        height = size.height if y.factor > 1 else image.height
        image = image.crop(x.start, y.start, width, height)
    if (image.width, image.height) != (size.width, size.height):  # a side that grows
        image = image.resize(size.width / image.width, vscale=size.height / image.height)
    return _mirror(image, scale)


def _mirror(image: pyvips.Image, scale: LoadScale) -> pyvips.Image:
    """Bring the edges from which pixels are counted to the left and the top, or back."""
    if scale.from_right:
        image = image.fliphor()
    return image.flipver() if scale.from_bottom else image


def _reduce_side(pixels: int, natural: int, shrink: int, length: int) -> _Side:
    """Reduce a side to ``length`` that represents ``natural / shrink`` of its pixels.

    A side that does not become shorter is left as it is.
    """
    divisor = shrink * length
    if divisor >= natural:
        return _Side(1.0, 0, pixels, 0)
    factor = natural / divisor
    if pixels * shrink == natural:
        return _Side(factor, 0, pixels, 0)
    # libvips puts the center of the result on the center of the image. So the image is extended to
    # twice its length or more, with its edge in the center. The result must have an even length,
    # which is rounded: it must not be near a half.
    before = next(
        before
        for before in count(pixels)
        if not 0.4 * natural < 2 * before * divisor % (2 * natural) < 1.6 * natural
    )
    return _Side(factor, before, 2 * before, round(before / factor))
