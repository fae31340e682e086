import pyvips

from proxy.imaging.alpha import map_rgb
from proxy.imaging.picture import Picture
from proxy.operations.operation import Operation

_CLIPPED_PERCENT = 0.5
"""The share of pixels at either end that may become black or white, so that specks do not count."""

_LIGHTNESS_STEPS = 1000


class AutoContrast(Operation, frozen=True):
    """Stretch the contrast: the darkest parts become black, the lightest become white."""

    changes_size = False
    nanoseconds_per_pixel = 70

    def apply(self, picture: Picture) -> Picture:
        picture = picture.materialize()  # the histogram needs all pixels first
        return picture.with_pixels(map_rgb(picture.image, _stretch))


def _stretch(image: pyvips.Image) -> pyvips.Image:
    lab = image.colourspace("lab")
    histogram = (lab[0] * (_LIGHTNESS_STEPS / 100)).cast("ushort").hist_find().hist_cum()
    darkest = _percentile(histogram, _CLIPPED_PERCENT) * 100 / _LIGHTNESS_STEPS
    lightest = _percentile(histogram, 100 - _CLIPPED_PERCENT) * 100 / _LIGHTNESS_STEPS
    if lightest - darkest < 1:
        return image
    factor = 100 / (lightest - darkest)
    lightness = (lab[0] - darkest) * factor
    return lightness.bandjoin(lab[1:]).copy(interpretation="lab").colourspace("srgb")


def _percentile(cumulative_histogram: pyvips.Image, percent: float) -> int:
    """The first step at which the histogram counts that percentage of the pixels."""
    counts = cumulative_histogram.tolist()[0]
    return next(step for step, count in enumerate(counts) if count >= counts[-1] * percent / 100)
