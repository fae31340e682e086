import math
from typing import Annotated

import pyvips
from msgspec import Meta

from proxy.imaging.alpha import composite
from proxy.imaging.color import HexColor, parse_color
from proxy.imaging.picture import Picture
from proxy.operations.operation import Operation
from proxy.operations.params import Degrees

Share = Annotated[float, Meta(ge=0, le=1)]


class Gradient(Operation, frozen=True):
    """Lay a color over the picture that becomes stronger in one direction.

    It makes a caption readable, for example.
    """

    changes_size = False
    nanoseconds_per_pixel = 40

    opacity: Annotated[
        Share, Meta(description="Where the color is strongest: 1 hides the picture.")
    ]
    hex_color: Annotated[HexColor, Meta(description="The color.")] = "#000000"
    angle_in_degrees: Annotated[
        Degrees,
        Meta(description="Direction, clockwise: 0 is down, 90 to the left, 180 up, 270 right."),
    ] = 0.0
    start: Annotated[Share, Meta(description="Where the color begins, along the direction.")] = 0.0
    stop: Annotated[Share, Meta(description="Where it is strongest, along the direction.")] = 1.0

    def apply(self, picture: Picture) -> Picture:
        size = picture.frame_size
        overlay = self._draw(size.width, size.height)
        return picture.with_pixels(
            picture.map_frames(lambda frame: composite(frame, overlay, 0, 0))
        )

    def _draw(self, width: int, height: int) -> pyvips.Image:
        angle = math.radians(self.angle_in_degrees)
        x, y = -math.sin(angle), math.cos(angle)
        # The projections of the corners on the direction are the ends of the way.
        ends = [across * x * width + down * y * height for across in (0, 1) for down in (0, 1)]
        way = max(ends) - min(ends)
        first = min(ends) + self.start * way
        length = max((self.stop - self.start) * way, 1.0)
        places = pyvips.Image.xyz(width, height)
        along = (places[0] * x + places[1] * y - first) / length
        share = (along < 0).ifthenelse(0, (along > 1).ifthenelse(1, along))
        alpha = (share * (self.opacity * 255)).rint().cast("uchar")
        color = alpha.new_from_image(parse_color(self.hex_color)).cast("uchar")
        return color.bandjoin(alpha).copy(interpretation="srgb").copy_memory()
