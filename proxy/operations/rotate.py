from typing import Annotated

import pyvips
from msgspec import Meta

from proxy.imaging.alpha import to_8_bit
from proxy.imaging.color import BackgroundColor
from proxy.imaging.picture import Picture
from proxy.imaging.resize import with_background
from proxy.operations.operation import Operation
from proxy.operations.params import Degrees


class Rotate(Operation, frozen=True):
    """Rotate the picture clockwise.

    At angles other than 90, 180 and 270 degrees the canvas grows, and its corners are filled with a
    color, or are transparent.
    """

    changes_size = True
    nanoseconds_per_pixel = 35

    angle_in_degrees: Annotated[Degrees, Meta(description="Angle in degrees, clockwise.")]
    hex_color: Annotated[
        BackgroundColor | None,
        Meta(
            description="Color of the corners. Without one, they are black, or transparent after "
            "`remove_background`."
        ),
    ] = None

    def only_moves_pixels(self) -> bool:
        return self.angle_in_degrees % 90 == 0

    def apply(self, picture: Picture) -> Picture:
        angle = self.angle_in_degrees % 360
        if angle == 0:
            return picture
        picture = picture.materialize()  # rows are read in another order
        if angle % 90 == 0:
            return picture.with_frame(picture.map_frames(lambda frame: frame.rot(f"d{angle:.0f}")))
        color = self.hex_color or picture.default_background("#000000")
        return picture.with_frame(picture.map_frames(lambda frame: _rotate(frame, angle, color)))


def _rotate(image: pyvips.Image, angle: float, background: str) -> pyvips.Image:
    image, color = with_background(image, background)
    # libvips premultiplies by alpha on its own here; of 8 bits it would cut the fractions off.
    if image.hasalpha():
        image = image.cast("float").copy(interpretation="srgb")
    rotated = image.rotate(angle, background=color, interpolate=pyvips.Interpolate.new("bicubic"))
    return to_8_bit(rotated).copy(interpretation="srgb")
