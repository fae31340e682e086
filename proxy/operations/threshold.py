from typing import Annotated

import pyvips
from msgspec import Meta

from proxy.imaging.alpha import on_colours
from proxy.imaging.image import Picture
from proxy.operations.plan import Operation


class Threshold(Operation, frozen=True):
    """Make everything from a value up white, and everything below black.

    With `is_grayscale` the picture is made grey before; without, each colour channel is
    compared by itself.
    """

    value: Annotated[int, Meta(ge=0, le=255)]
    is_grayscale: bool = True

    def apply(self, picture: Picture) -> Picture:
        return picture.recoloured(on_colours(picture.image, self._compared))

    def _compared(self, image: pyvips.Image) -> pyvips.Image:
        if not self.is_grayscale:
            return image >= self.value
        grey = image.colourspace("b-w") >= self.value
        return grey.bandjoin(grey).bandjoin(grey)
