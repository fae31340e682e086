from typing import Annotated

import pyvips
from msgspec import Meta

from proxy.imaging.alpha import map_rgb
from proxy.imaging.picture import Picture
from proxy.operations.operation import Operation


class Threshold(Operation, frozen=True):
    """Turn every pixel black or white."""

    changes_size = False
    nanoseconds_per_pixel = 10

    value: Annotated[
        int,
        Meta(ge=0, le=255, description="Pixels from this value on become white, others black."),
    ]
    is_grayscale: Annotated[
        bool,
        Meta(
            description="Whether to turn the picture to grayscale first. Otherwise red, green and "
            "blue are compared one by one."
        ),
    ] = True

    def apply(self, picture: Picture) -> Picture:
        return picture.with_pixels(map_rgb(picture.image, self._compare))

    def _compare(self, image: pyvips.Image) -> pyvips.Image:
        if not self.is_grayscale:
            return image >= self.value
        mask = image.colourspace("b-w") >= self.value
        return mask.bandjoin(mask).bandjoin(mask)
