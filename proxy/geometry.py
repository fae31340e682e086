"""Sizes and boxes in pixels: integer arithmetic without an image library.

The origin is the top left corner. Scaled sides are rounded to the nearest pixel, halves up, and are
at least 1.
"""

from msgspec import Struct


class Size(Struct, frozen=True, order=True):
    """Width and height in pixels, each at least 1."""

    width: int
    height: int

    @property
    def pixels(self) -> int:
        return self.width * self.height

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


class Box(Struct, frozen=True, order=True):
    """A rectangle in pixels."""

    left: int
    top: int
    width: int
    height: int

    @property
    def size(self) -> Size:
        return Size(self.width, self.height)

    def is_inside(self, size: Size) -> bool:
        """Whether the whole box lies in a picture of that size."""
        return (
            self.left >= 0
            and self.top >= 0
            and self.left + self.width <= size.width
            and self.top + self.height <= size.height
        )


def scale_length(length: int, numerator: int, denominator: int) -> int:
    """``length * numerator / denominator``, rounded to the nearest integer, at least 1."""
    return max(1, (2 * length * numerator + denominator) // (2 * denominator))


def contain(natural: Size, frame: Size) -> Size:
    """Scale to the largest size inside the frame that keeps the aspect ratio."""
    if natural.width * frame.height >= natural.height * frame.width:
        height = scale_length(natural.height, frame.width, natural.width)
        return Size(frame.width, min(frame.height, height))
    width = scale_length(natural.width, frame.height, natural.height)
    return Size(min(frame.width, width), frame.height)


def cover(natural: Size, frame: Size) -> Size:
    """Scale to the smallest size that covers the frame and keeps the aspect ratio."""
    if natural.width * frame.height >= natural.height * frame.width:
        width = scale_length(natural.width, frame.height, natural.height)
        return Size(max(frame.width, width), frame.height)
    height = scale_length(natural.height, frame.width, natural.width)
    return Size(frame.width, max(frame.height, height))


def resolve_size(natural: Size, width: int | None, height: int | None) -> Size:
    """Complete a size: a missing side follows from the other by the natural aspect ratio."""
    if width is not None and height is not None:
        return Size(width, height)
    if width is not None:
        return Size(width, scale_length(natural.height, width, natural.width))
    if height is not None:
        return Size(scale_length(natural.width, height, natural.height), height)
    return natural


def largest_window(picture: Size, ratio: Size) -> Size:
    """The largest window of that aspect ratio inside the picture."""
    return contain(ratio, picture)


def anchor(window: Size, picture: Size, x: float, y: float) -> Box:
    """Place the window in the picture: (0, 0) is top left, (1, 1) is bottom right."""
    left = round((picture.width - window.width) * x)
    top = round((picture.height - window.height) * y)
    return Box(left, top, window.width, window.height)


def zoom_to(natural: Size, window: Box, frame: Size) -> tuple[Size, Box]:
    """Scale the picture so that a window of it fills the frame.

    Returns the scaled size of the whole picture, and the scaled window.
    """
    size = Size(
        max(frame.width, scale_length(natural.width, frame.width, window.width)),
        max(frame.height, scale_length(natural.height, frame.height, window.height)),
    )
    left = window.left * frame.width // window.width
    top = window.top * frame.height // window.height
    return size, Box(
        min(left, size.width - frame.width),
        min(top, size.height - frame.height),
        frame.width,
        frame.height,
    )
