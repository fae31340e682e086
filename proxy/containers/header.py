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

    @property
    def work(self) -> int:
        """Pixels that a codec writes to decode everything, a measure of cost before decoding."""
        return self.pixels * self.frames * self.scans


def number(view: memoryview, form: str, at: int) -> int:
    """One number in the notation of ``struct``. Raises ValueError beyond the end."""
    if at < 0:
        raise ValueError("an offset before the beginning")
    try:
        (value,) = struct.unpack_from(form, view, at)
    except struct.error as error:
        raise ValueError(f"ends before {at + struct.calcsize(form)}") from error
    return int(value)
