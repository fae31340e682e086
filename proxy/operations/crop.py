from fractions import Fraction
from math import floor
from typing import Annotated

from msgspec import Meta, structs

from proxy.errors import OperationNotApplicable
from proxy.geometry import Box, Size, anchor
from proxy.imaging.picture import Picture
from proxy.operations.box import (
    AspectRatio,
    RelativeOffset,
    RelativeSide,
    check_box,
    is_share,
    resolve_box,
    resolve_side,
    to_fraction,
)
from proxy.operations.gravity import CompassPosition, to_fractions
from proxy.operations.operation import Operation


class Crop(Operation, frozen=True):
    """Cut out a rectangle. It must lie completely inside the picture.

    `crop:100:50:800:600` is 800 by 600 pixels, 100 from the left and 50 from the top.
    `crop:ratio=16x9` is the largest rectangle of that ratio.

    A number from 1 on is in pixels. A number below 1 is a share of the picture's width or height,
    as it is at this step: `crop:width=0.5` keeps half of the width.
    """

    changes_size = True
    nanoseconds_per_pixel = 2

    left_in_px: Annotated[
        RelativeOffset | None,
        Meta(
            description="Left edge: pixels from the left, or a share. Without it, `position` "
            "decides."
        ),
    ] = None
    top_in_px: Annotated[
        RelativeOffset | None,
        Meta(
            description="Top edge: pixels from the top, or a share. Without it, `position` decides."
        ),
    ] = None
    width_in_px: Annotated[
        RelativeSide | None,
        Meta(
            description="Width in pixels or as a share. Without it, it follows from `ratio`, or is "
            "all from the left edge on."
        ),
    ] = None
    height_in_px: Annotated[
        RelativeSide | None,
        Meta(
            description="Height in pixels or as a share. Without it, it follows from `ratio`, or "
            "is all from the top edge on."
        ),
    ] = None
    ratio: Annotated[
        AspectRatio | None,
        Meta(description="Aspect ratio, where only one side is given, or none."),
    ] = None
    position: Annotated[
        CompassPosition,
        Meta(
            description="Which part is kept where an edge is not given. `smart_crop` keeps the "
            "subject."
        ),
    ] = "center"

    def __post_init__(self) -> None:
        if self.width_in_px is None and self.height_in_px is None and self.ratio is None:
            raise ValueError(
                "width_in_px is missing: give width_in_px, height_in_px or a ratio such as 16x9"
            )
        ratio = check_box(self.width_in_px, self.height_in_px, self.ratio)
        structs.force_setattr(self, "ratio", ratio)

    def only_moves_pixels(self) -> bool:
        return True

    def apply(self, picture: Picture) -> Picture:
        box = self._box(picture.natural_size)
        if not box.is_inside(picture.natural_size):
            raise OperationNotApplicable(
                f"crop: the rectangle {box.size} at {box.left},{box.top} is not inside the picture "
                f"of {picture.natural_size}"
            )
        return picture.with_frame(
            picture.map_frames(lambda frame: frame.crop(box.left, box.top, box.width, box.height))
        )

    def _box(self, natural: Size) -> Box:
        left = _resolve_offset(self.left_in_px, natural.width)
        top = _resolve_offset(self.top_in_px, natural.height)
        rest = Size(max(1, natural.width - (left or 0)), max(1, natural.height - (top or 0)))
        width = _resolve_length(self.left_in_px, self.width_in_px, natural.width)
        height = _resolve_length(self.top_in_px, self.height_in_px, natural.height)
        if self.ratio is None:
            size = Size(width or rest.width, height or rest.height)
        else:
            size = resolve_box(rest, width, height, self.ratio)
        placed = anchor(size, natural, *to_fractions(self.position))
        return Box(
            placed.left if left is None else left,
            placed.top if top is None else top,
            size.width,
            size.height,
        )


def _resolve_offset(offset: float | None, natural: int) -> int | None:
    if offset is None or not is_share(offset):
        return None if offset is None else int(offset)
    return min(natural - 1, _round_half_up(to_fraction(offset) * natural))


def _resolve_length(offset: float | None, length: float | None, natural: int) -> int | None:
    """The length in pixels; shares of offset and length together end at the pixel they add up to.

    So 0.3 and 0.7 never stick out.
    """
    start = _resolve_offset(offset, natural)
    if start is None or offset is None or length is None or not is_share(length):
        return resolve_side(length, natural)
    exact = to_fraction(offset) * natural if is_share(offset) else Fraction(start)
    end = _round_half_up(exact + to_fraction(length) * natural)
    return max(1, end - start)


def _round_half_up(number: Fraction) -> int:
    return floor(number + Fraction(1, 2))
