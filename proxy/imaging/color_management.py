"""Whatever an image's colours mean becomes 8-bit sRGB, with or without straight alpha."""

from typing import Any

import pyvips

from proxy.imaging import icc
from proxy.imaging.metadata import PROFILE, told

_BANDS = {"RGB": 3, "GRAY": 1, "CMYK": 4}
_PRINT = "cmyk"
_SCREEN = ("srgb", "b-w")


def is_srgb(image: pyvips.Image) -> bool:
    """Whether the image's values are 8-bit sRGB, or its greys, as they stand."""
    return image.format == "uchar" and image.interpretation in _SCREEN and not needs_profile(image)


def needs_profile(image: pyvips.Image) -> bool:
    """Whether colours have to go through a profile, which costs more than scaling does."""
    return image.interpretation == _PRINT or _fitting_profile(image)


def srgb(image: pyvips.Image) -> pyvips.Image:
    """The image as 8-bit sRGB with three bands, or four with alpha.

    An embedded profile is followed when it fits the pixels and is not sRGB itself; CMYK goes
    through a built-in profile where none is embedded. Perceptual for print, relative for the rest.
    """
    image = _named(image)
    if needs_profile(image):
        image = _through_profile(image)
    if image.interpretation != "srgb" or image.format != "uchar":
        image = image.colourspace("srgb").cast("uchar")
    if image.bands < 3:  # greys that were called sRGB
        image = image[0].bandjoin(image[0]).bandjoin(image)
    if image.bands > 4:
        image = image[:4]
    return image.copy(interpretation="srgb")


def _named(image: pyvips.Image) -> pyvips.Image:
    """The image with a name for its colours where the file gave none."""
    if image.interpretation not in ("multiband", "error"):
        return image
    sixteen = image.format == "ushort"
    if image.bands >= 3:
        return image.copy(interpretation="rgb16" if sixteen else "srgb")
    return image.copy(interpretation="grey16" if sixteen else "b-w")


def _through_profile(image: pyvips.Image) -> pyvips.Image:
    printed = image.interpretation == _PRINT
    options: dict[str, Any] = {
        "intent": "perceptual" if printed else "relative",
        "black_point_compensation": True,
        "depth": 8,
    }
    if _fitting_profile(image):
        try:
            return image.icc_transform("srgb", embedded=True, **options)
        except pyvips.Error:
            # A profile that no library can use says nothing; the picture is still a picture.
            pass
    return image.icc_transform("srgb", input_profile=_PRINT, **options) if printed else image


def _fitting_profile(image: pyvips.Image) -> bool:
    profile = told(image, PROFILE)
    if profile is None:
        return False
    bands = image.bands - image.hasalpha()
    return _BANDS.get(icc.model(profile)) == bands and not icc.says_srgb(profile)
