"""Changes to pixels, alpha minded: what cannot be seen never shines through, nor is it changed."""

from collections.abc import Callable

import pyvips

Change = Callable[[pyvips.Image], pyvips.Image]


def weighted(image: pyvips.Image, change: Change) -> pyvips.Image:
    """What a change that mixes neighbouring pixels makes of the image, 8 bits a band.

    Colours are weighted by their alpha while they are mixed, so that no fringe appears.
    """
    if not image.hasalpha():
        return change(image)
    mixed = change(image.premultiply().cast("uchar")).unpremultiply()
    return mixed.cast("uchar").copy(interpretation="srgb")


def on_colours(image: pyvips.Image, change: Change) -> pyvips.Image:
    """The image with red, green and blue changed, 8 bits a band, and its alpha as it was."""
    if not image.hasalpha():
        return change(image).cast("uchar").copy(interpretation="srgb")
    changed = change(image[:3]).cast("uchar")
    return changed.bandjoin(image[3]).copy(interpretation="srgb")


def with_alpha(image: pyvips.Image) -> pyvips.Image:
    """The image with four bands."""
    return image if image.hasalpha() else image.bandjoin(255).copy(interpretation="srgb")


def faded(image: pyvips.Image, share: "float | pyvips.Image") -> pyvips.Image:
    """The image with its alpha multiplied by a share, 0 to 1, or by an image of 8-bit shares."""
    image = with_alpha(image)
    if isinstance(share, pyvips.Image):
        share = share * (1 / 255)
    alpha = (image[3] * share).rint().cast("uchar")
    return image[:3].bandjoin(alpha).copy(interpretation="srgb")


def laid_over(below: pyvips.Image, above: pyvips.Image, left: int, top: int) -> pyvips.Image:
    """The upper image, with alpha, on the lower one, which keeps its size and number of bands."""
    laid = below.composite2(above, "over", x=left, y=top, compositing_space="srgb").cast("uchar")
    return laid if below.hasalpha() else laid[:3].copy(interpretation="srgb")


def filled(image: pyvips.Image, color: list[float]) -> list[float]:
    """The colour, opaque, with as many numbers as the image has bands."""
    return [*color, 255.0] if image.hasalpha() else color
