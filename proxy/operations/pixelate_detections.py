import math
from typing import Annotated

from msgspec import Meta

from proxy.imaging.alpha import ImageFunction
from proxy.imaging.picture import Picture
from proxy.operations.detections import CoverDetections, DetectionKind, IfNone, cover_detections
from proxy.operations.pixelate import pixelate

_MAX_SQUARES = 4
"""Across the shorter side of a box. Programs have recognized faces by 6."""


class PixelateDetections(CoverDetections, frozen=True):
    """Hide faces, people, animals or objects behind squares of one color each.

    As `blur_detections`, with squares that are as large as their size asks for: four across a face,
    whatever its size. So no resizing brings anything back.
    """

    changes_size = False
    nanoseconds_per_pixel = 40

    size_in_px: Annotated[
        Annotated[int, Meta(ge=2, le=512)] | None,
        Meta(
            description="Side of a square that is the least, in pixels. A fourth of what is "
            "covered is the least anyway."
        ),
    ] = None
    kind: DetectionKind = "face"
    if_none: IfNone = "keep"

    def apply(self, picture: Picture) -> Picture:
        return cover_detections(
            picture, "pixelate_detections", self.kind, self.if_none, self._pixelate
        )

    def _pixelate(self, short_side: float) -> ImageFunction:
        side = max(self.size_in_px or 0, 2, math.ceil(short_side / _MAX_SQUARES))
        return lambda image: pixelate(image, side)
