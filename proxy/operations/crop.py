from typing import Annotated

from msgspec import Meta

from proxy.errors import OperationNotApplicable
from proxy.geometry import Box
from proxy.imaging.picture import Picture
from proxy.operations.operation import Operation
from proxy.operations.params import Offset, Side


class Crop(Operation, frozen=True):
    """Cut out a rectangle. It must lie completely inside the picture."""

    changes_size = True
    nanoseconds_per_pixel = 2

    left_in_px: Annotated[Offset, Meta(description="Left edge, in pixels from the left.")]
    top_in_px: Annotated[Offset, Meta(description="Top edge, in pixels from the top.")]
    width_in_px: Annotated[Side, Meta(description="Width in pixels.")]
    height_in_px: Annotated[Side, Meta(description="Height in pixels.")]

    def apply(self, picture: Picture) -> Picture:
        box = Box(self.left_in_px, self.top_in_px, self.width_in_px, self.height_in_px)
        if not box.is_inside(picture.natural_size):
            raise OperationNotApplicable(
                f"crop: the rectangle {box.size} at {box.left},{box.top} is not inside the picture "
                f"of {picture.natural_size}"
            )
        return picture.with_frame(
            picture.map_frames(lambda frame: frame.crop(box.left, box.top, box.width, box.height))
        )
