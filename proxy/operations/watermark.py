from typing import Annotated

import pyvips
from msgspec import Meta

from proxy.errors import OperationNotApplicable
from proxy.geometry import Size, anchor, scale_length
from proxy.imaging.alpha import add_alpha, composite, scale_alpha
from proxy.imaging.picture import Picture
from proxy.imaging.resize import resize_image
from proxy.operations.gravity import CompassPoint, to_fractions
from proxy.operations.operation import Operation
from proxy.operations.params import Percent
from proxy.originals import SourceRef

SignedOffset = Annotated[int, Meta(ge=-16_384, le=16_384)]


class Watermark(Operation, frozen=True):
    """Lay another picture over this one."""

    source: Annotated[
        str,
        Meta(
            min_length=3,
            max_length=2048,
            pattern=r"^[A-Za-z0-9_-]+:\S+$",
            title="a source such as `https://host/logo.png` or `NAME:logo.png`",
            description="The watermark's source, in the form that it has at the end of a link.",
        ),
    ]
    position: Annotated[
        CompassPoint, Meta(description="Where on the picture the watermark is placed.")
    ] = "southeast"
    x_offset_in_px: Annotated[
        SignedOffset,
        Meta(
            description="Pixels from that position towards the center, at the center to the right. "
            "With `tile`, the gap between columns."
        ),
    ] = 0
    y_offset_in_px: Annotated[
        SignedOffset,
        Meta(
            description="Pixels from that position towards the center, at the center downwards. "
            "With `tile`, the gap between rows."
        ),
    ] = 0
    opacity_in_percent: Annotated[Percent, Meta(description="100 is opaque, 0 is invisible.")] = 100
    scale: Annotated[
        Annotated[float, Meta(gt=0, le=1)] | None,
        Meta(
            description="Width of the watermark as a fraction of the picture's. Without it, the "
            "watermark keeps its size."
        ),
    ] = None
    tile: Annotated[bool, Meta(description="Whether to repeat it over the whole picture.")] = False

    def extra_sources(self) -> tuple[SourceRef, ...]:
        return (SourceRef(self.source),)

    def apply(self, picture: Picture) -> Picture:
        mark = self._prepare_mark(picture)
        if self.tile:
            mark, left, top = self._tile(mark, picture.frame_size), 0, 0
        else:
            left, top = self._place(Size(mark.width, mark.height), picture.frame_size)
        return picture.with_pixels(
            picture.map_frames(lambda frame: composite(frame, mark, left, top))
        )

    def _prepare_mark(self, picture: Picture) -> pyvips.Image:
        mark = picture.extra_images.get(SourceRef(self.source))
        if mark is None:
            raise OperationNotApplicable("watermark: source was not fetched")
        if self.scale is not None:
            width = max(1, round(picture.frame_size.width * self.scale))
            mark = resize_image(mark, Size(width, scale_length(mark.height, width, mark.width)))
        mark = add_alpha(mark)
        if self.opacity_in_percent < 100:
            mark = scale_alpha(mark, self.opacity_in_percent / 100)
        # It may be read more than once and in any order, which decoders cannot do.
        return mark.copy_memory()

    def _tile(self, mark: pyvips.Image, size: Size) -> pyvips.Image:
        gap_x, gap_y = max(0, self.x_offset_in_px), max(0, self.y_offset_in_px)
        tile = mark.embed(0, 0, mark.width + gap_x, mark.height + gap_y)
        columns, rows = -(-size.width // tile.width), -(-size.height // tile.height)
        return tile.replicate(columns, rows).crop(0, 0, size.width, size.height)

    def _place(self, mark: Size, size: Size) -> tuple[int, int]:
        x, y = to_fractions(self.position)
        box = anchor(mark, size, x, y)
        left = box.left + (-self.x_offset_in_px if x == 1 else self.x_offset_in_px)
        top = box.top + (-self.y_offset_in_px if y == 1 else self.y_offset_in_px)
        return left, top
