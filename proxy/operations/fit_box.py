"""The operation `fit_box`: the size arithmetic of thumbor and imagor, to the pixel."""

import math
from typing import Annotated, Literal

from msgspec import Meta

from proxy.geometry import Box, Size, zoom_to
from proxy.imaging.picture import Picture, detection_size
from proxy.imaging.resize import resize, resize_and_crop
from proxy.operations.gravity import SMART_POSITIONS, Position, to_fractions
from proxy.operations.operation import Operation
from proxy.operations.params import Side
from proxy.smartcrop.placement import place_crop

BoxSide = Side | Literal["original"] | None
FocalRegion = Annotated[
    str,
    Meta(
        pattern=r"^[0-9]{1,6}(?:\.[0-9]{1,6})?(?:x[0-9]{1,6}(?:\.[0-9]{1,6})?){3}$",
        title="LEFTxTOPxRIGHTxBOTTOM, in pixels or, where none is more than 1, in fractions",
    ),
]
_ROUNDING = 1e-5
"""Added before rounding, so that halves are rounded up."""


class FitBox(Operation, frozen=True):
    """Scale the picture to a box whose sides may be those of the picture.

    `cover` fills the box and crops around `focal`, or else as `position` says. `inside` shows the
    whole picture in the box. `outside` covers the box without cropping. `fill` stretches.
    """

    changes_size = True
    nanoseconds_per_pixel = 30

    width_in_px: Annotated[
        BoxSide,
        Meta(
            description="Width of the box. `original` is the picture's; without it, it follows "
            "from the height."
        ),
    ] = None
    height_in_px: Annotated[BoxSide, Meta(description="The same for the height.")] = None
    fit: Annotated[
        Literal["cover", "inside", "outside", "fill"],
        Meta(description="How the picture is fitted into the box."),
    ] = "cover"
    adaptive: Annotated[
        bool,
        Meta(
            description="Whether width and height are swapped where one of picture and box is "
            "landscape and the other portrait."
        ),
    ] = False
    enlarge: Annotated[
        bool,
        Meta(
            description="Without it, `inside` leaves a smaller picture as it is, and the other "
            "fits take no side of the box longer than the picture's."
        ),
    ] = True
    position: Annotated[
        Position, Meta(description="Which part `cover` keeps. `smart` keeps the subject.")
    ] = "center"
    focal: Annotated[
        tuple[FocalRegion, ...],
        Meta(
            max_length=16,
            description="Parts that `cover` keeps, as LEFTxTOPxRIGHTxBOTTOM in pixels, or as "
            "fractions where none is more than 1.",
        ),
    ] = ()
    scale: Annotated[
        float,
        Meta(gt=0, le=1, description="Factor for the sides of the result, rounded down."),
    ] = 1.0

    def only_moves_pixels(self) -> bool:
        return True

    def apply(self, picture: Picture) -> Picture:
        natural = picture.natural_size
        box = self._box(natural)
        if self.fit != "cover" or _is_same_ratio(natural, box):
            return resize(picture, self._scaled(self._target(natural, box)))
        frame = self._scaled(box)
        window = _crop_size(natural, box)
        if self._is_smart():
            picture, subject = picture.detect_subject()
            placed = place_crop(subject, natural, window)
            picture = picture.with_crop_reason(placed.reason)
            window_box = placed.box
        else:
            window_box = self._place(window, natural)
        size, scaled_box = zoom_to(natural, window_box, frame)
        return resize_and_crop(picture, size, scaled_box)

    def required_size(self, natural: Size) -> Size:
        box = self._box(natural)
        target = self._target(natural, box)
        if self.fit == "cover":
            frame = self._scaled(box)
            window = _crop_size(natural, box)
            target = zoom_to(natural, Box(0, 0, window.width, window.height), frame)[0]
        else:
            target = self._scaled(target)
        return max(target, detection_size(natural)) if self.uses_detection() else target

    def scales_to_pixels(self) -> bool:
        return True

    def uses_detection(self) -> bool:
        return self._is_smart() and self.fit == "cover"

    def _is_smart(self) -> bool:
        return self.position in SMART_POSITIONS and not self.focal

    def _box(self, natural: Size) -> Size:
        width = natural.width if self.width_in_px == "original" else self.width_in_px
        height = natural.height if self.height_in_px == "original" else self.height_in_px
        if not self.enlarge and self.fit != "inside":
            width = width and min(width, natural.width)
            height = height and min(height, natural.height)
        if not width and not height:
            return natural
        box = Size(
            width or max(1, round((height or 0) * natural.width / natural.height)),
            height or max(1, round((width or 0) * natural.height / natural.width)),
        )
        if self.adaptive and (natural.width - natural.height) * (box.width - box.height) < 0:
            box = Size(box.height, box.width)
        return box

    def _target(self, natural: Size, box: Size) -> Size:
        """The size of the whole picture in the box."""
        if self.fit in ("cover", "fill"):
            return box
        is_inside = self.fit == "inside"
        fits = box.width >= natural.width and box.height >= natural.height
        if is_inside and fits and not self.enlarge:
            return natural
        is_wider = natural.width * box.height >= natural.height * box.width
        is_taller = natural.width * box.height <= natural.height * box.width
        if is_wider if is_inside else is_taller:
            height = round(natural.height * box.width / natural.width + _ROUNDING)
            return Size(box.width, max(1, height))
        width = round(natural.width * box.height / natural.height + _ROUNDING)
        return Size(max(1, width), box.height)

    def _scaled(self, size: Size) -> Size:
        if self.scale == 1:
            return size
        return Size(
            max(1, int(size.width * self.scale)),
            max(1, int(size.height * self.scale)),
        )

    def _place(self, window: Size, natural: Size) -> Box:
        x, y = self._focus(natural)
        left = round(min(max(x - window.width / 2, 0.0), natural.width - window.width))
        top = round(min(max(y - window.height / 2, 0.0), natural.height - window.height))
        return Box(left, top, window.width, window.height)

    def _focus(self, natural: Size) -> tuple[float, float]:
        """The point in the middle: that of all focal regions, weighted by their areas."""
        if not self.focal:
            x, y = to_fractions(self.position)
            return x * natural.width, y * natural.height
        regions = [_parse_region(text, natural) for text in self.focal]
        areas = [max(0.0, (right - left) * (bottom - top)) for left, top, right, bottom in regions]
        weights = areas if any(areas) else [1.0] * len(areas)
        pairs = list(zip(weights, regions, strict=True))
        total = sum(weights)
        return (
            sum(weight * (left + right) / 2 for weight, (left, _, right, _) in pairs) / total,
            sum(weight * (top + bottom) / 2 for weight, (_, top, _, bottom) in pairs) / total,
        )


def _is_same_ratio(natural: Size, box: Size) -> bool:
    """A difference that nobody sees is stretched away instead of cropped."""
    return round(natural.width / natural.height, 2) == round(box.width / box.height, 2)


def _crop_size(natural: Size, box: Size) -> Size:
    """The part of the picture that has the aspect ratio of the box."""
    if box.width * natural.height > box.height * natural.width:
        return Size(natural.width, max(1, round(natural.width * box.height / box.width)))
    width = math.ceil(box.width * natural.height / box.height)
    return Size(min(natural.width, width), natural.height)


def _parse_region(text: str, natural: Size) -> tuple[float, float, float, float]:
    left, top, right, bottom = map(float, text.split("x"))
    if max(left, top, right, bottom) > 1:
        return left, top, right, bottom
    return (
        left * natural.width,
        top * natural.height,
        right * natural.width,
        bottom * natural.height,
    )
