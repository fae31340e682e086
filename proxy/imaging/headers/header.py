"""ImageHeader: what is known of an image before it is decoded; and how headers are read."""

import struct

from msgspec import Struct

from proxy.errors import ImageTooLarge
from proxy.formats import FormatName


class ImageHeader(Struct, frozen=True):
    """What the structure of an original shows.

    ``width`` and ``height`` are those of one frame as stored, before orientation, in pixels.
    ``frames`` counts frames or pages; with ``animated`` they are frames. With ``needs_full_frame``
    the codec holds a whole frame in memory. ``scans`` is how often the codec goes over the
    whole frame. ``quality`` is that of a JPEG by its tables, 1 to 100. ``lossless`` is set where a
    file of a lossy format is lossless.
    """

    format: FormatName
    width: int
    height: int
    frames: int = 1
    animated: bool = False
    needs_full_frame: bool = False
    scans: int = 1
    quality: int | None = None
    lossless: bool = False

    @property
    def pixels(self) -> int:
        """Pixels in one frame."""
        return self.width * self.height


MAX_STEPS = 200_000
"""Chunks, segments, boxes or entries of one original. Ordinary files have at most thousands."""

_BYTES_PER_STEP = 200
"""A further step for so many bytes: ordinary GIFs consist of blocks of 256 bytes."""

MAX_INFLATED_BYTES = 8 * 1024 * 1024
"""Compressed texts and profiles of one original, all together."""


class ProbeBudget:
    """Bounds what it costs to read one header, in any format: a small file may hold very much.

    Both bounds raise ImageTooLarge.
    """

    def __init__(
        self,
        length: int,
        *,
        max_steps: int = MAX_STEPS,
        max_inflated_bytes: int = MAX_INFLATED_BYTES,
    ) -> None:
        """``length`` is that of the original, in bytes."""
        self._max_steps = max_steps + length // _BYTES_PER_STEP
        self._max_inflated_bytes = max_inflated_bytes
        self._steps = self._inflated_bytes = 0

    @property
    def is_exceeded(self) -> bool:
        return self._steps > self._max_steps or self._inflated_bytes > self._max_inflated_bytes

    def count(self, steps: int = 1) -> None:
        """Count chunks, segments, blocks, boxes or entries."""
        self._steps += steps
        if self._steps > self._max_steps:
            raise ImageTooLarge(f"the original consists of more than {self._max_steps} parts")

    def count_inflated(self, length: int) -> None:
        """Count bytes that go into a decompressor or come out of it."""
        self._inflated_bytes += length
        if self._inflated_bytes > self._max_inflated_bytes:
            raise ImageTooLarge(
                "the compressed texts and profiles of the original are larger than "
                f"{self._max_inflated_bytes} bytes"
            )


def read_int(view: memoryview, format: str, offset: int) -> int:
    """Read one integer; ``format`` is that of `struct`. Raises ValueError beyond the end."""
    if not 0 <= offset <= len(view):  # for huge offsets struct raises another error
        raise ValueError(f"an offset outside of the file: {offset}")
    try:
        (value,) = struct.unpack_from(format, view, offset)
    except struct.error as error:
        raise ValueError(f"ends before {offset + struct.calcsize(format)}") from error
    return int(value)
