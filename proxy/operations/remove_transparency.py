from proxy.imaging.color import HexColor, rgb
from proxy.imaging.image import Picture
from proxy.operations.plan import Operation


class RemoveTransparency(Operation, frozen=True):
    """Put the picture on a colour. One without transparency stays as it is."""

    hex_color: HexColor = "#FFFFFF"

    def apply(self, picture: Picture) -> Picture:
        if not picture.image.hasalpha():
            return picture
        return picture.recoloured(picture.image.flatten(background=rgb(self.hex_color)))
