import pyvips

from proxy.imaging.alpha import on_colours
from proxy.imaging.color import HexColor, rgb
from proxy.imaging.image import Picture
from proxy.operations.plan import Operation


class Tint(Operation, frozen=True):
    """Wash the picture in a colour: its own lightness, the colour's hue and saturation."""

    hex_color: HexColor

    def apply(self, picture: Picture) -> Picture:
        return picture.recoloured(on_colours(picture.image, self._tinted))

    def _tinted(self, image: pyvips.Image) -> pyvips.Image:
        wanted = (pyvips.Image.black(1, 1) + rgb(self.hex_color)).copy(interpretation="srgb")
        _, a, b = wanted.colourspace("lab")(0, 0)
        lightness = image.colourspace("lab")[0]
        return lightness.bandjoin([a, b]).copy(interpretation="lab").colourspace("srgb")
