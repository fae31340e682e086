"""Pictures to another size; the colour of what cannot be seen never shines through."""

from collections.abc import Callable

import pyvips

from proxy.geometry import Box, Size
from proxy.picture import Picture

Change = Callable[[pyvips.Image], pyvips.Image]

_LONGEST_LAZY_SIDE = 1_000_000


def cut(picture: Picture, whole: Size, window: Box) -> Picture:
    """The window of the picture as it would be if it were scaled to the size ``whole``."""
    if max(whole.width, whole.height) > _LONGEST_LAZY_SIDE:
        return _cut_first(picture, whole, window)
    return picture.reframed(
        picture.each(
            lambda one: scaled(one, whole).crop(
                window.left, window.top, window.width, window.height
            )
        )
    )


def _cut_first(picture: Picture, whole: Size, window: Box) -> Picture:
    """The same to the nearest pixel of the raster, for scales that libvips cannot count to."""
    raster = picture.raster
    left = window.left * raster.width // whole.width
    top = window.top * raster.height // whole.height
    width = max(1, window.width * raster.width // whole.width)
    height = max(1, window.height * raster.height // whole.height)
    return picture.reframed(
        picture.each(lambda one: scaled(one.crop(left, top, width, height), window.size))
    )


def scaled(image: pyvips.Image, size: Size) -> pyvips.Image:
    """The image at exactly that size, by Lanczos-3; large factors are shrunk by averages first."""
    if (image.width, image.height) == (size.width, size.height):
        return image
    return weighted(
        image,
        lambda one: one.resize(size.width / one.width, vscale=size.height / one.height),
    )


def weighted(image: pyvips.Image, change: Change) -> pyvips.Image:
    """What a change that mixes neighbouring pixels makes of the image, 8 bits a band.

    Colours are weighted by their alpha while they are mixed, so that no fringe appears.
    """
    if not image.hasalpha():
        return change(image)
    mixed = change(image.premultiply().cast("uchar")).unpremultiply()
    return mixed.cast("uchar").copy(interpretation="srgb")


def shrunk(image: pyvips.Image, factor: int) -> pyvips.Image:
    """The image with squares of pixels averaged; a part of a square at an edge counts as one."""
    if factor < 2:
        return image
    return image.shrink(factor, factor, ceil=True)
