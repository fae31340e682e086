"""How much smaller than it is an original may be decoded, with nobody seeing a difference.

Decoders reduce by averaging squares, which is coarse: the rest is left to Lanczos. One decoding
serves several sizes when it leaves that rest to each of them.
"""

from collections.abc import Mapping
from fractions import Fraction
from typing import Literal

from msgspec import Struct

from proxy.formats import Name
from proxy.geometry import Size
from proxy.imaging.headers import Header

_LEFT_TO_SCALE = Fraction(5, 4)
"""Of photographs, enlarged three times and side by side, nobody can tell what was made from such a
raster from what was made from a larger one; it costs up to a tenth less than to leave 3/2, and half
where a profile has to be gone through. Fine regular patterns shimmer a little more."""

HELD_AT_MOST = 16_000_000
"""Pixels of a picture, its frames together, that is in memory whole; larger ones are streamed."""

SHARED_AT_MOST = 6_000_000
"""Pixels of a raster that is shared: 24 MB with alpha."""

_SHARED_AT_LEAST = 1_000_000
"""Pixels of an original: below, to decode it again costs less than to ask for it once."""

JPEG_STEPS = (1, 2, 4, 8)
"""How many times smaller a JPEG can be decoded."""

BANDS_AT_MOST = 4


class Raster(Struct, frozen=True):
    """A decoded original: 8-bit sRGB, upright, ``bands`` bytes a pixel, row by row.

    ``natural`` is the size that it stands for; ``format`` is what it is written in where nobody
    says; ``rights`` is what the file said about them.
    """

    size: Size
    bands: int
    natural: Size
    format: Name | Literal["auto"]
    rights: Mapping[str, str]

    @property
    def length(self) -> int:
        """Bytes."""
        return self.size.pixels * self.bands

    def serves(self, needed: Size | None) -> bool:
        """Whether a plan that needs such a raster at least can begin with this one."""
        return needed is not None and _leaves_enough(self.size, needed)


def whole_factor(natural: Size, needed: Size | None) -> int:
    """How many times smaller, by whole numbers, the raster may be loaded."""
    if needed is None:
        return 1
    across = natural.width // (needed.width * _LEFT_TO_SCALE)
    down = natural.height // (needed.height * _LEFT_TO_SCALE)
    return max(1, min(across, down))


def reduced_by(factor: int, natural: Size) -> Size | None:
    """What must be needed for a raster that many times smaller to be loaded."""
    if factor == 1:
        return None
    scale = factor * _LEFT_TO_SCALE
    return Size(int(natural.width / scale), int(natural.height / scale))


def shared_factor(header: Header) -> int | None:
    """How many times smaller to decode an original for several sizes; None: each for itself."""
    if header.frames > 1 or header.pixels < _SHARED_AT_LEAST:
        return None
    steps = JPEG_STEPS if header.format == "jpeg" else JPEG_STEPS[:1]
    return next((step for step in steps if header.pixels <= SHARED_AT_MOST * step**2), None)


def may_share(header: Header, needed: Size | None) -> bool:
    """Whether a plan can begin with what is decoded for several sizes, by the header's word."""
    factor = shared_factor(header)
    if factor is None or needed is None:
        return False
    return _leaves_enough(Size(header.width // factor, header.height // factor), needed)


def _leaves_enough(raster: Size, needed: Size) -> bool:
    return (
        needed.width * _LEFT_TO_SCALE <= raster.width
        and needed.height * _LEFT_TO_SCALE <= raster.height
    )
