"""Change pixels with respect to alpha: hidden colors never show, alpha changes only on purpose.

All images are 8-bit sRGB with three bands, or four with straight alpha.
"""

from collections.abc import Callable, Mapping
from typing import Literal

import pyvips

ImageFunction = Callable[[pyvips.Image], pyvips.Image]

BlendMode = Literal[
    "normal",
    "multiply",
    "screen",
    "overlay",
    "darken",
    "lighten",
    "color-dodge",
    "color-burn",
    "hard-light",
    "soft-light",
    "difference",
    "exclusion",
]
"""The separable blend modes of W3C Compositing and Blending."""

_FIXED_COLORS: Mapping[BlendMode, float] = {"color-dodge": 0, "color-burn": 255}
"""The level that stays as it is, whatever is laid over it."""


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


def composite(
    base: pyvips.Image,
    overlay: pyvips.Image,
    left: int,
    top: int,
    *,
    blend_mode: BlendMode = "normal",
) -> pyvips.Image:
    """Lay an image with alpha over another one, which keeps its size and number of bands."""
    right, bottom = min(base.width, left + overlay.width), min(base.height, top + overlay.height)
    x, y = max(0, left), max(0, top)
    if right <= x or bottom <= y:
        return base
    area = x - left, y - top, right - x, bottom - y
    # Of 8-bit images libvips would cut the fractions off.
    covered = base.crop(x, y, *area[2:]).cast("float").copy(interpretation="srgb")
    overlay = overlay.crop(*area)
    if blend_mode != "normal":
        overlay = _blend(covered, overlay, blend_mode)
    mixed = covered.composite2(overlay, "over", compositing_space="srgb")
    mixed = to_8_bit(mixed if base.hasalpha() else mixed[:3])
    return base.insert(mixed, x, y).copy(interpretation="srgb")


def _blend(base: pyvips.Image, overlay: pyvips.Image, mode: BlendMode) -> pyvips.Image:
    """The overlay with its colors mixed with those of the base, where the base is not transparent.

    libvips mixes colors that it has multiplied by alpha, which is right for opaque ones only.
    """
    color = overlay[:3].cast("float").copy(interpretation="srgb")
    below = base[:3].copy(interpretation="srgb")
    name = mode.replace("color", "colour")
    mixed = below.composite2(color, name, compositing_space="srgb")[:3]
    if mode in _FIXED_COLORS:  # libvips has the opposite where the formula divides zero by zero
        is_fixed = below.relational_const("equal", [_FIXED_COLORS[mode]])
        mixed = is_fixed.ifthenelse(below, mixed)
    if base.hasalpha():
        opacity = base[3] * (1 / 255)
        mixed = color + (mixed - color) * opacity
    return mixed.bandjoin(overlay[3].cast("float")).copy(interpretation="srgb")


def opaque_color(image: pyvips.Image, color: list[float]) -> list[float]:
    """The RGB color with as many numbers as the image has bands; alpha is 255."""
    return [*color, 255.0] if image.hasalpha() else color
