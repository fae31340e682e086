from typing import Annotated

from msgspec import Meta, structs

from proxy.geometry import Size, cover, largest_window, zoom_to
from proxy.imaging.picture import Picture, detection_size
from proxy.imaging.resize import resize_and_crop
from proxy.operations.box import AspectRatio, RelativeSide, check_box, has_pixels, resolve_box
from proxy.operations.focus import detect_focus, set_focus
from proxy.operations.operation import Operation
from proxy.operations.params import Dpr
from proxy.smartcrop.focus import Focus
from proxy.smartcrop.placement import max_default_zoom, place_crop
from proxy.smartcrop.subject import Subject


class SmartCrop(Operation, frozen=True):
    """Scale the picture to fill a box, and crop it so that the subject stays in it.

    `smart_crop:800:600` gives exactly that size. `smart_crop:800:ratio=16x9` is 800 by 450, and
    `smart_crop:ratio=16x9` crops to the largest window of that ratio, without scaling. A side below
    1 is a share of the picture's.

    If nothing of the kind in `focus` is found, the next kinds are tried: faces, people, animals,
    objects, then whatever stands out. If nothing is found at all, the center is kept. All frames of
    an animation are cropped in the same place.
    """

    changes_size = True
    nanoseconds_per_pixel = 30

    width_in_px: Annotated[
        RelativeSide | None, Meta(description="Width of the result, in pixels or as a share.")
    ] = None
    height_in_px: Annotated[
        RelativeSide | None, Meta(description="Height of the result, in pixels or as a share.")
    ] = None
    focus: Annotated[
        Focus,
        Meta(
            description="What counts as the subject. `auto` takes the first kind that is found; "
            "`saliency` is what stands out; `center` keeps the center. `dog` is one of the classes "
            "that a model finds, see docs/smart-crop.md. Of several, as in `person*2,dog`, all "
            "count, and one with a weight counts more where the crop cannot keep all."
        ),
    ] = "auto"
    zoom: Annotated[
        Annotated[float, Meta(ge=0, le=1)] | None,
        Meta(
            description="How far to zoom in on the subject. 0 keeps as much of the picture as "
            "possible, 1 only the subject with some space around it. The picture is not enlarged. "
            "Without it, results with a mean side below 256 pixels zoom in on a small subject, up "
            "to 3 times."
        ),
    ] = None
    dpr: Dpr = 1.0
    ratio: Annotated[
        AspectRatio | None,
        Meta(description="Aspect ratio of the result, where only one side is given, or none."),
    ] = None

    def __post_init__(self) -> None:
        if self.ratio is None and None in (self.width_in_px, self.height_in_px):
            missing = "width_in_px" if self.width_in_px is None else "height_in_px"
            raise ValueError(
                f"{missing} is missing: give width_in_px and height_in_px, or a ratio such as 16x9"
            )
        ratio = check_box(self.width_in_px, self.height_in_px, self.ratio, self.dpr)
        structs.force_setattr(self, "ratio", ratio)
        set_focus(self, self.focus)

    def only_moves_pixels(self) -> bool:
        return True

    def apply(self, picture: Picture) -> Picture:
        subject = Subject()
        if self.uses_detection():
            picture, subject = detect_focus(self, picture, self.focus)
        natural = picture.natural_size
        box = self._box(natural)
        placement = place_crop(subject, natural, box, self.focus, self.zoom)
        if self.zoom or placement.box.size != largest_window(natural, box):
            size, window = zoom_to(natural, placement.box, box)
        else:
            size = cover(natural, box)
            placement = place_crop(subject, size, box, self.focus)
            window = placement.box
        return resize_and_crop(picture, size, window).with_crop_reason(placement.reason)

    def uses_detection(self) -> bool:
        return self.focus != "center"

    def required_size(self, natural: Size) -> Size | None:
        if self.zoom:
            return None  # how much is cropped is known only after detection
        box = self._box(natural)
        size = cover(natural, box)
        if self.zoom is None and self.uses_detection():
            factor = max_default_zoom(box)
            size = Size(round(size.width * factor), round(size.height * factor))
        return max(size, detection_size(natural))

    def scales_to_pixels(self) -> bool:
        return has_pixels(self.width_in_px, self.height_in_px)

    def _box(self, natural: Size) -> Size:
        return resolve_box(natural, self.width_in_px, self.height_in_px, self.ratio, self.dpr)
