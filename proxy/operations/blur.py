from typing import Annotated

import pyvips
from msgspec import Meta

from proxy.imaging.blur import blurred
from proxy.imaging.image import Picture
from proxy.operations.plan import Operation

_WIDEST = 8.0
"""The widest blur that is done at full size: work grows with it, and detail is gone anyway."""


class Blur(Operation, frozen=True):
    """Blur with a Gaussian of this standard deviation, in pixels."""

    sigma: Annotated[float, Meta(gt=0, le=100)]

    def apply(self, picture: Picture) -> Picture:
        return picture.recoloured(picture.each(self._blurred, mixing=True))

    def _blurred(self, image: pyvips.Image) -> pyvips.Image:
        factor = int(self.sigma / _WIDEST * 2)
        if factor < 2:
            return blurred(image, self.sigma)
        small = image.shrink(factor, factor, ceil=True)
        # averaging squares has blurred by their own deviation already
        left = (self.sigma**2 - (factor**2 - 1) / 12) ** 0.5 / factor
        grown = blurred(small, left).resize(factor, kernel="cubic")
        return grown.crop(0, 0, image.width, image.height)
