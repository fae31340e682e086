from typing import Annotated

from msgspec import Meta

from proxy.imaging.alpha import scale_alpha
from proxy.imaging.picture import Picture
from proxy.operations.operation import Operation
from proxy.operations.params import Percent


class Opacity(Operation, frozen=True):
    """Make the picture transparent."""

    changes_size = False
    nanoseconds_per_pixel = 8

    opacity_in_percent: Annotated[
        Percent, Meta(description="100 keeps the picture as it is, 0 makes it invisible.")
    ]

    def apply(self, picture: Picture) -> Picture:
        return picture.with_pixels(scale_alpha(picture.image, self.opacity_in_percent / 100))
