"""ImageHeader: what is known of an image before it is decoded; and how headers are read."""

import struct

from msgspec import Struct

from proxy.formats import FormatName


class ImageHeader(Struct, frozen=True):
    """What the structure of an original shows.

    ``width`` and ``height`` are those of one frame as stored, before orientation, in pixels.
    ``frames`` counts frames or pages; with ``animated`` they are frames. With ``needs_full_frame``
    the codec must hold a whole frame in memory. ``scans`` is how often the codec goes over the
    whole frame.
    """

    format: FormatName
    width: int
    height: int
    frames: int = 1
    animated: bool = False
    needs_full_frame: bool = False
    scans: int = 1

    @property
    def pixels(self) -> int:
        """Pixels in one frame."""
        return self.width * self.height


MAX_PARTS = 200_000
"""Chunks, segments, boxes or entries of one original. Ordinary files have at most thousands."""


class StepLimit:
    """Bounds the time to walk through a file: a small one may have very many parts."""

    def __init__(self) -> None:
        self._left = MAX_PARTS

    def count(self, parts: int = 1) -> None:
        """Raise ValueError where there are too many."""
        self._left -= parts
        if self._left < 0:
            raise ValueError(f"more than {MAX_PARTS} parts")


def read_int(view: memoryview, format: str, offset: int) -> int:
    """Read one integer; ``format`` is that of `struct`. Raises ValueError beyond the end."""
    if not 0 <= offset <= len(view):  # for huge offsets struct raises another error
        raise ValueError(f"an offset outside of the file: {offset}")
    try:
        (value,) = struct.unpack_from(format, view, offset)
    except struct.error as error:
        raise ValueError(f"ends before {offset + struct.calcsize(format)}") from error
    return int(value)
