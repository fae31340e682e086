from typing import Annotated

from msgspec import Meta

from proxy.geometry import Box, Size
from proxy.imaging.canvas_fill import FILLS, CanvasBackground, fill_cost, put_on_canvas
from proxy.imaging.picture import Picture
from proxy.operations.operation import Operation
from proxy.operations.params import Border


class Extend(Operation, frozen=True):
    """Add a border around the picture.

    After a `thumbnail` with a `dpr`, pixels are multiplied by the ratio that it reached.
    """

    changes_size = True
    nanoseconds_per_pixel = 5

    top_in_px: Annotated[Border, Meta(description="Border above, in pixels.")]
    bottom_in_px: Annotated[Border, Meta(description="Border below, in pixels.")]
    left_in_px: Annotated[Border, Meta(description="Border on the left, in pixels.")]
    right_in_px: Annotated[Border, Meta(description="Border on the right, in pixels.")]
    hex_color: Annotated[
        CanvasBackground | None,
        Meta(
            description="Color of the border. Without one, it is black, or transparent after "
            f"`remove_background`. {FILLS}"
        ),
    ] = None

    def apply(self, picture: Picture) -> Picture:
        width, height = picture.natural_size.width, picture.natural_size.height
        top, bottom, left, right = (
            round(border * picture.pixel_ratio)
            for border in (self.top_in_px, self.bottom_in_px, self.left_in_px, self.right_in_px)
        )
        canvas = Size(left + width + right, top + height + bottom)
        box = Box(left, top, width, height)
        color = self.hex_color or picture.default_background("#000000")
        return put_on_canvas(picture, canvas, box, color)

    def pixel_cost(self) -> float:
        return self.nanoseconds_per_pixel + fill_cost(self.hex_color)
