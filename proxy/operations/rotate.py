from typing import Annotated

import pyvips
from msgspec import Meta

from proxy.imaging.alpha import filled, weighted
from proxy.imaging.color import HexColor, rgb
from proxy.imaging.image import Picture
from proxy.operations.plan import Operation


class Rotate(Operation, frozen=True):
    """Turn clockwise. Other than by quarter turns the canvas grows and its corners are filled."""

    angle_in_degrees: Annotated[float, Meta(ge=-36_000, le=36_000)]
    hex_color: HexColor = "#000000"

    def apply(self, picture: Picture) -> Picture:
        angle = self.angle_in_degrees % 360
        if angle == 0:
            return picture
        # Lines are read in another order than decoders deliver them.
        picture = picture.settled()
        if angle % 90 == 0:
            return picture.reframed(picture.each(lambda one: one.rot(f"d{angle:.0f}")))
        return picture.reframed(picture.each(lambda one: self._turned(one, angle)))

    def _turned(self, image: pyvips.Image, angle: float) -> pyvips.Image:
        color = filled(image, rgb(self.hex_color))
        bicubic = pyvips.Interpolate.new("bicubic")
        return weighted(image, lambda one: one.rotate(angle, background=color, interpolate=bicubic))
