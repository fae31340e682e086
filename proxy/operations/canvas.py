import math
from typing import Annotated

import pyvips
from msgspec import Meta
from msgspec.structs import replace

from proxy.geometry import Box, Size
from proxy.imaging.alpha import add_alpha, composite
from proxy.imaging.color import HEX_COLOR
from proxy.imaging.picture import Picture
from proxy.imaging.resize import embed, resize_image
from proxy.operations.blur import Blur
from proxy.operations.gravity import CompassPosition, place
from proxy.operations.operation import Operation
from proxy.operations.params import InwardOffset

CanvasSide = Annotated[float, Meta(ge=0, le=100_000)]
CanvasBackground = Annotated[
    str,
    Meta(
        pattern=f"^(?:transparent|auto|blur|{HEX_COLOR})$",
        title="a color such as `#ff8800` or `tomato`, `transparent`, `auto`, or `blur`",
        extra_json_schema={"format": "color"},
    ),
]

_BLUR_SIGMA = 27.0


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
        Meta(
            description="Color of the canvas; `auto` is the picture's average color, and `blur` "
            "the picture itself, stretched and blurred."
        ),
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
        if self.background not in ("auto", "blur") or not picture.has_pixels:
            color = self.background if picture.has_pixels else "transparent"
            return picture.with_frame(
                picture.map_frames(lambda frame: embed(frame, canvas, box, color))
            )
        picture = picture.materialize()  # all pixels are read before the first is written
        if self.background == "auto":
            color = _average_color(picture.frame(0))
            return picture.with_frame(
                picture.map_frames(lambda frame: embed(frame, canvas, box, color))
            )
        return picture.with_frame(
            picture.map_frames(lambda frame: _embed_in_blurred(frame, canvas, box))
        )

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


def _average_color(image: pyvips.Image) -> str:
    """Of the visible pixels, by how visible they are."""
    if not image.hasalpha():
        return "#" + "".join(f"{int(band.avg()):02x}" for band in image.bandsplit()[:3])
    alpha = image[-1]
    total = max(alpha.avg(), 1e-9)
    shares = [(band * alpha).avg() / total for band in image.bandsplit()[:3]]
    return "#" + "".join(f"{min(255, int(share)):02x}" for share in shares)


def _embed_in_blurred(image: pyvips.Image, canvas: Size, box: Box) -> pyvips.Image:
    blurred = Blur(_BLUR_SIGMA).blur(image.flatten() if image.hasalpha() else image)
    background = resize_image(blurred, canvas)
    return composite(background, add_alpha(image), box.left, box.top)
