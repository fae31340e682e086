from html import escape
from pathlib import Path
from typing import Annotated, Literal

import pyvips
from msgspec import Meta

import proxy
from proxy.errors import OperationNotApplicable
from proxy.geometry import Size, anchor
from proxy.imaging.alpha import composite, scale_alpha
from proxy.imaging.color import HexColor, parse_color
from proxy.imaging.picture import Picture
from proxy.operations.gravity import CompassPoint, to_fractions
from proxy.operations.operation import Operation
from proxy.operations.params import Border, Percent

_FONTS = Path(proxy.__file__).with_name("data") / "fonts"
FONT = _FONTS / "DejaVuSans.ttf"
_FACES = {
    "regular": ("DejaVu Sans", FONT),
    "bold": ("DejaVu Sans Bold", _FONTS / "DejaVuSans-Bold.ttf"),
}
_ALIGNMENTS = {"left": "low", "center": "centre", "right": "high"}
_MAX_PICTURES, _MIN_PIXELS = 4, 1_000_000
"""Text may hang over the edge, but not have many times the pixels of the picture."""

_DPI = 72  # at which a font size in points is the same in pixels


class Text(Operation, frozen=True):
    """Write text on the picture. Lines that are too long are wrapped.

    Begin a new line with a line break, `%0A` in a link. The font is DejaVu Sans. Characters that it
    does not have are drawn with the fonts that are installed on the server, in the order of its
    fontconfig; one that no font has becomes a box with its code.
    """

    multiline_fields = frozenset(("text",))
    changes_size = False
    nanoseconds_per_pixel = 30

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
    weight: Annotated[
        Literal["regular", "bold"], Meta(description="How heavy the letters are.")
    ] = "regular"
    stroke_in_px: Annotated[
        Annotated[int, Meta(ge=0, le=20)],
        Meta(description="Width of an outline around the letters, in pixels."),
    ] = 0
    stroke_hex_color: Annotated[HexColor, Meta(description="Color of the outline.")] = "#000000"
    box_hex_color: Annotated[
        HexColor | None,
        Meta(description="Color of a box behind the text. Without it, there is none."),
    ] = None
    box_padding_in_px: Annotated[
        Annotated[int, Meta(ge=0, le=1000)],
        Meta(description="Distance from the text to the edges of its box, in pixels."),
    ] = 8
    line_spacing_in_px: Annotated[
        Annotated[int, Meta(ge=0, le=1000)],
        Meta(description="Pixels between the lines, beyond those of the font."),
    ] = 0
    align: Annotated[
        Literal["left", "center", "right"] | None,
        Meta(description="Where shorter lines are. Without it, as `position` says."),
    ] = None

    def apply(self, picture: Picture) -> Picture:
        size, margin = picture.frame_size, self.margin_in_px
        area = Size(max(1, size.width - 2 * margin), max(1, size.height - 2 * margin))
        x, y = to_fractions(self.position)
        text = self._render(area.width, x, _MAX_PICTURES * max(size.pixels, _MIN_PIXELS))
        box = anchor(Size(text.width, text.height), area, x, y)
        left, top = margin + box.left, margin + box.top
        return picture.with_pixels(
            picture.map_frames(lambda frame: composite(frame, text, left, top))
        )

    def _render(self, width: int, x: float, max_pixels: int) -> pyvips.Image:
        """The text with its outline and box, at most so wide; ``x`` is where it is placed."""
        border = self.stroke_in_px + (self.box_padding_in_px if self.box_hex_color else 0)
        mask = self._draw_mask(max(1, width - 2 * border), x)
        if mask.width * mask.height > max_pixels:
            raise OperationNotApplicable(
                f"text: the text takes {mask.width}x{mask.height} pixels, far more than the "
                "picture has; use a smaller size_in_px or fewer lines"
            )
        mask = mask.copy_memory()
        mask = mask.embed(border, border, mask.width + 2 * border, mask.height + 2 * border)
        text = _paint(mask, self.hex_color)
        if self.stroke_in_px:
            from proxy.imaging.dilate import dilate  # noqa: PLC0415 - numpy on demand

            outline = _paint(dilate(mask, self.stroke_in_px), self.stroke_hex_color)
            text = composite(outline, text, 0, 0)
        if self.box_hex_color:
            box = _paint(mask.new_from_image(255), self.box_hex_color)
            text = composite(box, text, 0, 0)
        return scale_alpha(text, self.opacity_in_percent / 100).copy_memory()

    def _draw_mask(self, width: int, x: float) -> pyvips.Image:
        printable = "".join(
            character for character in self.text if character.isprintable() or character == "\n"
        )
        if not printable.strip():
            raise OperationNotApplicable("text: text has no printable characters")
        family, file = _FACES[self.weight]
        align = self.align or {0.0: "left", 0.5: "center", 1.0: "right"}[x]
        return pyvips.Image.text(
            escape(printable, quote=False),  # Pango would interpret it as markup
            font=f"{family} {self.size_in_px}",
            fontfile=str(file),
            dpi=_DPI,
            width=width,
            wrap="word-char",
            align=_ALIGNMENTS[align],
            spacing=self.line_spacing_in_px,
        )


def _paint(mask: pyvips.Image, color: str) -> pyvips.Image:
    """An image of one color, as opaque as the mask says."""
    pixels = mask.new_from_image(parse_color(color)).cast("uchar")
    return pixels.bandjoin(mask).copy(interpretation="srgb")
