from typing import Annotated

from msgspec import Meta

from proxy.geometry import Size, covering, magnified
from proxy.imaging.image import Picture, preview
from proxy.imaging.resize import cut
from proxy.operations.params import Density, Side, dense_size
from proxy.operations.plan import Operation
from proxy.smartcrop.placement import place
from proxy.smartcrop.subject import Focus
from proxy.smartcrop.weights import Wanted


class SmartCrop(Operation, frozen=True):
    """Scale the picture to cover a box and keep the part with the subject in it.

    `focus` says what counts as the subject: `auto` takes faces before people, animals, objects and
    what merely stands out. Where nothing of a kind is found the kinds after it are taken, and at
    last the middle. `zoom` draws the window together around the subject: 0 keeps the most of the
    picture, 1 just the face or the thing with some room, but never fewer pixels than the box has.
    All frames of an animation share one window. `dpr` multiplies both sides.
    """

    width_in_px: Side
    height_in_px: Side
    focus: Wanted = "auto"
    zoom: Annotated[float, Meta(ge=0, le=1)] = 0.0
    dpr: Density = 1.0

    def apply(self, picture: Picture) -> Picture:
        frame = dense_size(self.width_in_px, self.height_in_px, self.dpr)
        picture, focus = picture.seen() if self.looks() else (picture, Focus())
        if self.zoom:
            placed = place(focus, picture.natural, frame, self.focus, self.zoom)
            whole, window = magnified(picture.natural, placed.box, frame)
        else:
            whole = covering(picture.natural, frame)
            placed = place(focus, whole, frame, self.focus)
            window = placed.box
        return cut(picture, whole, window).placed(placed.decided)

    def looks(self) -> bool:
        return self.focus != "center"

    def needs(self, natural: Size) -> Size | None:
        if self.zoom:
            return None  # how much of the picture fills the box, only a look at it will tell
        frame = dense_size(self.width_in_px, self.height_in_px, self.dpr)
        return max(covering(natural, frame), preview(natural))
