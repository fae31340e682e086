from typing import Annotated

from msgspec import Meta

from proxy.geometry import Box, Size
from proxy.imaging.color import Background
from proxy.imaging.image import Picture
from proxy.imaging.resize import mounted_on
from proxy.operations.plan import Operation

Border = Annotated[int, Meta(ge=0, le=16_384)]


class Extend(Operation, frozen=True):
    """Put a border around the picture. `hex_color` is a colour, or `transparent`."""

    top_in_px: Border
    bottom_in_px: Border
    left_in_px: Border
    right_in_px: Border
    hex_color: Background = "#000000"

    def apply(self, picture: Picture) -> Picture:
        width, height = picture.natural.width, picture.natural.height
        frame = Size(
            self.left_in_px + width + self.right_in_px,
            self.top_in_px + height + self.bottom_in_px,
        )
        box = Box(self.left_in_px, self.top_in_px, width, height)
        return picture.reframed(
            picture.each(lambda one: mounted_on(one, frame, box, self.hex_color))
        )
