from typing import Annotated

from msgspec import Meta

from proxy.imaging.alpha import on_colours
from proxy.imaging.image import Picture
from proxy.operations.plan import Operation

_MIDDLE = 127.5


class Contrast(Operation, frozen=True):
    """Move tones away from middle grey by a factor; 1 leaves them, 0 makes all grey."""

    factor: Annotated[float, Meta(ge=0, le=10)]

    def apply(self, picture: Picture) -> Picture:
        offset = _MIDDLE * (1 - self.factor)
        return picture.recoloured(
            on_colours(picture.image, lambda one: one.linear([self.factor], [offset], uchar=True))
        )
