from typing import Annotated

from msgspec import Meta

from proxy.imaging.alpha import map_rgb
from proxy.imaging.picture import Picture
from proxy.operations.operation import Operation
from proxy.operations.params import Factor

_MIDDLE_GRAY = 127.5


class Contrast(Operation, frozen=True):
    """Change the contrast around middle gray."""

    changes_size = False
    nanoseconds_per_pixel = 5

    factor: Annotated[
        Factor,
        Meta(description="More than 1 raises the contrast, 1 keeps it, 0 makes all pixels gray."),
    ]

    def apply(self, picture: Picture) -> Picture:
        offset = _MIDDLE_GRAY * (1 - self.factor)
        return picture.with_pixels(
            map_rgb(picture.image, lambda rgb: rgb.linear([self.factor], [offset], uchar=True))
        )
