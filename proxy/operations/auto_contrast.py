import pyvips

from proxy.imaging.alpha import on_colours
from proxy.imaging.image import Picture
from proxy.operations.plan import Operation

_LEFT_OUT = 0.5
"""Per cent of the pixels at either end that may become black or white: specks decide nothing."""

_STEPS = 1000
"""Lightness is counted in steps, a thousand of them from black to white."""


class AutoContrast(Operation, frozen=True):
    """Stretch the histogram: the darkest parts become black, the lightest white."""

    def apply(self, picture: Picture) -> Picture:
        picture = picture.settled()  # the histogram is complete only when all has been seen
        return picture.recoloured(on_colours(picture.image, _stretched))


def _stretched(image: pyvips.Image) -> pyvips.Image:
    lab = image.colourspace("lab")
    counts = (lab[0] * (_STEPS / 100)).cast("ushort").hist_find().hist_cum()
    darkest = _at_share(counts, _LEFT_OUT) * 100 / _STEPS
    lightest = _at_share(counts, 100 - _LEFT_OUT) * 100 / _STEPS
    if lightest - darkest < 1:
        return image
    factor = 100 / (lightest - darkest)
    lightness = (lab[0] - darkest) * factor
    return lightness.bandjoin(lab[1:]).copy(interpretation="lab").colourspace("srgb")


def _at_share(cumulated: pyvips.Image, per_cent: float) -> int:
    """The first step at which so many per cent of the pixels are counted."""
    counts = cumulated.tolist()[0]
    return next(step for step, count in enumerate(counts) if count >= counts[-1] * per_cent / 100)
