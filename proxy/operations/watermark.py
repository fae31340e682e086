from typing import Annotated

import pyvips
from msgspec import Meta

from proxy.errors import OperationNotApplicable
from proxy.geometry import Box, Size, anchored, proportion
from proxy.imaging.alpha import faded, laid_over, with_alpha
from proxy.imaging.image import Picture
from proxy.imaging.resize import scaled
from proxy.operations.gravity import Compass, shares
from proxy.operations.plan import Operation
from proxy.originals import SourceRef

Gap = Annotated[int, Meta(ge=-16_384, le=16_384)]


class Watermark(Operation, frozen=True):
    """Lay a second picture over this one.

    `source` is its address, as at the end of a link: an `http(s)://` URL, or `NAME:path` of a
    configured source. `position` says where it goes, the offsets how far from there towards the
    middle; in the middle they go right and down. `scale` is its width as a share of the picture's;
    left out, it keeps its own size. With `tile` it is repeated, the offsets being the gaps between.
    """

    source: Annotated[str, Meta(min_length=3, max_length=2048, pattern=r"^[A-Za-z0-9_-]+:\S+$")]
    position: Compass = "southeast"
    x_offset_in_px: Gap = 0
    y_offset_in_px: Gap = 0
    opacity_in_percent: Annotated[int, Meta(ge=0, le=100)] = 100
    scale: Annotated[float, Meta(gt=0, le=1)] | None = None
    tile: bool = False

    def also(self) -> tuple[SourceRef, ...]:
        return (SourceRef(self.source),)

    def apply(self, picture: Picture) -> Picture:
        mark = self._prepared(picture)
        if self.tile:
            mark = self._tiled(mark, picture.raster)
        size = Size(mark.width, mark.height)
        box = _moved(size, picture.raster, self.position, self.x_offset_in_px, self.y_offset_in_px)
        if self.tile:
            box = Box(0, 0, size.width, size.height)
        return picture.recoloured(picture.each(lambda one: laid_over(one, mark, box.left, box.top)))

    def _prepared(self, picture: Picture) -> pyvips.Image:
        mark = picture.also.get(SourceRef(self.source))
        if mark is None:
            raise OperationNotApplicable("watermark: its picture was not fetched")
        if self.scale is not None:
            width = max(1, round(picture.raster.width * self.scale))
            mark = scaled(mark, Size(width, proportion(mark.height, width, mark.width)))
        mark = with_alpha(mark)
        if self.opacity_in_percent < 100:
            mark = faded(mark, self.opacity_in_percent / 100)
        # It may be read more than once and in any order, which decoders do not do.
        return mark.copy_memory()

    def _tiled(self, mark: pyvips.Image, size: Size) -> pyvips.Image:
        gaps = max(0, self.x_offset_in_px), max(0, self.y_offset_in_px)
        cell = mark.embed(0, 0, mark.width + gaps[0], mark.height + gaps[1])
        across, down = -(-size.width // cell.width), -(-size.height // cell.height)
        return cell.replicate(across, down).crop(0, 0, size.width, size.height)


def _moved(size: Size, frame: Size, position: Compass, x: int, y: int) -> Box:
    """The place at a compass point, moved towards the middle."""
    across, down = shares(position)
    box = anchored(size, frame, across, down)
    left = box.left + (-x if across == 1 else x)
    top = box.top + (-y if down == 1 else y)
    return Box(left, top, size.width, size.height)
