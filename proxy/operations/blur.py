from typing import Annotated

import pyvips
from msgspec import Meta

from proxy.imaging.blur import gaussian_blur
from proxy.imaging.picture import Picture
from proxy.operations.operation import Operation

_MAX_FULL_SIZE_SIGMA = 8.0
"""A stronger blur is computed on a smaller picture: faster, and no detail is left anyway."""


class Blur(Operation, frozen=True):
    """Blur with a Gaussian filter."""

    changes_size = False
    nanoseconds_per_pixel = 45

    sigma: Annotated[
        float, Meta(gt=0, le=100, description="Standard deviation of the blur, in pixels.")
    ]

    def apply(self, picture: Picture) -> Picture:
        return picture.with_pixels(picture.map_frames(self.blur, mixes_pixels=True))

    def blur(self, image: pyvips.Image) -> pyvips.Image:
        """Blur an image without alpha, or with premultiplied colors."""
        factor = int(self.sigma / _MAX_FULL_SIZE_SIGMA * 2)
        if factor < 2:
            return gaussian_blur(image, self.sigma)
        small = image.shrink(factor, factor, ceil=True)
        # Averaging squares has blurred already, by the standard deviation of a square.
        sigma = (self.sigma**2 - (factor**2 - 1) / 12) ** 0.5 / factor
        enlarged = gaussian_blur(small, sigma).resize(factor, kernel="cubic")
        return enlarged.crop(0, 0, image.width, image.height)
