from typing import Annotated

from msgspec import Meta

from proxy.imaging.alpha import faded
from proxy.imaging.image import Picture
from proxy.operations.plan import Operation


class Opacity(Operation, frozen=True):
    """Make the picture see-through: 100 leaves it as it is, 0 makes it vanish."""

    opacity_in_percent: Annotated[int, Meta(ge=0, le=100)]

    def apply(self, picture: Picture) -> Picture:
        return picture.recoloured(faded(picture.image, self.opacity_in_percent / 100))
