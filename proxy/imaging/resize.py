"""Pictures to another size; the colour of what cannot be seen never shines through."""

import pyvips

from proxy.geometry import Box, Size
from proxy.imaging.alpha import filled, weighted, with_alpha
from proxy.imaging.color import rgb
from proxy.imaging.image import Picture

_LONGEST_LAZY_SIDE = 1_000_000


def resized(picture: Picture, size: Size) -> Picture:
    """The whole picture at exactly that size; the very same where it has it already."""
    if picture.raster == size:
        return picture.scaled(picture.image)
    return picture.scaled(picture.each(lambda one: _resampled(one, size), mixing=True))


def cut(picture: Picture, whole: Size, window: Box) -> Picture:
    """The window of the picture as it would be if it were scaled to the size ``whole``."""
    if picture.raster == whole == window.size:
        return picture.scaled(picture.image)
    if max(whole.width, whole.height) > _LONGEST_LAZY_SIDE:
        return _cut_first(picture, whole, window)
    return picture.reframed(
        picture.each(
            lambda one: _resampled(one, whole).crop(
                window.left, window.top, window.width, window.height
            ),
            mixing=True,
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
        picture.each(
            lambda one: _resampled(one.crop(left, top, width, height), window.size), mixing=True
        )
    )


def scaled(image: pyvips.Image, size: Size) -> pyvips.Image:
    """The image at exactly that size, its colours weighted by its alpha."""
    if (image.width, image.height) == (size.width, size.height):
        return image
    return weighted(image, lambda one: _resampled(one, size))


def _resampled(image: pyvips.Image, size: Size) -> pyvips.Image:
    """By Lanczos-3; large factors are shrunk by averages first."""
    return image.resize(size.width / image.width, vscale=size.height / image.height)


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
