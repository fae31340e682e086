"""Whatever an image's colours mean becomes 8-bit sRGB, with or without straight alpha."""

import pyvips

from proxy.metadata import PROFILE, told

_MODELS = {  # the colour model that an ICC profile names at byte 16, and the bands it needs
    b"RGB ": 3,
    b"GRAY": 1,
    b"CMYK": 4,
}
_PRINT = "cmyk"


def needs_profile(image: pyvips.Image) -> bool:
    """Whether colours have to go through a profile, which costs more than scaling does."""
    return image.interpretation == _PRINT or _usable(image)


def srgb(image: pyvips.Image) -> pyvips.Image:
    """The image as 8-bit sRGB with three bands, or four with alpha.

    An embedded profile is followed when it fits the pixels and is not sRGB itself; CMYK goes
    through a built-in profile where none is embedded. Perceptual for print, relative for the rest.
    """
    image = _plain(image)
    if needs_profile(image):
        image = _through_profile(image)
    if image.interpretation != "srgb" or image.format != "uchar":
        image = image.colourspace("srgb").cast("uchar")
    if image.bands < 3:  # greys that were called sRGB
        image = image[0].bandjoin(image[0]).bandjoin(image)
    if image.bands > 4:
        image = image[:4]
    return image.copy(interpretation="srgb")


def _plain(image: pyvips.Image) -> pyvips.Image:
    """Names set right where a file's bands and their name disagree."""
    if image.coding != "none":
        image = image.rad2float() if image.coding == "rad" else image.LabQ2Lab()
    if image.interpretation in ("multiband", "error"):
        sixteen = image.format == "ushort"
        if image.bands >= 3:
            return image.copy(interpretation="rgb16" if sixteen else "srgb")
        return image.copy(interpretation="grey16" if sixteen else "b-w")
    return image


def _through_profile(image: pyvips.Image) -> pyvips.Image:
    intent = "perceptual" if image.interpretation == _PRINT else "relative"
    if _usable(image):
        try:
            return image.icc_transform(
                "srgb", embedded=True, intent=intent, black_point_compensation=True, depth=8
            )
        except pyvips.Error:
            # A profile that no library can use says nothing; the picture is still a picture.
            pass
    if image.interpretation != _PRINT:
        return image
    return image.icc_transform(
        "srgb", input_profile=_PRINT, intent=intent, black_point_compensation=True, depth=8
    )


def _usable(image: pyvips.Image) -> bool:
    profile = told(image, PROFILE)
    if profile is None:
        return False
    bands = image.bands - image.hasalpha()
    return _MODELS.get(bytes(profile[16:20])) == bands and not _says_srgb(profile)


def _says_srgb(profile: bytes) -> bool:
    return b"sRGB" in profile[:4096] or b"s\x00R\x00G\x00B" in profile[:4096]
