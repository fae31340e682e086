from proxy.focus.evidence import Focus
from proxy.focus.place import place
from proxy.focus.regions import Wanted
from proxy.geometry import Size, covering
from proxy.ops.bounds import Density, Side, dense_size
from proxy.picture import Picture, preview
from proxy.plan import Operation
from proxy.scaling import cut


class SmartCrop(Operation, frozen=True):
    """Scale the picture to cover a box and keep the part with the subject in it.

    `focus` says what counts as the subject: `auto` takes faces before people, animals, objects and
    what merely stands out. Where nothing of the kind is found the middle is kept. All frames of an
    animation share one window. `dpr` multiplies both sides.
    """

    width_in_px: Side
    height_in_px: Side
    focus: Wanted = "auto"
    dpr: Density = 1.0

    def apply(self, picture: Picture) -> Picture:
        frame = dense_size(self.width_in_px, self.height_in_px, self.dpr)
        picture, focus = picture.seen() if self.focus != "center" else (picture, Focus())
        whole = covering(picture.natural, frame)
        placed = place(focus, whole, frame, self.focus)
        return cut(picture, whole, placed.box).placed(placed.decided)

    def needs(self, natural: Size) -> Size:
        frame = dense_size(self.width_in_px, self.height_in_px, self.dpr)
        return max(covering(natural, frame), preview(natural))
