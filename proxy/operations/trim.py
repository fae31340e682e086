from typing import Annotated, Literal

import pyvips
from msgspec import Meta

from proxy.geometry import Box
from proxy.imaging.alpha import to_8_bit
from proxy.imaging.color import HexColor, parse_color
from proxy.imaging.picture import Picture
from proxy.operations.operation import Operation

_TRANSPARENT = [255.0, 0.0, 255.0]


class Trim(Operation, frozen=True):
    """Remove borders of one color: that of the pixel in a corner, or `hex_color`.

    A picture of one color stays as it is. An animation loses only the border that all its frames
    have.
    """

    nanoseconds_per_pixel = 15

    threshold: Annotated[
        float,
        Meta(
            ge=0,
            le=442,
            description="How far a border pixel may differ from that color, as `metric` says.",
        ),
    ] = 10.0
    hex_color: Annotated[
        HexColor | None,
        Meta(description="Color of the border. Transparent pixels count as `#ff00ff`."),
    ] = None
    is_equal_horizontally: Annotated[
        bool, Meta(description="Whether as much is removed on the left as on the right.")
    ] = False
    is_equal_vertically: Annotated[
        bool, Meta(description="Whether as much is removed above as below.")
    ] = False

    corner: Annotated[
        Literal["northwest", "southeast"],
        Meta(description="The corner whose pixel has the color of the border."),
    ] = "northwest"
    metric: Annotated[
        Literal["channel", "euclidean"],
        Meta(
            description="Whether red, green and blue are compared one by one, or by the distance "
            "of the colors, which is at most 442."
        ),
    ] = "channel"

    def apply(self, picture: Picture) -> Picture:
        picture = picture.materialize()  # the border is known only after all pixels were read
        frames = map(picture.frame, range(picture.frame_count))
        contents = [box for frame in frames if (box := self._find_content(frame)) is not None]
        if not contents:
            return picture
        left, top = min(box.left for box in contents), min(box.top for box in contents)
        right = max(box.left + box.width for box in contents)
        bottom = max(box.top + box.height for box in contents)
        size = picture.frame_size
        if self.is_equal_horizontally:
            left = min(left, size.width - right)
            right = size.width - left
        if self.is_equal_vertically:
            top = min(top, size.height - bottom)
            bottom = size.height - top
        return picture.with_frame(
            picture.map_frames(lambda frame: frame.crop(left, top, right - left, bottom - top))
        )

    def _find_content(self, image: pyvips.Image) -> Box | None:
        if self.hex_color is not None:
            visible = image.flatten(background=_TRANSPARENT) if image.hasalpha() else image
            color = parse_color(self.hex_color)
        else:
            # Colors of invisible pixels must not count, so colors are premultiplied.
            visible = to_8_bit(image.premultiply()) if image.hasalpha() else image
            is_first = self.corner == "northwest"
            color = visible(0, 0) if is_first else visible(image.width - 1, image.height - 1)
        columns, rows = self._differs(visible, color).project()
        left, width = _extent(columns)
        top, height = _extent(rows.rot90().fliphor())
        return Box(left, top, width, height) if width and height else None

    def _differs(self, image: pyvips.Image, color: list[float]) -> pyvips.Image:
        """255 where a pixel is no border."""
        if self.metric == "channel":
            return ((image.cast("short") - color).abs() > self.threshold).bandor()
        squares = (image - color) ** 2
        return squares.bandmean() * squares.bands > self.threshold**2


def _extent(counts: pyvips.Image) -> tuple[int, int]:
    """The first column that counts anything, and the number of columns from it to the last one."""
    columns, _ = counts.profile()
    filled = [index for index, first in enumerate(columns.tolist()[0]) if first == 0]
    return (filled[0], filled[-1] - filled[0] + 1) if filled else (0, 0)
