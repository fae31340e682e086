"""LQIP, a low-quality image placeholder: a picture so small that it fits into the page itself."""

from msgspec import structs

from proxy.formats import FormatName
from proxy.geometry import Size, contain
from proxy.imaging.picture import Picture
from proxy.imaging.resize import resize

LQIP_SIDE = 24
"""Pixels of the longer side. Shown in full size, a browser's smoothing blurs it."""

LQIP_FORMAT: FormatName = "webp"
"""Every browser shows it; its header is short, and it has transparency."""

LQIP_QUALITY = 30
MAX_LQIP_BYTES = 1024


def lqip_size(natural: Size, side: int) -> Size:
    """The size of the placeholder, whose longer side has at most that many pixels."""
    return min(natural, contain(natural, Size(side, side)))


def shrink_to_lqip(picture: Picture, side: int) -> Picture:
    """The first frame at the size of the placeholder."""
    if picture.animation is not None:
        picture = structs.replace(
            picture, image=picture.frame(0), animation=None, unmodified_format=None
        )
    return resize(picture, lqip_size(picture.natural_size, side))
