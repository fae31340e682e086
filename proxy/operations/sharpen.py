from typing import Annotated

from msgspec import Meta

from proxy.imaging.blur import sharpened
from proxy.imaging.image import Picture
from proxy.operations.plan import Operation


class Sharpen(Operation, frozen=True):
    """Bring edges out. Downscaling softens; a sigma of 0.5 makes up for it."""

    sigma: Annotated[float, Meta(gt=0, le=10)] = 0.5

    def apply(self, picture: Picture) -> Picture:
        return picture.recoloured(picture.each(lambda one: sharpened(one, self.sigma)))
