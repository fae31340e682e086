from typing import Annotated

from msgspec import Meta

from proxy.imaging.picture import Picture
from proxy.operations.operation import Operation


class Denoise(Operation, frozen=True):
    """Remove specks with a median filter."""

    changes_size = False
    nanoseconds_per_pixel = 230

    size: Annotated[
        int,
        Meta(
            ge=1,
            le=15,
            description="Side of the square around each pixel whose median it gets, in pixels.",
        ),
    ] = 3

    def apply(self, picture: Picture) -> Picture:
        median = self.size * self.size // 2
        return picture.with_pixels(
            picture.map_frames(lambda frame: frame.rank(self.size, self.size, median))
        )
