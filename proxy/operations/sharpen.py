from typing import Annotated

from msgspec import Meta

from proxy.imaging.blur import sharpen
from proxy.imaging.picture import Picture
from proxy.operations.operation import Operation


class Sharpen(Operation, frozen=True):
    """Sharpen edges. Scaling down makes pictures softer; the default makes up for that."""

    changes_size = False
    nanoseconds_per_pixel = 25

    sigma: Annotated[
        float, Meta(gt=0, le=10, description="Width of the sharpened edges, in pixels.")
    ] = 0.5
    strength: Annotated[
        float, Meta(gt=0, le=10, description="Factor by which the detail at edges is added.")
    ] = 3.0

    def apply(self, picture: Picture) -> Picture:
        return picture.with_pixels(
            picture.map_frames(lambda frame: sharpen(frame, self.sigma, strength=self.strength))
        )
