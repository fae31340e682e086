"""Shrink-on-load: how much smaller an original may be decoded without a visible difference.

Decoders shrink by averaging squares of pixels, which is coarse, so part of the scaling is left to
Lanczos. One decode serves several output sizes where it leaves that part to each of them.
"""

from fractions import Fraction
from typing import Literal

from msgspec import Struct

from proxy.formats import FormatName
from proxy.geometry import Size
from proxy.imaging.copyright.notice import CopyrightNotice
from proxy.imaging.headers import ImageHeader

_RESAMPLE_MARGIN = Fraction(5, 4)
"""How many times larger than required pixels are decoded. In photographs, enlarged three times and
side by side, nobody sees a difference to a larger margin. 3/2 costs up to a tenth more, and twice
as much where a color profile is applied. Fine regular patterns show slightly more moiré at 5/4."""

MAX_IN_MEMORY_PIXELS = 16_000_000
"""Images up to this many pixels, all frames together, are held in memory; larger ones stream."""

MAX_SHARED_PIXELS = 6_000_000
"""Pixels of a decoded original that is shared: 24 MB with alpha."""

_MIN_SHARED_PIXELS = 1_000_000
"""Smaller originals are not shared: decoding them again costs less than sharing."""

JPEG_SHRINK_FACTORS = (1, 2, 4, 8)

MAX_BANDS = 4


class LoadScale(Struct, frozen=True):
    """How an image was shrunk on load.

    A pixel covers a square of ``factor`` pixels of the original a side. The last squares of a row
    or column may stick out: 1007 pixels shrunk by 8 are 126 pixels, of which the original covers
    125.875. Squares are counted from the left and the top, or, where the image was turned upright
    since, ``from_right`` and ``from_bottom``.
    """

    factor: int = 1
    from_right: bool = False
    from_bottom: bool = False

    @classmethod
    def oriented(cls, factor: int, orientation: int) -> "LoadScale":
        """The scale of an image that was shrunk first and then turned by its EXIF orientation."""
        return cls(factor, orientation in (2, 3, 6, 7), orientation in (3, 4, 7, 8))

    def shrunk(self, natural: Size) -> Size:
        """How many pixels an image of that natural size has."""
        return Size(-(-natural.width // self.factor), -(-natural.height // self.factor))


class SourceEncoding(Struct, frozen=True):
    """How an original was coded: its upright size, and the quality of a JPEG by its tables."""

    size: Size
    lossless: bool
    quality: int | None = None


class DecodedInfo(Struct, frozen=True):
    """Describes the pixels of a decoded original: 8-bit sRGB, upright, row by row.

    ``bands`` is the number of bytes a pixel, ``natural_size`` the original's size, ``format`` the
    output format where the plan sets none, ``copyright`` what it says about its rights, ``source``
    its encoding.
    """

    size: Size
    load_scale: LoadScale
    bands: int
    natural_size: Size
    format: FormatName | Literal["auto"]
    copyright: CopyrightNotice
    source: SourceEncoding | None = None

    @property
    def byte_length(self) -> int:
        return self.size.pixels * self.bands

    def can_serve(self, required: Size | None) -> bool:
        """Whether a plan that requires at least this size can start from these pixels."""
        return required is not None and _leaves_margin(
            self.natural_size, self.load_scale.factor, required
        )


def shrink_factor(natural: Size, required: Size | None) -> int:
    """By which integer the decoder may shrink an original of that natural size."""
    if required is None:
        return 1
    horizontal = natural.width // (required.width * _RESAMPLE_MARGIN)
    vertical = natural.height // (required.height * _RESAMPLE_MARGIN)
    return max(1, min(horizontal, vertical))


def size_for_shrink(factor: int, natural: Size) -> Size | None:
    """The inverse of `shrink_factor`: the required size that makes it return this factor."""
    if factor == 1:
        return None
    scale = factor * _RESAMPLE_MARGIN
    return Size(int(natural.width / scale), int(natural.height / scale))


def shared_shrink_factor(header: ImageHeader) -> int | None:
    """By which integer to shrink an original that is decoded once for several plans.

    None where sharing does not pay.
    """
    if header.frames > 1 or header.pixels < _MIN_SHARED_PIXELS or header.format == "svg":
        return None
    factors = JPEG_SHRINK_FACTORS if header.format == "jpeg" else JPEG_SHRINK_FACTORS[:1]
    return next(
        (factor for factor in factors if header.pixels <= MAX_SHARED_PIXELS * factor**2), None
    )


def can_share(header: ImageHeader, required: Size | None) -> bool:
    """Whether, by its header, the shared decode of an original would serve this required size."""
    factor = shared_shrink_factor(header)
    if factor is None or required is None:
        return False
    return _leaves_margin(Size(header.width, header.height), factor, required)


def _leaves_margin(natural: Size, factor: int, required: Size) -> bool:
    scale = factor * _RESAMPLE_MARGIN
    return required.width * scale <= natural.width and required.height * scale <= natural.height
