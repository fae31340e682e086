"""The operation `resize`. The pixels are resized in `proxy.imaging.resize`."""

from typing import Annotated, Literal

from msgspec import Meta, structs

from proxy.geometry import Size, anchor, contain, cover
from proxy.imaging.canvas_fill import FILLS, CanvasBackground, fill_cost, put_on_canvas
from proxy.imaging.picture import Picture, detection_size
from proxy.imaging.resize import resize, resize_and_crop
from proxy.operations.box import AspectRatio, RelativeSide, check_box, has_pixels, resolve_box
from proxy.operations.gravity import SMART_POSITIONS, Position, to_fractions
from proxy.operations.operation import Operation
from proxy.operations.params import Dpr
from proxy.smartcrop.placement import place_crop


class Resize(Operation, frozen=True):
    """Scale the picture to a box. If you give one side, the other keeps the aspect ratio.

    A side from 1 on is in pixels. A side below 1 is a share of the picture's, as it is at this
    step: `width=0.5` is half of it.

    `fit` decides what happens when box and picture have different aspect ratios. `cover` fills the
    box and crops what does not fit. `contain` shows the whole picture inside the box and fills the
    rest with `background`. `fill` stretches the picture to the box.

    Two fits do not give exactly the box. `inside` shrinks a larger picture until it fits into the
    box, and leaves a smaller one as it is. `outside` enlarges a smaller picture until it covers the
    box, and leaves a larger one as it is.
    """

    changes_size = True
    nanoseconds_per_pixel = 30

    width_in_px: Annotated[
        RelativeSide | None, Meta(description="Width of the box, in pixels or as a share.")
    ] = None
    height_in_px: Annotated[
        RelativeSide | None, Meta(description="Height of the box, in pixels or as a share.")
    ] = None
    fit: Annotated[
        Literal["cover", "contain", "fill", "inside", "outside"],
        Meta(description="How the picture is fitted into the box."),
    ] = "cover"
    position: Annotated[
        Position,
        Meta(
            description="Which part `cover` keeps. `smart` keeps the subject; `0.5,0.2` is a point "
            "half the way from the left and a fifth from the top."
        ),
    ] = "center"
    background: Annotated[
        CanvasBackground | None,
        Meta(
            description="Color around the picture with `contain`. Without one, it is black, or "
            f"transparent after `remove_background`. {FILLS}"
        ),
    ] = None
    dpr: Dpr = 1.0
    ratio: Annotated[
        AspectRatio | None,
        Meta(description="Aspect ratio of the box, where only one side is given."),
    ] = None

    def __post_init__(self) -> None:
        if self.width_in_px is None and self.height_in_px is None:
            raise ValueError("width_in_px or height_in_px is required")
        ratio = check_box(self.width_in_px, self.height_in_px, self.ratio, self.dpr)
        structs.force_setattr(self, "ratio", ratio)

    def only_moves_pixels(self) -> bool:
        return self.fit != "contain"

    def apply(self, picture: Picture) -> Picture:
        match self.fit:
            case "cover":
                return self._cover(picture)
            case "contain":
                return self._contain(picture)
            case _:
                return resize(picture, self._scaled_size(picture.natural_size))

    def pixel_cost(self) -> float:
        return self.nanoseconds_per_pixel + fill_cost(self.background)

    def required_size(self, natural: Size) -> Size:
        size = self._scaled_size(natural)
        return max(size, detection_size(natural)) if self.uses_detection() else size

    def uses_detection(self) -> bool:
        return self.fit == "cover" and self.position in SMART_POSITIONS

    def scales_to_pixels(self) -> bool:
        return has_pixels(self.width_in_px, self.height_in_px)

    def _box(self, natural: Size) -> Size:
        return resolve_box(natural, self.width_in_px, self.height_in_px, self.ratio, self.dpr)

    def _scaled_size(self, natural: Size) -> Size:
        """The size of the whole picture, before it is cropped or put on a background."""
        box = self._box(natural)
        if self.ratio is None and None in (self.width_in_px, self.height_in_px):
            box_fits = {"inside": min(natural, box), "outside": max(natural, box)}
            return box_fits.get(self.fit, box)  # it has the picture's aspect ratio
        match self.fit:
            case "cover":
                return cover(natural, box)
            case "contain":
                return contain(natural, box)
            case "fill":
                return box
            case "inside":
                return min(natural, contain(natural, box))
            case "outside":
                return max(natural, cover(natural, box))

    def _cover(self, picture: Picture) -> Picture:
        box, size = self._box(picture.natural_size), self._scaled_size(picture.natural_size)
        if self.uses_detection():
            picture, subject = picture.detect_subject()
            placement = place_crop(subject, size, box)
            picture = resize_and_crop(picture, size, placement.box)
            return picture.with_crop_reason(placement.reason)
        x, y = to_fractions(self.position)
        return resize_and_crop(picture, size, anchor(box, size, x, y))

    def _contain(self, picture: Picture) -> Picture:
        canvas, size = self._box(picture.natural_size), self._scaled_size(picture.natural_size)
        box = anchor(size, canvas, 0.5, 0.5)
        color = self.background or picture.default_background("#000000")
        return put_on_canvas(resize(picture, size), canvas, box, color)
