from typing import Annotated

from msgspec import Meta

from proxy.imaging.color import HexColor, parse_color
from proxy.imaging.picture import Picture
from proxy.operations.operation import Operation


class RemoveTransparency(Operation, frozen=True):
    """Fill transparent parts with a color. A picture without transparency stays as it is."""

    changes_size = False
    nanoseconds_per_pixel = 5

    hex_color: Annotated[HexColor, Meta(description="Color behind the picture.")] = "#FFFFFF"

    def apply(self, picture: Picture) -> Picture:
        if not picture.image.hasalpha():
            return picture
        return picture.with_pixels(picture.image.flatten(background=parse_color(self.hex_color)))
