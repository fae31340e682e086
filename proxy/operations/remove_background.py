from collections.abc import Mapping
from typing import ClassVar

import pyvips

from proxy.imaging.color import HexColor, rgb
from proxy.imaging.image import Picture
from proxy.operations.plan import Operation


class RemoveBackground(Operation, frozen=True):
    """Make a plain background transparent, or fill it with a colour.

    It goes by colour: what the edges of the picture show, and all that is like it and touches
    them, is background. Good for products and portraits before a wall or a backdrop; before
    anything lively the result is rough. A format without transparency gets white instead: convert
    to png or webp to keep it.
    """

    aliases: ClassVar[Mapping[str, str]] = {"hex_color": "background_hex_color"}

    background_hex_color: HexColor | None = None

    def apply(self, picture: Picture) -> Picture:
        picture = picture.settled()  # edges are looked at before anything is decided
        return picture.recoloured(picture.each(self._cut))

    def _cut(self, image: pyvips.Image) -> pyvips.Image:
        from proxy.imaging.background_removal import subject  # noqa: PLC0415 - HTTP workers do without numpy

        cut = subject(image)
        if self.background_hex_color is None:
            return cut
        return cut.flatten(background=rgb(self.background_hex_color))
