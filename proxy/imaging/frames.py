"""Which frames or pages of an original a plan shows."""

from typing import Literal

from msgspec import Struct

from proxy.formats import FORMATS, FormatName, sniff
from proxy.imaging.headers import ImageHeader


class FrameRange(Struct, frozen=True):
    """The first and last frame or page, counted from 1."""

    first: int
    last: int

    @property
    def count(self) -> int:
        return self.last - self.first + 1

    def __str__(self) -> str:
        return f"{self.first}-{self.last}"


FIRST_FRAME = FrameRange(1, 1)

_SINGLE_FRAME_FORMATS = frozenset(("jpeg", "bmp"))


def may_have_frames(head: bytes) -> bool:
    """Whether an original that begins with these 64 bytes can have several frames or pages."""
    format = sniff(head)
    return format is None or format.name not in _SINGLE_FRAME_FORMATS


def default_format(header: ImageHeader) -> FormatName | Literal["auto"]:
    """The output format where the plan sets none."""
    return header.format if FORMATS[header.format].web_safe else "auto"


def shown_frames(
    header: ImageHeader, output_format: str | None, page_range: tuple[int, int] | None
) -> FrameRange:
    """The frames that are decoded: all that were asked for, or the first of them for a still.

    ``output_format`` is None for the default; "auto" keeps animations. ``page_range`` is the
    first and last frame that were asked for, None for all. Frames that the original does not have
    are not left out.
    """
    output_format = output_format or default_format(header)
    first, last = page_range or (1, header.frames if header.animated else 1)
    is_animated = header.animated and (output_format == "auto" or FORMATS[output_format].animated)
    return FrameRange(first, last if is_animated else first)
