from typing import Annotated

from msgspec import Meta

from proxy.geometry import Size, anchor
from proxy.imaging.canvas_fill import FILLS, CanvasBackground, fill_cost, put_on_canvas
from proxy.imaging.picture import Picture
from proxy.operations.gravity import CompassPoint, to_fractions
from proxy.operations.operation import Operation
from proxy.operations.params import Side


class Pad(Operation, frozen=True):
    """Enlarge the canvas to a size without scaling the picture.

    A side that is larger already stays as it is.
    """

    changes_size = True
    nanoseconds_per_pixel = 5

    width_in_px: Annotated[Side, Meta(description="Least width, in pixels.")]
    height_in_px: Annotated[Side, Meta(description="Least height, in pixels.")]
    position: Annotated[
        CompassPoint, Meta(description="Where on the canvas the picture is placed.")
    ] = "center"
    background: Annotated[
        CanvasBackground | None,
        Meta(
            description="Color of the canvas. Without one, it is white, or transparent after "
            f"`remove_background`. {FILLS}"
        ),
    ] = None

    def apply(self, picture: Picture) -> Picture:
        size = picture.natural_size
        canvas = Size(max(size.width, self.width_in_px), max(size.height, self.height_in_px))
        box = anchor(size, canvas, *to_fractions(self.position))
        color = self.background or picture.default_background("#FFFFFF")
        return put_on_canvas(picture, canvas, box, color)

    def pixel_cost(self) -> float:
        return self.nanoseconds_per_pixel + fill_cost(self.background)
