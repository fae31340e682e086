import math
from typing import Annotated

from msgspec import Meta
from msgspec.structs import replace

from proxy.geometry import Size
from proxy.imaging.canvas_fill import FILLS, CanvasBackground, fill_cost, put_on_canvas
from proxy.imaging.picture import Picture
from proxy.operations.gravity import CompassPosition, place
from proxy.operations.operation import Operation
from proxy.operations.params import InwardOffset

CanvasSide = Annotated[float, Meta(ge=0, le=100_000)]


class Canvas(Operation, frozen=True):
    """Enlarge the canvas to a size or to an aspect ratio, without scaling the picture.

    A side that is longer already stays as it is. After a `thumbnail` with a `dpr`, pixels are
    multiplied by the ratio that it reached.
    """

    changes_size = True
    nanoseconds_per_pixel = 5

    width: Annotated[CanvasSide, Meta(description="Width in pixels; 0 keeps it.")]
    height: Annotated[CanvasSide, Meta(description="Height in pixels; 0 keeps it.")]
    is_ratio: Annotated[
        bool,
        Meta(
            description="Whether only the aspect ratio of width and height counts: the canvas is "
            "the smallest one of that ratio."
        ),
    ] = False
    gravity: Annotated[
        CompassPosition,
        Meta(
            description="Where on the canvas the picture is placed; `0.5,0.2` centers it half the "
            "way from the left and a fifth from the top."
        ),
    ] = "center"
    x_offset: Annotated[
        InwardOffset,
        Meta(
            description="Distance from the edge that `gravity` names, at the center to the right. "
            "From 1 on, pixels; below 1, a fraction of the canvas."
        ),
    ] = 0.0
    y_offset: Annotated[InwardOffset, Meta(description="The same from top or bottom.")] = 0.0
    background: Annotated[
        CanvasBackground,
        Meta(description=f"Color of the canvas. {FILLS}"),
    ] = "transparent"
    adaptive: Annotated[
        bool,
        Meta(
            description="Whether width and height are swapped where one of picture and canvas is "
            "landscape and the other portrait."
        ),
    ] = False

    def apply(self, picture: Picture) -> Picture:
        size, ratio = picture.natural_size, picture.pixel_ratio
        if self.adaptive and (size.width - size.height) * (self.width - self.height) < 0:
            swapped = replace(self, width=self.height, height=self.width, adaptive=False)
            return swapped.apply(picture)
        canvas = self._ratio_size(size) if self.is_ratio else self._size(size, ratio)
        if canvas == size:
            return picture
        box = place(
            size,
            canvas,
            self.gravity,
            self.x_offset,
            self.y_offset,
            pixel_ratio=picture.pixel_ratio,
        )
        return put_on_canvas(picture, canvas, box, self.background)

    def pixel_cost(self) -> float:
        return self.nanoseconds_per_pixel + fill_cost(self.background)

    def _size(self, size: Size, pixel_ratio: float) -> Size:
        width = math.floor(self.width * pixel_ratio + 0.5)
        height = math.floor(self.height * pixel_ratio + 0.5)
        return Size(max(size.width, width), max(size.height, height))

    def _ratio_size(self, size: Size) -> Size:
        if not self.width or not self.height:
            return size
        x_missing, y_missing = self.width / size.width, self.height / size.height
        if y_missing > x_missing:
            height = math.floor(size.width * (self.height / self.width) + 0.5)
            return Size(size.width, max(size.height, height))
        width = math.floor(size.height * (self.width / self.height) + 0.5)
        return Size(max(size.width, width), size.height)
