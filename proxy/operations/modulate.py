from typing import Annotated

import pyvips
from msgspec import Meta

from proxy.imaging.alpha import map_rgb
from proxy.imaging.picture import Picture
from proxy.operations.operation import Operation
from proxy.operations.params import Degrees, Factor


class Modulate(Operation, frozen=True):
    """Change brightness, saturation or hue. At least one of them is required."""

    changes_size = False
    nanoseconds_per_pixel = 60

    brightness: Annotated[
        Factor | None, Meta(description="Factor for the brightness; 1 keeps it.")
    ] = None
    saturation: Annotated[
        Factor | None, Meta(description="Factor for the saturation; 1 keeps it, 0 is gray.")
    ] = None
    hue: Annotated[Degrees | None, Meta(description="Rotation of the hue, in degrees.")] = None

    def __post_init__(self) -> None:
        if self.brightness is None and self.saturation is None and self.hue is None:
            raise ValueError("brightness, saturation or hue is required")

    def apply(self, picture: Picture) -> Picture:
        return picture.with_pixels(map_rgb(picture.image, self._modulate))

    def _modulate(self, image: pyvips.Image) -> pyvips.Image:
        factors = [
            1.0 if self.brightness is None else self.brightness,
            1.0 if self.saturation is None else self.saturation,
            1.0,
        ]
        lch = image.colourspace("lch").linear(factors, [0.0, 0.0, (self.hue or 0.0) % 360])
        return lch.copy(interpretation="lch").colourspace("srgb")
