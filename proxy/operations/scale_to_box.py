"""The operation `scale_to_box`: the size arithmetic of IPX's `resize`."""

import math
from typing import Annotated, Literal

from msgspec import Meta

from proxy.geometry import Box, Size, contain, cover
from proxy.imaging.canvas_fill import FILLS, CanvasBackground, fill_cost, put_on_canvas
from proxy.imaging.picture import Picture, detection_size
from proxy.imaging.resize import resize, resize_and_crop
from proxy.operations.gravity import SMART_POSITIONS, Position, to_fractions
from proxy.operations.operation import Operation
from proxy.operations.params import Side
from proxy.smartcrop.placement import place_crop


class ScaleToBox(Operation, frozen=True):
    """Scale the picture to a box that is no larger than the picture.

    A box that is wider or higher than the picture is made smaller first, and keeps its aspect
    ratio. So `cover` and `contain` always give a picture of the aspect ratio of the box.

    `cover` fills the box and crops what does not fit. `contain` shows the whole picture in the box
    and fills the rest with `background`. `fill` stretches. `inside` scales the picture to the
    largest size in the box, `outside` to the smallest size that covers the box.
    """

    changes_size = True
    nanoseconds_per_pixel = 30

    width_in_px: Annotated[Side, Meta(description="Width of the box, in pixels.")]
    height_in_px: Annotated[Side, Meta(description="Height of the box, in pixels.")]
    fit: Annotated[
        Literal["cover", "contain", "fill", "inside", "outside"],
        Meta(description="How the picture is fitted into the box."),
    ] = "cover"
    position: Annotated[
        Position,
        Meta(
            description="Which part `cover` keeps, or where `contain` puts the picture. `smart` "
            "keeps the subject."
        ),
    ] = "center"
    background: Annotated[
        CanvasBackground,
        Meta(description=f"Color around the picture with `contain`. {FILLS}"),
    ] = "#000000"
    enlarge: Annotated[
        bool, Meta(description="Whether a box that is larger than the picture stays as it is.")
    ] = False

    def only_moves_pixels(self) -> bool:
        return self.fit != "contain"

    def apply(self, picture: Picture) -> Picture:
        natural = picture.natural_size
        box, size = self._box(natural), self._scaled_size(natural)
        if self.fit == "contain":
            return self._embed(resize(picture, size), box)
        if self.fit != "cover":
            return resize(picture, size)
        if self.uses_detection():
            picture, subject = picture.detect_subject()
            placed = place_crop(subject, size, box)
            cropped = resize_and_crop(picture, size, placed.box)
            return cropped.with_crop_reason(placed.reason)
        x, y = to_fractions(self.position)
        window = Box(
            _offset(size.width - box.width, x, 1),
            _offset(size.height - box.height, y, 1),
            box.width,
            box.height,
        )
        return resize_and_crop(picture, size, window)

    def pixel_cost(self) -> float:
        return self.nanoseconds_per_pixel + fill_cost(self.background)

    def required_size(self, natural: Size) -> Size:
        size = self._scaled_size(natural)
        return max(size, detection_size(natural)) if self.uses_detection() else size

    def scales_to_pixels(self) -> bool:
        return True

    def uses_detection(self) -> bool:
        return self.fit == "cover" and self.position in SMART_POSITIONS

    def _box(self, natural: Size) -> Size:
        width, height = self.width_in_px, self.height_in_px
        ratio = width / height
        if not self.enlarge and width > natural.width:
            width, height = natural.width, _round(natural.width / ratio)
        if not self.enlarge and height > natural.height:
            width, height = _round(natural.height * ratio), natural.height
        return Size(max(1, width), max(1, height))

    def _scaled_size(self, natural: Size) -> Size:
        """The size of the whole picture, before it is cropped or put on a background."""
        box = self._box(natural)
        match self.fit:
            case "cover" | "outside":
                return cover(natural, box)
            case "contain" | "inside":
                return contain(natural, box)
            case "fill":
                return box

    def _embed(self, picture: Picture, canvas: Size) -> Picture:
        position = "center" if self.position in SMART_POSITIONS else self.position
        size, (x, y) = picture.natural_size, to_fractions(position)
        box = Box(
            _offset(canvas.width - size.width, x),
            _offset(canvas.height - size.height, y),
            size.width,
            size.height,
        )
        return put_on_canvas(picture, canvas, box, self.background)


def _offset(excess: int, fraction: float, added: int = 0) -> int:
    """Where a window begins, as sharp has it; ``excess`` is what is left beside it.

    It rounds down, after it has added a pixel where a picture is cropped.
    """
    return min(excess, int((excess + added) * fraction))


def _round(number: float) -> int:
    """Round half up, as JavaScript does."""
    return math.floor(number + 0.5)
