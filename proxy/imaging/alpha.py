"""Change pixels with respect to alpha: hidden colors never show, alpha changes only on purpose.

All images are 8-bit sRGB with three bands, or four with straight alpha.
"""

from collections.abc import Callable

import pyvips

ImageFunction = Callable[[pyvips.Image], pyvips.Image]


def map_premultiplied(image: pyvips.Image, function: ImageFunction) -> pyvips.Image:
    """Apply a function that mixes neighboring pixels, with colors premultiplied by alpha.

    Without that, the colors of invisible pixels bleed into visible edges.
    """
    if not image.hasalpha():
        return function(image)
    mixed = function(image.premultiply().cast("uchar")).unpremultiply()
    return mixed.cast("uchar").copy(interpretation="srgb")


def map_rgb(image: pyvips.Image, function: ImageFunction) -> pyvips.Image:
    """Apply a function to red, green and blue only; alpha stays as it is."""
    if not image.hasalpha():
        return function(image).cast("uchar").copy(interpretation="srgb")
    changed = function(image[:3]).cast("uchar")
    return changed.bandjoin(image[3]).copy(interpretation="srgb")


def add_alpha(image: pyvips.Image) -> pyvips.Image:
    """The image with four bands: opaque where it had no alpha."""
    return image if image.hasalpha() else image.bandjoin(255).copy(interpretation="srgb")


def scale_alpha(image: pyvips.Image, factor: "float | pyvips.Image") -> pyvips.Image:
    """Multiply alpha by a factor from 0 to 1, or pixel by pixel by an 8-bit mask."""
    image = add_alpha(image)
    if isinstance(factor, pyvips.Image):
        factor = factor * (1 / 255)
    alpha = (image[3] * factor).rint().cast("uchar")
    return image[:3].bandjoin(alpha).copy(interpretation="srgb")


def composite(base: pyvips.Image, overlay: pyvips.Image, left: int, top: int) -> pyvips.Image:
    """Lay an image with alpha over another one, which keeps its size and number of bands."""
    mixed = base.composite2(overlay, "over", x=left, y=top, compositing_space="srgb").cast("uchar")
    return mixed if base.hasalpha() else mixed[:3].copy(interpretation="srgb")


def opaque_color(image: pyvips.Image, color: list[float]) -> list[float]:
    """The RGB color with as many numbers as the image has bands; alpha is 255."""
    return [*color, 255.0] if image.hasalpha() else color
