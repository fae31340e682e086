"""Resize by Lanczos-3, premultiplied by alpha; shrink by averaging; embed in a larger canvas.

The operation `resize`, which computes the sizes, is in `proxy.operations.resize`.
"""

import pyvips

from proxy.geometry import Box, Size
from proxy.imaging.alpha import ImageFunction, add_alpha, map_premultiplied, opaque_color
from proxy.imaging.color import parse_color
from proxy.imaging.picture import Picture, blank_image
from proxy.imaging.resample import resample

_MAX_LAZY_SIDE = 1_000_000
"""Larger sizes approach libvips' coordinate limit, even where only a part is computed."""


def resize(picture: Picture, size: Size) -> Picture:
    """Resize the whole picture to exactly that size; no pixel changes if it has that size."""
    if picture.load_scale.factor == 1 and picture.frame_size == size:
        return picture.with_resized(picture.image)
    if not picture.has_pixels:
        return picture.with_resized(blank_image(size))
    return picture.with_resized(_map_resampled(picture, size, lambda frame: frame))


def resize_and_crop(picture: Picture, size: Size, window: Box) -> Picture:
    """Resize the whole picture to ``size``, and keep the window of the result."""
    if picture.load_scale.factor == 1 and picture.frame_size == size == window.size:
        return picture.with_resized(picture.image)
    if not picture.has_pixels:
        return picture.with_frame(blank_image(window.size))
    if max(size.width, size.height) > _MAX_LAZY_SIDE:
        return _crop_and_resize(picture, size, window)
    return picture.with_frame(
        _map_resampled(
            picture,
            size,
            lambda frame: frame.crop(window.left, window.top, window.width, window.height),
        )
    )


def _map_resampled(picture: Picture, size: Size, function: ImageFunction) -> pyvips.Image:
    """Resample every frame to that size, and apply the function to the result."""
    natural, scale = picture.natural_size, picture.load_scale
    return picture.map_frames(
        lambda frame: function(resample(frame, size, natural, scale)), mixes_pixels=True
    )


def _crop_and_resize(picture: Picture, size: Size, window: Box) -> Picture:
    """Like `resize_and_crop`, but crops first; exact to one pixel of the unresized picture."""
    source = picture.frame_size
    left = window.left * source.width // size.width
    top = window.top * source.height // size.height
    width = max(1, window.width * source.width // size.width)
    height = max(1, window.height * source.height // size.height)
    return picture.with_frame(
        picture.map_frames(
            lambda frame: resample(
                frame.crop(left, top, width, height), window.size, Size(width, height)
            ),
            mixes_pixels=True,
        )
    )


def resize_image(image: pyvips.Image, size: Size) -> pyvips.Image:
    """Resize an image to exactly that size."""
    if (image.width, image.height) == (size.width, size.height):
        return image
    natural = Size(image.width, image.height)
    return map_premultiplied(image, lambda premultiplied: resample(premultiplied, size, natural))


def shrink(image: pyvips.Image, factor: int) -> pyvips.Image:
    """Average squares of pixels; where one sticks out, the pixels at the edge count for it too."""
    if factor < 2:
        return image
    return image.shrink(factor, factor, ceil=True)


def embed(image: pyvips.Image, canvas: Size, box: Box, background: str) -> pyvips.Image:
    """Put the image at a place on a larger canvas of one color, or ``transparent``."""
    image, color = with_background(image, background)
    return image.embed(
        box.left, box.top, canvas.width, canvas.height, extend="background", background=color
    )


def with_background(image: pyvips.Image, background: str) -> tuple[pyvips.Image, list[float]]:
    """The image, and the numbers of the color; with ``transparent`` the image gets alpha."""
    if background == "transparent":
        return add_alpha(image), [0.0, 0.0, 0.0, 0.0]
    return image, opaque_color(image, parse_color(background))
