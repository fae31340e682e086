"""Boxes as fractions of a picture's sides, and the way to pixels."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from proxy.geometry import Box, Size


class Edges(NamedTuple):
    """A box in fractions of the picture's width and height; it may reach out of the picture."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        return self.right - self.left

    @property
    def height(self) -> float:
        return self.bottom - self.top

    def grow(self, sides: float, above: float, below: float) -> Edges:
        """Larger by shares of its own width and height, also out of the picture."""
        return Edges(
            self.left - sides * self.width,
            self.top - above * self.height,
            self.right + sides * self.width,
            self.bottom + below * self.height,
        )

    def clip(self) -> Edges:
        """The part inside the picture."""
        return Edges(
            max(0.0, self.left), max(0.0, self.top), min(1.0, self.right), min(1.0, self.bottom)
        )

    def overlaps(self, other: Edges) -> bool:
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )

    def share_of(self, other: Edges) -> float:
        """The share of another box that lies in this one."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(0.0, width) * max(0.0, height) / (other.width * other.height)

    def to_pixels(self, picture: Size, min_share: float, max_share: float) -> Box:
        """The box in pixels; each side has at least and at most these shares of the picture's."""
        x, width = _to_pixels(self.left, self.right, picture.width, min_share, max_share)
        y, height = _to_pixels(self.top, self.bottom, picture.height, min_share, max_share)
        return Box(x, y, width, height)


def bounding_box(boxes: Iterable[Edges]) -> Edges:
    """The smallest box around all of them; there is at least one."""
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return Edges(min(lefts), min(tops), max(rights), max(bottoms))


def _to_pixels(
    start: float, end: float, length: int, min_share: float, max_share: float
) -> tuple[int, int]:
    """Start and extent of an interval in pixels."""
    extent = min(max(end - start, min_share), max_share)
    center = min(max((start + end) / 2, extent / 2), 1 - extent / 2)
    pixels = max(1, min(round(extent * length), int(max_share * length)))
    return min(max(0, round((center - extent / 2) * length)), length - pixels), pixels
