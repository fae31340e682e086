from typing import Annotated

from msgspec import Meta

from proxy.formats import FormatName
from proxy.geometry import Size
from proxy.imaging.headers import ImageHeader
from proxy.imaging.lqip import (
    LQIP_FORMAT,
    LQIP_QUALITY,
    LQIP_SIDE,
    MAX_LQIP_BYTES,
    lqip_size,
    shrink_to_lqip,
)
from proxy.imaging.picture import Picture
from proxy.operations.operation import Operation


class Lqip(Operation, frozen=True):
    """Make a low-quality image placeholder: a tiny picture to show while the real one loads.

    It is WebP, mostly of 120 to 250 bytes. Of an animation it shows the first frame, and it keeps
    transparency. Show it in the size of the real picture: browsers smooth it. A `convert` after it
    chooses another format. In any format it has at most 1,024 bytes; where quality alone does not
    do, it becomes smaller.

    The JSON of an `info` link has the same picture as a `data:` URI (`lqip`), beside a BlurHash and
    a ThumbHash.
    """

    changes_size = True
    nanoseconds_per_pixel = 30

    size: Annotated[
        int, Meta(ge=4, le=64, description="Longer side in pixels. Nothing is enlarged.")
    ] = LQIP_SIDE

    @property
    def format(self) -> FormatName:
        """The output format of the plan, where no later step sets another."""
        return LQIP_FORMAT

    def apply(self, picture: Picture) -> Picture:
        return shrink_to_lqip(picture, self.size).with_output(
            format=LQIP_FORMAT,
            quality=LQIP_QUALITY,
            score=None,
            format_qualities={},
            max_bytes=MAX_LQIP_BYTES,
        )

    def required_size(self, natural: Size) -> Size:
        return lqip_size(natural, self.size)

    def frame_range(self, header: ImageHeader) -> tuple[int, int] | None:
        return (1, 1) if header.animated else None
