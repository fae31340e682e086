"""Pictures to another size; the colour of what cannot be seen never shines through."""

import pyvips

from proxy.alpha import filled, weighted, with_alpha
from proxy.color import rgb
from proxy.geometry import Box, Size
from proxy.picture import Picture

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


def shrunk(image: pyvips.Image, factor: int) -> pyvips.Image:
    """The image with squares of pixels averaged; a part of a square at an edge counts as one."""
    if factor < 2:
        return image
    return image.shrink(factor, factor, ceil=True)


def mounted_on(image: pyvips.Image, frame: Size, box: Box, background: str) -> pyvips.Image:
    """The image in its place on a larger canvas of a colour, or transparent."""
    if background == "transparent":
        image, color = with_alpha(image), [0.0, 0.0, 0.0, 0.0]
    else:
        color = filled(image, rgb(background))
    return image.embed(
        box.left, box.top, frame.width, frame.height, extend="background", background=color
    )
