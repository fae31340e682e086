"""What is known of a picture before it is decoded, and how its numbers are read."""

import struct

from msgspec import Struct

from proxy.formats import Name


class Header(Struct, frozen=True):
    """What an original's structure says.

    ``width`` and ``height`` are those of one frame as stored, before any orientation, in pixels.
    ``frames`` counts frames or pages; ``timed`` says that they are frames of an animation.
    ``held`` says that the codec must hold a whole frame in memory. ``scans`` is how often the
    codec goes over the whole frame.
    """

    format: Name
    width: int
    height: int
    frames: int = 1
    timed: bool = False
    held: bool = False
    scans: int = 1

    @property
    def pixels(self) -> int:
        """Pixels in one frame."""
        return self.width * self.height


MOST_PARTS = 200_000
"""Chunks, segments, boxes or entries that an original is made of; honest ones have thousands."""


class Walk:
    """Bounds a walk from part to part, since a small file may be made of nothing but parts."""

    def __init__(self) -> None:
        self._left = MOST_PARTS

    def step(self, parts: int = 1) -> None:
        """Raises ValueError where there are too many."""
        self._left -= parts
        if self._left < 0:
            raise ValueError(f"more than {MOST_PARTS} parts")


def number(view: memoryview, form: str, at: int) -> int:
    """One number in the notation of ``struct``. Raises ValueError beyond the end."""
    if not 0 <= at <= len(view):  # beyond some size, struct has another error for it
        raise ValueError("an offset outside")
    try:
        (value,) = struct.unpack_from(form, view, at)
    except struct.error as error:
        raise ValueError(f"ends before {at + struct.calcsize(form)}") from error
    return int(value)
