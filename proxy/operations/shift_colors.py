from typing import Annotated

from msgspec import Meta

from proxy.imaging.alpha import map_rgb
from proxy.imaging.picture import Picture
from proxy.operations.operation import Operation

Shift = Annotated[float, Meta(ge=-100, le=100)]


class ShiftColors(Operation, frozen=True):
    """Add to red, green and blue. The same number for all makes the picture brighter or darker."""

    changes_size = False
    nanoseconds_per_pixel = 5

    red_in_percent: Annotated[Shift, Meta(description="100 makes red full, -100 removes it.")] = 0.0
    green_in_percent: Annotated[Shift, Meta(description="The same for green.")] = 0.0
    blue_in_percent: Annotated[Shift, Meta(description="The same for blue.")] = 0.0

    def apply(self, picture: Picture) -> Picture:
        percents = (self.red_in_percent, self.green_in_percent, self.blue_in_percent)
        offsets = [percent * 2.55 for percent in percents]
        return picture.with_pixels(
            map_rgb(picture.image, lambda rgb: rgb.linear([1, 1, 1], offsets, uchar=True))
        )
