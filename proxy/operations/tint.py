from typing import Annotated

import pyvips
from msgspec import Meta

from proxy.imaging.alpha import map_rgb
from proxy.imaging.color import HexColor, parse_color
from proxy.imaging.picture import Picture
from proxy.operations.operation import Operation


class Tint(Operation, frozen=True):
    """Give the picture the hue and saturation of one color. Lightness stays as it is."""

    changes_size = False
    nanoseconds_per_pixel = 40

    hex_color: Annotated[HexColor, Meta(description="The color.")]

    def apply(self, picture: Picture) -> Picture:
        return picture.with_pixels(map_rgb(picture.image, self._tint))

    def _tint(self, image: pyvips.Image) -> pyvips.Image:
        rgb = pyvips.Image.black(1, 1) + parse_color(self.hex_color)
        _, a, b = rgb.copy(interpretation="srgb").colourspace("lab")(0, 0)
        lightness = image.colourspace("lab")[0]
        return lightness.bandjoin([a, b]).copy(interpretation="lab").colourspace("srgb")
