from typing import Annotated, Literal

import pyvips
from msgspec import Meta

from proxy.geometry import Size, anchored
from proxy.imaging.alpha import faded, filled
from proxy.imaging.color import HexColor, rgb
from proxy.imaging.image import Picture
from proxy.operations.plan import Operation


class RoundCorners(Operation, frozen=True):
    """Round the corners with this radius, or cut the largest `circle` out of the middle.

    A radius of more than half a side counts as half of it. The corners become transparent, or are
    filled with `hex_color`.
    """

    radius_in_px: Annotated[int, Meta(ge=1, le=8192)] | Literal["circle"]
    hex_color: HexColor | None = None

    def apply(self, picture: Picture) -> Picture:
        if self.radius_in_px == "circle":
            picture = _squared(picture)
        size = picture.raster
        half = min(size.width, size.height) / 2
        radius = half if self.radius_in_px == "circle" else min(half, self.radius_in_px)
        shape = _shape(size, radius)
        return picture.recoloured(picture.each(lambda one: self._cut(one, shape)))

    def _cut(self, image: pyvips.Image, shape: pyvips.Image) -> pyvips.Image:
        if self.hex_color is None:
            return faded(image, shape)
        around = image.new_from_image(filled(image, rgb(self.hex_color))).cast("uchar")
        return shape.ifthenelse(image, around, blend=True)


def _squared(picture: Picture) -> Picture:
    side = min(picture.raster.width, picture.raster.height)
    box = anchored(Size(side, side), picture.raster, 0.5, 0.5)
    return picture.reframed(
        picture.each(lambda one: one.crop(box.left, box.top, box.width, box.height))
    )


def _shape(size: Size, radius: float) -> pyvips.Image:
    """Shares, 0 to 255, of each pixel that lie inside the rounded rectangle."""
    across, down = size.width / 2, size.height / 2
    places = pyvips.Image.xyz(size.width, size.height)
    from_middle = places.linear([1, 1], [0.5 - across, 0.5 - down]).abs()
    beyond = from_middle.linear([1, 1], [radius - across, radius - down])
    beyond = (beyond > 0).ifthenelse(beyond, 0)
    distance = (beyond[0] ** 2 + beyond[1] ** 2) ** 0.5
    # a pixel whose middle lies on the curve is half inside
    return ((radius + 0.5 - distance) * 255).cast("uchar")
