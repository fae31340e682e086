from typing import Annotated

import pyvips
from msgspec import Meta

from proxy.imaging.alpha import map_rgb
from proxy.imaging.picture import Picture
from proxy.operations.operation import Operation


class Gamma(Operation, frozen=True):
    """Brighten or darken the middle tones. Black and white stay as they are."""

    changes_size = False
    nanoseconds_per_pixel = 5

    gamma: Annotated[
        float, Meta(ge=0.1, le=10, description="More than 1 brightens, less than 1 darkens.")
    ]

    def apply(self, picture: Picture) -> Picture:
        table = pyvips.Image.identity().gamma(exponent=self.gamma)
        return picture.with_pixels(map_rgb(picture.image, lambda rgb: rgb.maplut(table)))
