from html import escape
from pathlib import Path
from typing import Annotated

import pyvips
from msgspec import Meta

import proxy
from proxy.errors import OperationNotApplicable
from proxy.geometry import Size, anchor
from proxy.imaging.alpha import composite, to_8_bit
from proxy.imaging.color import HexColor, parse_color
from proxy.imaging.picture import Picture
from proxy.operations.gravity import CompassPoint, to_fractions
from proxy.operations.operation import Operation
from proxy.operations.params import Border, Percent

FONT = Path(proxy.__file__).with_name("data") / "fonts" / "DejaVuSans.ttf"
_DPI = 72  # at which a font size in points is the same in pixels


class Text(Operation, frozen=True):
    """Write text on the picture. Lines that are too long are wrapped.

    The font is DejaVu Sans. Characters that it does not have are taken from the fonts that are
    installed on the server.
    """

    changes_size = False
    nanoseconds_per_pixel = 20

    text: Annotated[str, Meta(min_length=1, max_length=500, description="The text.")]
    size_in_px: Annotated[int, Meta(ge=4, le=1000, description="Font size, in pixels.")] = 32
    hex_color: Annotated[HexColor, Meta(description="Color of the text.")] = "#FFFFFF"
    position: Annotated[
        CompassPoint, Meta(description="Where on the picture the text is placed.")
    ] = "south"
    margin_in_px: Annotated[
        Border, Meta(description="Distance from the edges of the picture, in pixels.")
    ] = 16
    opacity_in_percent: Annotated[Percent, Meta(description="100 is opaque, 0 is invisible.")] = 100

    def apply(self, picture: Picture) -> Picture:
        size, margin = picture.frame_size, self.margin_in_px
        area = Size(max(1, size.width - 2 * margin), max(1, size.height - 2 * margin))
        x, y = to_fractions(self.position)
        text = self._render(area.width, align=x)
        box = anchor(Size(text.width, text.height), area, x, y)
        left, top = margin + box.left, margin + box.top
        return picture.with_pixels(
            picture.map_frames(lambda frame: composite(frame, text, left, top))
        )

    def _render(self, width: int, *, align: float) -> pyvips.Image:
        printable = "".join(
            character for character in self.text if character.isprintable() or character == "\n"
        )
        if not printable.strip():
            raise OperationNotApplicable("text: text has no printable characters")
        mask = pyvips.Image.text(
            escape(printable, quote=False),  # Pango would interpret it as markup
            font=f"DejaVu Sans {self.size_in_px}",
            fontfile=str(FONT),
            dpi=_DPI,
            width=width,
            wrap="word-char",
            align={0.0: "low", 0.5: "centre", 1.0: "high"}[align],
        )
        alpha = to_8_bit(mask * (self.opacity_in_percent / 100))
        color = mask.new_from_image(parse_color(self.hex_color)).cast("uchar")
        return color.bandjoin(alpha).copy(interpretation="srgb").copy_memory()
