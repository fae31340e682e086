from typing import Annotated

import pyvips
from msgspec import Meta

from proxy.imaging.picture import Picture
from proxy.operations.operation import Operation


class Pixelate(Operation, frozen=True):
    """Hide detail behind squares of one color each."""

    changes_size = False
    nanoseconds_per_pixel = 10

    size_in_px: Annotated[int, Meta(ge=2, le=512, description="Side of a square, in pixels.")]

    def apply(self, picture: Picture) -> Picture:
        return picture.with_pixels(picture.map_frames(self._pixelate, mixes_pixels=True))

    def _pixelate(self, image: pyvips.Image) -> pyvips.Image:
        squares = image.shrink(self.size_in_px, self.size_in_px, ceil=True)
        enlarged = squares.zoom(self.size_in_px, self.size_in_px)
        return enlarged.crop(0, 0, image.width, image.height)
