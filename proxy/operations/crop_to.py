import math
from typing import Annotated

from msgspec import Meta

from proxy.geometry import Size
from proxy.imaging.picture import Picture
from proxy.operations.focus import SmartFocus, detect_focus, set_focus
from proxy.operations.gravity import SMART_POSITIONS, KeptPosition, place
from proxy.operations.operation import Operation
from proxy.operations.params import InwardOffset
from proxy.smartcrop.placement import place_window

Length = Annotated[float, Meta(ge=0, le=100_000)]


class CropTo(Operation, frozen=True):
    """Cut out a window of a size, placed by `gravity`.

    A side from 1 on is in pixels, a side below 1 is a fraction of the picture's, and 0 is the whole
    side. A side that is longer than the picture's is the whole side, too.
    """

    changes_size = True
    nanoseconds_per_pixel = 2

    width: Annotated[Length, Meta(description="Width in pixels, or as a fraction.")]
    height: Annotated[Length, Meta(description="Height in pixels, or as a fraction.")]
    gravity: KeptPosition = "center"
    x_offset: Annotated[
        InwardOffset,
        Meta(
            description="Distance from the edge that `gravity` names, at the center to the right. "
            "From 1 on, pixels; below 1, a fraction of the picture."
        ),
    ] = 0.0
    y_offset: Annotated[InwardOffset, Meta(description="The same from top or bottom.")] = 0.0
    focus: SmartFocus = "auto"

    def __post_init__(self) -> None:
        set_focus(self, self.focus)

    def only_moves_pixels(self) -> bool:
        return True

    def apply(self, picture: Picture) -> Picture:
        size = picture.natural_size
        window = Size(_side(self.width, size.width), _side(self.height, size.height))
        if window == size:
            return picture
        if self.uses_detection():
            picture, subject = detect_focus(self, picture, self.focus)
            placed = place_window(subject, size, window, self.focus)
            box, picture = placed.box, picture.with_crop_reason(placed.reason)
        else:
            box = place(window, size, self.gravity, self.x_offset, self.y_offset)
        return picture.with_frame(
            picture.map_frames(lambda frame: frame.crop(box.left, box.top, box.width, box.height))
        )

    def uses_detection(self) -> bool:
        return self.gravity in SMART_POSITIONS


def _side(wanted: float, side: int) -> int:
    if wanted == 0:
        return side
    pixels = int(wanted) if wanted >= 1 else max(1, math.floor(side * wanted + 0.5))
    return min(side, pixels)
