"""Sizes and boxes: integer arithmetic on pixels, no image library.

Origin is the top left corner. A scaled side is rounded to the nearest pixel, halves upwards, and is
never less than 1, so that no picture vanishes.
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
    """A rectangle in pixels: its top left corner and its extent."""

    left: int
    top: int
    width: int
    height: int

    @property
    def size(self) -> Size:
        return Size(self.width, self.height)

    def inside(self, size: Size) -> bool:
        """Whether the whole box lies on a raster of that size."""
        return (
            self.left >= 0
            and self.top >= 0
            and self.left + self.width <= size.width
            and self.top + self.height <= size.height
        )


def proportion(value: int, numerator: int, denominator: int) -> int:
    """``value * numerator / denominator``, rounded to the nearest whole number, at least 1."""
    return max(1, (2 * value * numerator + denominator) // (2 * denominator))


def within(natural: Size, frame: Size) -> Size:
    """The natural ratio at the largest size that fits into the frame; one side meets it exactly."""
    if natural.width * frame.height >= natural.height * frame.width:
        height = proportion(natural.height, frame.width, natural.width)
        return Size(frame.width, min(frame.height, height))
    return Size(
        min(frame.width, proportion(natural.width, frame.height, natural.height)), frame.height
    )


def covering(natural: Size, frame: Size) -> Size:
    """The natural ratio at the smallest size that covers the frame; one side meets it exactly."""
    if natural.width * frame.height >= natural.height * frame.width:
        width = proportion(natural.width, frame.height, natural.height)
        return Size(max(frame.width, width), frame.height)
    return Size(
        frame.width, max(frame.height, proportion(natural.height, frame.width, natural.width))
    )


def completed(natural: Size, width: int | None, height: int | None) -> Size:
    """The frame meant by a width, a height, or both; a missing side follows from the other."""
    if width is not None and height is not None:
        return Size(width, height)
    if width is not None:
        return Size(width, proportion(natural.height, width, natural.width))
    if height is not None:
        return Size(proportion(natural.width, height, natural.height), height)
    return natural


def largest_window(picture: Size, ratio: Size) -> Size:
    """The largest window of that ratio inside the picture; one side meets it exactly."""
    return within(ratio, picture)


def anchored(window: Size, picture: Size, x: float, y: float) -> Box:
    """The window placed inside the picture: (0, 0) is top left, (1, 1) is bottom right."""
    left = round((picture.width - window.width) * x)
    top = round((picture.height - window.height) * y)
    return Box(left, top, window.width, window.height)


def around(window: Size, picture: Size, x: int, y: int) -> Box:
    """The window with its middle as near to a point of the picture as the picture's edges allow."""
    left = min(max(0, x - window.width // 2), picture.width - window.width)
    top = min(max(0, y - window.height // 2), picture.height - window.height)
    return Box(left, top, window.width, window.height)


def magnified(natural: Size, window: Box, frame: Size) -> tuple[Size, Box]:
    """How large the whole is once a window of it fills the frame, and where the window is then."""
    whole = Size(
        max(frame.width, proportion(natural.width, frame.width, window.width)),
        max(frame.height, proportion(natural.height, frame.height, window.height)),
    )
    left = window.left * frame.width // window.width
    top = window.top * frame.height // window.height
    return whole, Box(
        min(left, whole.width - frame.width),
        min(top, whole.height - frame.height),
        frame.width,
        frame.height,
    )
