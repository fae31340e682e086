from typing import Annotated

import pyvips
from msgspec import Meta

from proxy.imaging.alpha import on_colours
from proxy.imaging.image import Picture
from proxy.operations.plan import Operation


class Gamma(Operation, frozen=True):
    """Brighten the middle tones with more than 1, darken them with less. Black and white stay."""

    gamma: Annotated[float, Meta(ge=0.1, le=10)]

    def apply(self, picture: Picture) -> Picture:
        table = pyvips.Image.identity().gamma(exponent=self.gamma)
        return picture.recoloured(on_colours(picture.image, lambda one: one.maplut(table)))
