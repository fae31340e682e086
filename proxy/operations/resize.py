from typing import Literal

from proxy.geometry import Size, anchored, completed, covering, within
from proxy.imaging.color import Background
from proxy.imaging.image import Picture, preview
from proxy.imaging.resize import cut, mounted_on, resized
from proxy.operations.gravity import SMART, Position, shares
from proxy.operations.params import Density, Side, dense
from proxy.operations.plan import Operation
from proxy.smartcrop.placement import place


class Resize(Operation, frozen=True):
    """Scale the picture to a box. A side that is left out follows from the other.

    `cover` fills the box exactly and crops what stands over; `contain` shows the whole picture
    inside the box, exactly as large, on a background; `fill` stretches to the box; `inside` makes
    a larger picture fit and leaves a smaller one as it is; `outside` makes a smaller picture cover
    the box and leaves a larger one as it is. `position` says which part `cover` keeps: a compass
    point, a share of the way from left and from top such as `0.5,0.2`, or `smart` for the
    subject. `background` is a colour, or `transparent`. `dpr` multiplies both sides.
    """

    width_in_px: Side | None = None
    height_in_px: Side | None = None
    fit: Literal["cover", "contain", "fill", "inside", "outside"] = "cover"
    position: Position = "center"
    background: Background = "#000000"
    dpr: Density = 1.0

    def __post_init__(self) -> None:
        if self.width_in_px is None and self.height_in_px is None:
            raise ValueError("width_in_px or height_in_px is needed")

    def apply(self, picture: Picture) -> Picture:
        frame = self._frame(picture.natural)
        match self.fit:
            case "cover":
                return self._cover(picture, frame)
            case "contain":
                return self._contain(picture, frame)
            case _:
                return resized(picture, self._target(picture.natural))

    def needs(self, natural: Size) -> Size:
        target = self._target(natural)
        return max(target, preview(natural)) if self.looks() else target

    def looks(self) -> bool:
        return self.fit == "cover" and self.position in SMART

    def _frame(self, natural: Size) -> Size:
        return completed(
            natural, dense(self.width_in_px, self.dpr), dense(self.height_in_px, self.dpr)
        )

    def _target(self, natural: Size) -> Size:
        """The size of the whole picture, before anything is cut off or put around."""
        frame = self._frame(natural)
        match self.fit:
            case "cover":
                return covering(natural, frame)
            case "contain":
                return within(natural, frame)
            case "fill":
                return frame
            case "inside":
                return min(natural, within(natural, frame))
            case "outside":
                return max(natural, covering(natural, frame))

    def _cover(self, picture: Picture, frame: Size) -> Picture:
        whole = covering(picture.natural, frame)
        if self.position in SMART:
            picture, focus = picture.seen()
            placed = place(focus, whole, frame)
            return cut(picture, whole, placed.box).placed(placed.decided)
        x, y = shares(self.position)
        return cut(picture, whole, anchored(frame, whole, x, y))

    def _contain(self, picture: Picture, frame: Size) -> Picture:
        size = within(picture.natural, frame)
        box = anchored(size, frame, 0.5, 0.5)

        picture = resized(picture, size)
        return picture.reframed(
            picture.each(lambda one: mounted_on(one, frame, box, self.background))
        )
