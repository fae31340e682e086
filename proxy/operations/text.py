from html import escape
from pathlib import Path
from typing import Annotated

import pyvips
from msgspec import Meta

import proxy
from proxy.errors import OperationNotApplicable
from proxy.geometry import Size, anchored
from proxy.imaging.alpha import laid_over
from proxy.imaging.color import HexColor, rgb
from proxy.imaging.image import Picture
from proxy.operations.gravity import Compass, shares
from proxy.operations.plan import Operation

FONT = Path(proxy.__file__).with_name("data") / "fonts" / "DejaVuSans.ttf"
_DOTS_PER_INCH = 72  # then a font's size in points is its size in pixels


class Text(Operation, frozen=True):
    """Write on the picture. Lines are broken where they would leave it.

    `size_in_px` is the size of the letters; `position` says where the text goes, and
    `margin_in_px` how far it stays from the picture's edges. The letters are DejaVu Sans; what it
    has no letter for is taken from the fonts on the server.
    """

    text: Annotated[str, Meta(min_length=1, max_length=500)]
    size_in_px: Annotated[int, Meta(ge=4, le=1000)] = 32
    hex_color: HexColor = "#FFFFFF"
    position: Compass = "south"
    margin_in_px: Annotated[int, Meta(ge=0, le=16_384)] = 16
    opacity_in_percent: Annotated[int, Meta(ge=0, le=100)] = 100

    def apply(self, picture: Picture) -> Picture:
        size = picture.raster
        room = Size(
            max(1, size.width - 2 * self.margin_in_px),
            max(1, size.height - 2 * self.margin_in_px),
        )
        across, down = shares(self.position)
        letters = self._letters(room.width, across)
        place = anchored(Size(letters.width, letters.height), room, across, down)
        left, top = self.margin_in_px + place.left, self.margin_in_px + place.top
        return picture.recoloured(picture.each(lambda one: laid_over(one, letters, left, top)))

    def _letters(self, width: int, across: float) -> pyvips.Image:
        printable = "".join(sign for sign in self.text if sign.isprintable() or sign == "\n")
        if not printable.strip():
            raise OperationNotApplicable("text: there is nothing in it that can be written")
        shape = pyvips.Image.text(
            escape(printable, quote=False),  # Pango would read markup in it
            font=f"DejaVu Sans {self.size_in_px}",
            fontfile=str(FONT),
            dpi=_DOTS_PER_INCH,
            width=width,
            wrap="word-char",
            align={0.0: "low", 0.5: "centre", 1.0: "high"}[across],
        )
        alpha = (shape * (self.opacity_in_percent / 100)).cast("uchar")
        colour = shape.new_from_image(rgb(self.hex_color)).cast("uchar")
        return colour.bandjoin(alpha).copy(interpretation="srgb").copy_memory()
