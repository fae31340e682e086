from typing import Annotated

from msgspec import Meta

from proxy.geometry import Box, Size
from proxy.imaging.picture import Picture
from proxy.operations.operation import Operation

Edge = Annotated[float, Meta(ge=0, le=1_000_000)]


class CropRegion(Operation, frozen=True):
    """Cut out a rectangle, given by its edges.

    What lies outside of the picture is left out. If nothing is left, the picture stays as it is.
    """

    changes_size = True
    nanoseconds_per_pixel = 2

    left: Annotated[Edge, Meta(description="Left edge, in pixels from the left.")]
    top: Annotated[Edge, Meta(description="Top edge, in pixels from the top.")]
    right: Annotated[Edge, Meta(description="Right edge, in pixels from the left.")]
    bottom: Annotated[Edge, Meta(description="Bottom edge, in pixels from the top.")]
    is_fraction: Annotated[
        bool,
        Meta(description="Whether the edges are fractions of the picture's sides, 0 to 1."),
    ] = False

    def only_moves_pixels(self) -> bool:
        return True

    def apply(self, picture: Picture) -> Picture:
        box = self._box(picture.natural_size)
        if box is None or box.size == picture.natural_size:
            return picture
        return picture.with_frame(
            picture.map_frames(lambda frame: frame.crop(box.left, box.top, box.width, box.height))
        )

    def _box(self, natural: Size) -> Box | None:
        x_scale, y_scale = (natural.width, natural.height) if self.is_fraction else (1, 1)
        left, top = round(self.left * x_scale), round(self.top * y_scale)
        right = min(natural.width, round(self.right * x_scale))
        bottom = min(natural.height, round(self.bottom * y_scale))
        if left >= right or top >= bottom:
            return None
        return Box(left, top, right - left, bottom - top)
