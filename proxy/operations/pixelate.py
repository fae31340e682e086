from typing import Annotated

import pyvips
from msgspec import Meta

from proxy.imaging.image import Picture
from proxy.operations.plan import Operation


class Pixelate(Operation, frozen=True):
    """Cover detail with squares of this side."""

    size_in_px: Annotated[int, Meta(ge=2, le=512)]

    def apply(self, picture: Picture) -> Picture:
        return picture.recoloured(picture.each(self._coarse, mixing=True))

    def _coarse(self, image: pyvips.Image) -> pyvips.Image:
        squares = image.shrink(self.size_in_px, self.size_in_px, ceil=True)
        grown = squares.zoom(self.size_in_px, self.size_in_px)
        return grown.crop(0, 0, image.width, image.height)
