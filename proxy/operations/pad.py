from proxy.geometry import Size, anchored
from proxy.imaging.color import Background
from proxy.imaging.image import Picture
from proxy.imaging.resize import mounted_on
from proxy.operations.gravity import Compass, shares
from proxy.operations.params import Side
from proxy.operations.plan import Operation


class Pad(Operation, frozen=True):
    """Make the canvas at least this large, without scaling. A side that is longer stays.

    `position` says where on the canvas the picture is put; `background` is a colour, or
    `transparent`.
    """

    width_in_px: Side
    height_in_px: Side
    position: Compass = "center"
    background: Background = "#FFFFFF"

    def apply(self, picture: Picture) -> Picture:
        natural = picture.natural
        frame = Size(max(natural.width, self.width_in_px), max(natural.height, self.height_in_px))
        box = anchored(natural, frame, *shares(self.position))
        return picture.reframed(
            picture.each(lambda one: mounted_on(one, frame, box, self.background))
        )
