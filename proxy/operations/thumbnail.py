"""The operation `thumbnail`: the size arithmetic of imgproxy's `resize`, `dpr`, `zoom` and so on.

All numbers are computed as imgproxy computes them, so that sizes and windows agree to the pixel.
"""

import math
from typing import Annotated, Literal

from msgspec import Meta, Struct

from proxy.geometry import Box, Size
from proxy.imaging.picture import Picture, detection_size
from proxy.imaging.resize import resize, resize_and_crop
from proxy.operations.focus import SmartFocus, detect_focus, set_focus
from proxy.operations.gravity import SMART_POSITIONS, KeptPosition, place
from proxy.operations.operation import Operation
from proxy.operations.params import Dpr, InwardOffset, Side
from proxy.smartcrop.placement import place_window

Fit = Literal["fit", "fill", "fill-down", "force", "auto"]
Zoom = Annotated[float, Meta(gt=0, le=100)]


class ThumbnailSize(Struct, frozen=True):
    """The size of the whole scaled picture, of the window that is kept, and the reached dpr."""

    scaled: Size
    window: Size
    pixel_ratio: float


class Thumbnail(Operation, frozen=True):
    """Scale the picture to a box, and crop what does not fit. It is not enlarged by default.

    `fit` shows the whole picture inside the box. `fill` fills the box and crops. `fill-down` does
    the same, and where the picture is smaller than the box it keeps the box' aspect ratio. `force`
    stretches. `auto` is `fill` where picture and box are both landscape or both portrait, and else
    `fit`.

    Without `enlarge`, a picture that is too small for the `dpr` gets the largest one that it is
    large enough for. Pixels of `extend`, `canvas` and `watermark` after it are multiplied by the
    `dpr` that was reached.
    """

    changes_size = True
    nanoseconds_per_pixel = 30

    width_in_px: Annotated[
        Side | None, Meta(description="Width of the box. Without it, it follows from the height.")
    ] = None
    height_in_px: Annotated[
        Side | None, Meta(description="Height of the box. Without it, it follows from the width.")
    ] = None
    fit: Annotated[Fit, Meta(description="How the picture is fitted into the box.")] = "fit"
    gravity: KeptPosition = "center"
    x_offset: Annotated[
        InwardOffset,
        Meta(
            description="Distance from the edge that `gravity` names, at the center to the right. "
            "From 1 on, pixels; below 1, a fraction of the scaled picture."
        ),
    ] = 0.0
    y_offset: Annotated[InwardOffset, Meta(description="The same from top or bottom.")] = 0.0
    enlarge: Annotated[
        bool, Meta(description="Whether a picture that is smaller than the box is enlarged.")
    ] = False
    dpr: Dpr = 1.0
    x_zoom: Annotated[Zoom, Meta(description="Factor for the width of box and picture.")] = 1.0
    y_zoom: Annotated[Zoom, Meta(description="Factor for the height of box and picture.")] = 1.0
    min_width_in_px: Annotated[
        Side | None,
        Meta(description="Width that the scaled picture has at least, even if it is enlarged."),
    ] = None
    min_height_in_px: Annotated[
        Side | None,
        Meta(description="Height that the scaled picture has at least, even if it is enlarged."),
    ] = None
    focus: SmartFocus = "auto"

    def __post_init__(self) -> None:
        set_focus(self, self.focus)

    def only_moves_pixels(self) -> bool:
        return True

    def apply(self, picture: Picture) -> Picture:
        size = self.size_for(picture.natural_size)
        if size.window == size.scaled:
            return resize(picture, size.scaled).with_pixel_ratio(size.pixel_ratio)
        if self.gravity in SMART_POSITIONS:
            picture, subject = detect_focus(self, picture, self.focus)
            placed = place_window(subject, size.scaled, size.window, self.focus)
            cropped = resize_and_crop(picture, size.scaled, placed.box)
            return cropped.with_crop_reason(placed.reason).with_pixel_ratio(size.pixel_ratio)
        box = self._window(size)
        return resize_and_crop(picture, size.scaled, box).with_pixel_ratio(size.pixel_ratio)

    def required_size(self, natural: Size) -> Size | None:
        scaled = self.size_for(natural).scaled
        return max(scaled, detection_size(natural)) if self.uses_detection() else scaled

    def uses_detection(self) -> bool:
        return self.gravity in SMART_POSITIONS

    def size_for(self, natural: Size) -> ThumbnailSize:
        """The sizes for a picture of this natural size."""
        x_shrink, y_shrink, pixel_ratio = self._shrink(natural)
        scaled = Size(
            max(1, _round(natural.width * (1 / x_shrink))),
            max(1, _round(natural.height * (1 / y_shrink))),
        )
        target = Size(
            _round((self.width_in_px or 0) * (pixel_ratio * self.x_zoom)),
            _round((self.height_in_px or 0) * (pixel_ratio * self.y_zoom)),
        )
        if self.fit == "fill-down" and not self.enlarge:
            target = _keep_ratio(target, scaled)
        window = Size(
            min(scaled.width, target.width or scaled.width),
            min(scaled.height, target.height or scaled.height),
        )
        return ThumbnailSize(scaled, window, pixel_ratio)

    def _window(self, size: ThumbnailSize) -> Box:
        return place(
            size.window,
            size.scaled,
            self.gravity,
            self.x_offset,
            self.y_offset,
            pixel_ratio=size.pixel_ratio,
        )

    def _shrink(self, natural: Size) -> tuple[float, float, float]:
        """By what to shrink width and height, and the dpr that is reached."""
        x_shrink, y_shrink = self._fitted_shrink(natural)
        x_shrink /= self.x_zoom
        y_shrink /= self.y_zoom
        pixel_ratio = self.dpr
        if not self.enlarge:
            least = min(x_shrink, y_shrink)
            if least < 1:
                x_shrink /= least
                y_shrink /= least
                pixel_ratio /= least
            pixel_ratio = min(pixel_ratio, x_shrink, y_shrink)
        if self.min_width_in_px and (limit := natural.width / self.min_width_in_px) < x_shrink:
            y_shrink /= x_shrink / limit
            x_shrink = limit
        if self.min_height_in_px and (limit := natural.height / self.min_height_in_px) < y_shrink:
            x_shrink /= y_shrink / limit
            y_shrink = limit
        return (
            min(x_shrink / pixel_ratio, natural.width),
            min(y_shrink / pixel_ratio, natural.height),
            pixel_ratio,
        )

    def _fitted_shrink(self, natural: Size) -> tuple[float, float]:
        x_shrink = natural.width / (self.width_in_px or natural.width)
        y_shrink = natural.height / (self.height_in_px or natural.height)
        fit = self._resolve_auto(natural) if self.fit == "auto" else self.fit
        if fit == "force":
            return x_shrink, y_shrink
        if self.width_in_px is None:
            return y_shrink, y_shrink
        if self.height_in_px is None:
            return x_shrink, x_shrink
        shrink = max(x_shrink, y_shrink) if fit == "fit" else min(x_shrink, y_shrink)
        return shrink, shrink

    def _resolve_auto(self, natural: Size) -> Fit:
        width = self.width_in_px or natural.width
        height = self.height_in_px or natural.height
        is_landscape = natural.width >= natural.height
        return "fill" if is_landscape == (width >= height) else "fit"


def _keep_ratio(target: Size, scaled: Size) -> Size:
    """The largest size of the target's aspect ratio inside a picture that is smaller than it."""
    x_excess, y_excess = target.width / scaled.width, target.height / scaled.height
    if x_excess > y_excess and x_excess > 1:
        return Size(scaled.width, _round(scaled.width * (target.height / target.width)))
    if y_excess > x_excess and y_excess > 1:
        return Size(_round(scaled.height * (target.width / target.height)), scaled.height)
    return target


def _round(number: float) -> int:
    """Round half up, also where the quotient of two floats is a little less than the half."""
    return math.floor(number + 0.5 + 1e-9)
