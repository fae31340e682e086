from typing import Annotated

import pyvips
from msgspec import Meta

from proxy.imaging.memory import hold
from proxy.imaging.picture import Picture
from proxy.operations.operation import Operation


class Pixelate(Operation, frozen=True):
    """Hide detail behind squares of one color each."""

    changes_size = False
    nanoseconds_per_pixel = 10

    size_in_px: Annotated[int, Meta(ge=2, le=512, description="Side of a square, in pixels.")]

    def apply(self, picture: Picture) -> Picture:
        return picture.with_pixels(
            picture.map_frames(lambda frame: pixelate(frame, self.size_in_px), mixes_pixels=True)
        )


def pixelate(image: pyvips.Image, side: int) -> pyvips.Image:
    """Average squares of an image without alpha, or with premultiplied colors."""
    squares = hold(image.shrink(side, side, ceil=True))
    return squares.zoom(side, side).crop(0, 0, image.width, image.height)
