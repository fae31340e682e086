from typing import Annotated

import pyvips
from msgspec import Meta

from proxy.geometry import Box, Size
from proxy.imaging.picture import Picture, detection_size
from proxy.operations.blur import Blur
from proxy.operations.operation import Operation
from proxy.smartcrop.regions import FocusOption
from proxy.smartcrop.subject import Region


class BlurDetections(Operation, frozen=True):
    """Blur the faces, people, animals or objects that are found.

    A detector can miss some: look at the result before you rely on it. Where nothing is found, the
    picture stays as it is.
    """

    changes_size = False
    nanoseconds_per_pixel = 50

    sigma: Annotated[
        float, Meta(gt=0, le=100, description="Standard deviation of the blur, in pixels.")
    ]
    kind: Annotated[
        FocusOption,
        Meta(description="What is blurred. `auto` blurs faces, people, animals and objects."),
    ] = "face"

    def apply(self, picture: Picture) -> Picture:
        picture, subject = picture.detect_subject()
        boxes = [
            _box(region, picture.frame_size)
            for region in subject.regions
            if region.kind == self.kind or (self.kind == "auto" and region.kind != "saliency")
        ]
        return picture.with_pixels(picture.map_frames(lambda frame: self._blur(frame, boxes)))

    def uses_detection(self) -> bool:
        return True

    def required_size(self, natural: Size) -> Size | None:
        return max(natural, detection_size(natural))

    def _blur(self, image: pyvips.Image, boxes: list[Box]) -> pyvips.Image:
        for box in boxes:
            part = image.crop(box.left, box.top, box.width, box.height)
            image = image.insert(Blur(self.sigma).blur(part), box.left, box.top)
        return image


def _box(region: Region, size: Size) -> Box:
    left, top = int(region.left * size.width), int(region.top * size.height)
    right = min(size.width, round(region.right * size.width))
    bottom = min(size.height, round(region.bottom * size.height))
    return Box(left, top, max(1, right - left), max(1, bottom - top))
