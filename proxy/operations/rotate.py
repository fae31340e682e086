from typing import Annotated

import pyvips
from msgspec import Meta

from proxy.imaging.alpha import map_premultiplied, opaque_color
from proxy.imaging.color import HexColor, parse_color
from proxy.imaging.picture import Picture
from proxy.operations.operation import Operation
from proxy.operations.params import Degrees


class Rotate(Operation, frozen=True):
    """Rotate the picture clockwise.

    At angles other than 90, 180 and 270 degrees the canvas grows, and its corners are filled with a
    color.
    """

    angle_in_degrees: Annotated[Degrees, Meta(description="Angle in degrees, clockwise.")]
    hex_color: Annotated[HexColor, Meta(description="Color of the corners.")] = "#000000"

    def apply(self, picture: Picture) -> Picture:
        angle = self.angle_in_degrees % 360
        if angle == 0:
            return picture
        picture = picture.materialize()  # rows are read in another order
        if angle % 90 == 0:
            return picture.with_frame(picture.map_frames(lambda frame: frame.rot(f"d{angle:.0f}")))
        return picture.with_frame(picture.map_frames(lambda frame: self._rotate(frame, angle)))

    def _rotate(self, image: pyvips.Image, angle: float) -> pyvips.Image:
        color = opaque_color(image, parse_color(self.hex_color))
        bicubic = pyvips.Interpolate.new("bicubic")
        return map_premultiplied(
            image,
            lambda premultiplied: premultiplied.rotate(
                angle, background=color, interpolate=bicubic
            ),
        )
