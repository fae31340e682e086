from typing import Annotated

from msgspec import Meta

from proxy.imaging.image import Picture
from proxy.operations.plan import Operation


class Denoise(Operation, frozen=True):
    """Take specks out: each pixel becomes the median of a window of this size around it."""

    size: Annotated[int, Meta(ge=1, le=15)] = 3

    def apply(self, picture: Picture) -> Picture:
        middle = self.size * self.size // 2
        return picture.recoloured(picture.each(lambda one: one.rank(self.size, self.size, middle)))
