from typing import Annotated, Literal

import pyvips
from msgspec import Meta

from proxy.errors import OperationNotApplicable
from proxy.geometry import Size, anchor, contain, resolve_size
from proxy.imaging.alpha import BlendMode, add_alpha, composite, scale_alpha
from proxy.imaging.picture import Picture
from proxy.imaging.resize import resize_image
from proxy.operations.gravity import CompassPoint, offset_in_px, to_fractions
from proxy.operations.operation import Operation
from proxy.operations.overlay_steps import OverlaySteps
from proxy.operations.params import InwardOffset
from proxy.originals import SourceRef


class Watermark(Operation, frozen=True):
    """Lay another picture over this one.

    It may hang over the edge. After a `thumbnail` with a `dpr`, offsets in pixels are multiplied by
    the ratio that it reached.

    With `steps`, operations are carried out on it before it is scaled and placed. In a link, they
    are percent-encoded, slashes and colons too: `steps=resize%3A200%2Frotate%3A15`. Presets may be
    among them, as `preset%3ANAME`. In JSON, they are a list of operations. Operations that change
    the pixels of one picture are possible, but no further `watermark`.
    """

    changes_size = False
    nanoseconds_per_pixel = 30

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
        InwardOffset,
        Meta(
            description="Pixels from that position towards the center, at the center to the right. "
            "Below 1, a fraction of the picture's width. With `tile`, the gap between columns."
        ),
    ] = 0.0
    y_offset_in_px: Annotated[
        InwardOffset,
        Meta(
            description="Pixels from that position towards the center, at the center downwards. "
            "Below 1, a fraction of the picture's height. With `tile`, the gap between rows."
        ),
    ] = 0.0
    opacity_in_percent: Annotated[
        float, Meta(ge=0, le=100, description="100 is opaque, 0 is invisible.")
    ] = 100.0
    scale: Annotated[
        Annotated[float, Meta(gt=0, le=1)] | None,
        Meta(
            description="Width of the watermark as a fraction of the picture's. Without it, the "
            "watermark keeps its size."
        ),
    ] = None
    height_scale: Annotated[
        Annotated[float, Meta(gt=0, le=1)] | None,
        Meta(
            description="Height of the watermark as a fraction of the picture's. With both, the "
            "watermark is the largest that fits."
        ),
    ] = None
    tile: Annotated[bool, Meta(description="Whether to repeat it over the whole picture.")] = False
    tile_direction: Annotated[
        Literal["both", "horizontal", "vertical"],
        Meta(
            description="Whether `tile` repeats it in rows and columns, in one row, or in one "
            "column, which is placed by `position`."
        ),
    ] = "both"
    blend_mode: Annotated[
        BlendMode,
        Meta(
            description="How its colors are mixed with those below, by the names of CSS "
            "`mix-blend-mode`."
        ),
    ] = "normal"
    steps: Annotated[
        OverlaySteps, Meta(description="Operations on the watermark, before it is placed.")
    ] = ()

    def extra_sources(self) -> tuple[SourceRef, ...]:
        return (SourceRef(self.source),)

    def extra_steps(self) -> tuple[Operation, ...]:
        steps: tuple[Operation, ...] = self.steps
        return steps

    def apply(self, picture: Picture) -> Picture:
        mark = self._prepare_mark(picture)
        if self.tile and self.tile_direction == "both":
            mark, left, top = self._tile(mark, picture), 0, 0
        elif self.tile:
            mark = self._line(mark, picture.frame_size)
            left, top = self._place(Size(mark.width, mark.height), picture)
            left, top = (0, top) if self.tile_direction == "horizontal" else (left, 0)
        else:
            left, top = self._place(Size(mark.width, mark.height), picture)
        return picture.with_pixels(
            picture.map_frames(
                lambda frame: composite(frame, mark, left, top, blend_mode=self.blend_mode)
            )
        )

    def _prepare_mark(self, picture: Picture) -> pyvips.Image:
        mark = picture.extra_images.get(SourceRef(self.source))
        if mark is None:
            raise OperationNotApplicable("watermark: source was not fetched")
        if box := self._scaled_box(Size(mark.width, mark.height), picture.frame_size):
            mark = resize_image(mark, contain(Size(mark.width, mark.height), box))
        mark = add_alpha(mark)
        if self.opacity_in_percent < 100:
            mark = scale_alpha(mark, self.opacity_in_percent / 100)
        # It may be read more than once and in any order, which decoders cannot do.
        return mark.copy_memory()

    def _scaled_box(self, mark: Size, size: Size) -> Size | None:
        """The box that the mark is scaled to; None where it keeps its size."""
        if self.scale is None and self.height_scale is None:
            return None
        width = max(1, round(size.width * self.scale)) if self.scale else None
        height = max(1, round(size.height * self.height_scale)) if self.height_scale else None
        return resolve_size(mark, width, height)

    def _tile(self, mark: pyvips.Image, picture: Picture) -> pyvips.Image:
        size, ratio = picture.frame_size, picture.pixel_ratio
        gap_x = max(0, offset_in_px(self.x_offset_in_px, size.width, ratio))
        gap_y = max(0, offset_in_px(self.y_offset_in_px, size.height, ratio))
        tile = mark.embed(0, 0, mark.width + gap_x, mark.height + gap_y)
        columns, rows = -(-size.width // tile.width), -(-size.height // tile.height)
        return tile.replicate(columns, rows).crop(0, 0, size.width, size.height)

    def _line(self, mark: pyvips.Image, size: Size) -> pyvips.Image:
        if self.tile_direction == "horizontal":
            row = mark.replicate(-(-size.width // mark.width), 1)
            return row.crop(0, 0, size.width, mark.height)
        column = mark.replicate(1, -(-size.height // mark.height))
        return column.crop(0, 0, mark.width, size.height)

    def _place(self, mark: Size, picture: Picture) -> tuple[int, int]:
        size, ratio = picture.frame_size, picture.pixel_ratio
        x, y = to_fractions(self.position)
        box = anchor(mark, size, x, y)
        right = offset_in_px(self.x_offset_in_px, size.width, ratio)
        down = offset_in_px(self.y_offset_in_px, size.height, ratio)
        return box.left + (-right if x == 1 else right), box.top + (-down if y == 1 else down)
