from typing import Annotated

import pyvips
from msgspec import Meta

from proxy.imaging.alpha import on_colours
from proxy.imaging.image import Picture
from proxy.operations.plan import Operation

Factor = Annotated[float, Meta(ge=0, le=10)]


class Modulate(Operation, frozen=True):
    """Change brightness, saturation and hue; at least one of them.

    Brightness and saturation are factors, 1 leaves them; saturation 0 is grey. `hue` turns the
    colours by so many degrees.
    """

    brightness: Factor | None = None
    saturation: Factor | None = None
    hue: Annotated[float, Meta(ge=-36_000, le=36_000)] | None = None

    def __post_init__(self) -> None:
        if self.brightness is None and self.saturation is None and self.hue is None:
            raise ValueError("brightness, saturation or hue is needed")

    def apply(self, picture: Picture) -> Picture:
        return picture.recoloured(on_colours(picture.image, self._modulated))

    def _modulated(self, image: pyvips.Image) -> pyvips.Image:
        factors = [
            1.0 if self.brightness is None else self.brightness,
            1.0 if self.saturation is None else self.saturation,
            1.0,
        ]
        turned = image.colourspace("lch").linear(factors, [0.0, 0.0, (self.hue or 0.0) % 360])
        return turned.copy(interpretation="lch").colourspace("srgb")
