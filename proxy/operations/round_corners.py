from typing import Annotated, Literal

import pyvips
from msgspec import Meta

from proxy.geometry import Size, anchor
from proxy.imaging.alpha import opaque_color, scale_alpha, to_8_bit
from proxy.imaging.color import HexColor, parse_color
from proxy.imaging.picture import Picture
from proxy.operations.operation import Operation


class RoundCorners(Operation, frozen=True):
    """Round the corners of the picture, or cut a circle out of its center."""

    changes_size = True
    nanoseconds_per_pixel = 35

    radius_in_px: Annotated[
        Annotated[int, Meta(ge=1, le=8192)] | Literal["circle"],
        Meta(
            description="Radius of the corners in pixels, at most half of the shorter side. "
            "`circle` crops the picture to the largest circle."
        ),
    ]
    hex_color: Annotated[
        HexColor | None,
        Meta(description="Color of the corners. Without it, they are transparent."),
    ] = None

    vertical_radius_in_px: Annotated[
        Annotated[int, Meta(ge=1, le=8192)] | None,
        Meta(description="Vertical radius of elliptic corners. Without it, they are circular."),
    ] = None

    def apply(self, picture: Picture) -> Picture:
        if self.radius_in_px == "circle":
            picture = _crop_to_square(picture)
        size = picture.frame_size
        half = min(size.width, size.height) / 2
        radius = half if self.radius_in_px == "circle" else min(half, self.radius_in_px)
        if self.vertical_radius_in_px and self.radius_in_px != "circle":
            mask = _elliptic_rectangle(
                size,
                min(size.width / 2, self.radius_in_px),
                min(size.height / 2, self.vertical_radius_in_px),
            )
        else:
            mask = _rounded_rectangle(size, radius)
        return picture.with_pixels(picture.map_frames(lambda frame: self._cut(frame, mask)))

    def _cut(self, image: pyvips.Image, mask: pyvips.Image) -> pyvips.Image:
        if self.hex_color is None:
            return scale_alpha(image, mask)
        color = opaque_color(image, parse_color(self.hex_color))
        return mask.ifthenelse(image, image.new_from_image(color).cast("uchar"), blend=True)


def _crop_to_square(picture: Picture) -> Picture:
    side = min(picture.frame_size.width, picture.frame_size.height)
    box = anchor(Size(side, side), picture.frame_size, 0.5, 0.5)
    return picture.with_frame(
        picture.map_frames(lambda frame: frame.crop(box.left, box.top, box.width, box.height))
    )


def _rounded_rectangle(size: Size, radius: float) -> pyvips.Image:
    """A mask of how much of each pixel lies inside the rounded rectangle, 0 to 255."""
    half_width, half_height = size.width / 2, size.height / 2
    coordinates = pyvips.Image.xyz(size.width, size.height)
    from_center = coordinates.linear([1, 1], [0.5 - half_width, 0.5 - half_height]).abs()
    into_corner = from_center.linear([1, 1], [radius - half_width, radius - half_height])
    into_corner = (into_corner > 0).ifthenelse(into_corner, 0)
    distance = (into_corner[0] ** 2 + into_corner[1] ** 2) ** 0.5
    # A pixel whose center lies on the curve is half inside.
    return to_8_bit((radius + 0.5 - distance) * 255)


def _elliptic_rectangle(size: Size, x_radius: float, y_radius: float) -> pyvips.Image:
    """The same with corners that are quarters of an ellipse."""
    half_width, half_height = size.width / 2, size.height / 2
    coordinates = pyvips.Image.xyz(size.width, size.height)
    from_center = coordinates.linear([1, 1], [0.5 - half_width, 0.5 - half_height]).abs()
    into_corner = from_center.linear([1, 1], [x_radius - half_width, y_radius - half_height])
    into_corner = (into_corner > 0).ifthenelse(into_corner, 0)
    unit = into_corner.linear([1 / x_radius, 1 / y_radius], [0, 0])
    value = (unit[0] ** 2 + unit[1] ** 2) ** 0.5
    # Along the curve, the value of the ellipse changes by about one radius.
    return to_8_bit((0.5 + (1 - value) * min(x_radius, y_radius)) * 255)
