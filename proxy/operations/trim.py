from typing import Annotated

import pyvips
from msgspec import Meta

from proxy.geometry import Box
from proxy.imaging.image import Picture
from proxy.operations.plan import Operation


class Trim(Operation, frozen=True):
    """Cut off borders of one colour, that of the top left pixel.

    `threshold` is how far a pixel may differ from it and still be border, 0 to 255. A picture that
    is border all over stays as it is. Frames of an animation lose only what is border in all.
    """

    threshold: Annotated[int, Meta(ge=0, le=255)] = 10

    def apply(self, picture: Picture) -> Picture:
        picture = picture.settled()  # the border is known only when all has been seen
        height = picture.raster.height
        frames = [
            picture.image.crop(0, at * height, picture.image.width, height)
            for at in range(picture.frames)
        ]
        found = [box for frame in frames if (box := self._content(frame)) is not None]
        if not found:
            return picture
        left, top = min(box.left for box in found), min(box.top for box in found)
        right = max(box.left + box.width for box in found)
        bottom = max(box.top + box.height for box in found)
        return picture.reframed(
            picture.each(lambda one: one.crop(left, top, right - left, bottom - top))
        )

    def _content(self, image: pyvips.Image) -> Box | None:
        # Colours that cannot be seen make no difference, so they are compared weighted.
        seen = image.premultiply().cast("uchar") if image.hasalpha() else image
        differs = (seen.cast("short") - seen(0, 0)).abs() > self.threshold
        columns, rows = differs.bandor().project()
        left, width = _extent(columns)
        top, height = _extent(rows.rot90().fliphor())
        return Box(left, top, width, height) if width and height else None


def _extent(counts: pyvips.Image) -> tuple[int, int]:
    """The first column that holds anything, and how many there are from it to the last one."""
    columns, _ = counts.profile()
    filled = [at for at, first in enumerate(columns.tolist()[0]) if first == 0]
    return (filled[0], filled[-1] - filled[0] + 1) if filled else (0, 0)
