from proxy.errors import OperationNotApplicable
from proxy.geometry import Box
from proxy.imaging.image import Picture
from proxy.operations.params import Offset, Side
from proxy.operations.plan import Operation


class Crop(Operation, frozen=True):
    """Cut out a rectangle. One that does not lie inside the picture is refused."""

    left_in_px: Offset
    top_in_px: Offset
    width_in_px: Side
    height_in_px: Side

    def apply(self, picture: Picture) -> Picture:
        box = Box(self.left_in_px, self.top_in_px, self.width_in_px, self.height_in_px)
        if not box.inside(picture.natural):
            raise OperationNotApplicable(
                f"crop: {box.size} at {box.left},{box.top} is outside the picture of "
                f"{picture.natural}"
            )
        return picture.reframed(
            picture.each(lambda one: one.crop(box.left, box.top, box.width, box.height))
        )
