"""Change pixels with respect to alpha: hidden colors never show, alpha changes only on purpose.

All images are 8-bit sRGB with three bands, or four with straight alpha.
"""

from collections.abc import Callable

import pyvips

ImageFunction = Callable[[pyvips.Image], pyvips.Image]


def to_8_bit(image: pyvips.Image) -> pyvips.Image:
    """Round to whole levels from 0 to 255; a cast alone would cut the fractions off."""
    return image if image.format == "uchar" else image.rint().cast("uchar")


def map_premultiplied(image: pyvips.Image, function: ImageFunction) -> pyvips.Image:
    """Apply a function that mixes neighboring pixels, with colors premultiplied by alpha.

    Without that, the colors of invisible pixels bleed into visible edges.
    """
    if not image.hasalpha():
        return function(image)
    mixed = function(to_8_bit(image.premultiply())).unpremultiply()
    return to_8_bit(mixed).copy(interpretation="srgb")


def map_rgb(image: pyvips.Image, function: ImageFunction) -> pyvips.Image:
    """Apply a function to red, green and blue only; alpha stays as it is."""
    if not image.hasalpha():
        return to_8_bit(function(image)).copy(interpretation="srgb")
    changed = to_8_bit(function(image[:3]))
    return changed.bandjoin(image[3]).copy(interpretation="srgb")


def add_alpha(image: pyvips.Image) -> pyvips.Image:
    """The image with four bands: opaque where it had no alpha."""
    return image if image.hasalpha() else image.bandjoin(255).copy(interpretation="srgb")


def scale_alpha(image: pyvips.Image, factor: "float | pyvips.Image") -> pyvips.Image:
    """Multiply alpha by a factor from 0 to 1, or pixel by pixel by an 8-bit mask."""
    image = add_alpha(image)
    if isinstance(factor, pyvips.Image):
        factor = factor * (1 / 255)
    alpha = to_8_bit(image[3] * factor)
    return image[:3].bandjoin(alpha).copy(interpretation="srgb")


def composite(base: pyvips.Image, overlay: pyvips.Image, left: int, top: int) -> pyvips.Image:
    """Lay an image with alpha over another one, which keeps its size and number of bands."""
    right, bottom = min(base.width, left + overlay.width), min(base.height, top + overlay.height)
    x, y = max(0, left), max(0, top)
    if right <= x or bottom <= y:
        return base
    area = x - left, y - top, right - x, bottom - y
    # Of 8-bit images libvips would cut the fractions off.
    covered = base.crop(x, y, *area[2:]).cast("float").copy(interpretation="srgb")
    mixed = covered.composite2(overlay.crop(*area), "over", compositing_space="srgb")
    mixed = to_8_bit(mixed if base.hasalpha() else mixed[:3])
    return base.insert(mixed, x, y).copy(interpretation="srgb")


def opaque_color(image: pyvips.Image, color: list[float]) -> list[float]:
    """The RGB color with as many numbers as the image has bands; alpha is 255."""
    return [*color, 255.0] if image.hasalpha() else color
