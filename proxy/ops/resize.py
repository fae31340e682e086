from typing import Annotated, Literal

import pyvips
from msgspec import Meta

from proxy.color import rgb
from proxy.focus.place import place
from proxy.geometry import Box, Size, anchored, completed, covering, within
from proxy.ops.bounds import Density, Side, dense
from proxy.picture import Picture, preview
from proxy.plan import Operation
from proxy.scaling import cut, scaled

_COMPASS = {
    "northwest": (0.0, 0.0),
    "north": (0.5, 0.0),
    "northeast": (1.0, 0.0),
    "west": (0.0, 0.5),
    "center": (0.5, 0.5),
    "east": (1.0, 0.5),
    "southwest": (0.0, 1.0),
    "south": (0.5, 1.0),
    "southeast": (1.0, 1.0),
}
_SMART = ("smart", "smart_crop")
_SHARE = r"(?:0(?:\.[0-9]{1,6})?|1(?:\.0{1,6})?)"
_POSITIONS = f"^(?:{'|'.join((*_COMPASS, *_SMART))}|{_SHARE},{_SHARE})$"


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
    position: Annotated[str, Meta(pattern=_POSITIONS)] = "center"
    background: Annotated[
        str, Meta(pattern=r"^(?:transparent|#?(?:[0-9a-fA-F]{3}|[0-9a-fA-F]{6}))$")
    ] = "#000000"
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
                size = self._target(picture.natural)
                return picture.scaled(picture.each(lambda one: scaled(one, size)))

    def needs(self, natural: Size) -> Size:
        target = self._target(natural)
        if self.fit == "cover" and self.position in _SMART:
            looked_at = preview(natural)
            return max(target, looked_at)
        return target

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
        if self.position in _SMART:
            picture, focus = picture.seen()
            placed = place(focus, whole, frame)
            return cut(picture, whole, placed.box).placed(placed.decided)
        x, y = _COMPASS.get(self.position) or tuple(map(float, self.position.split(",")))
        return cut(picture, whole, anchored(frame, whole, x, y))

    def _contain(self, picture: Picture, frame: Size) -> Picture:
        size = within(picture.natural, frame)
        box = anchored(size, frame, 0.5, 0.5)

        def mounted(one: pyvips.Image) -> pyvips.Image:
            return _on(scaled(one, size), frame, box, self.background)

        return picture.reframed(picture.each(mounted))


def _on(image: pyvips.Image, frame: Size, box: Box, background: str) -> pyvips.Image:
    if background == "transparent":
        image = image if image.hasalpha() else image.addalpha()
        color = [0.0, 0.0, 0.0, 0.0]
    else:
        color = [*rgb(background), *([255] if image.hasalpha() else [])]
    return image.embed(
        box.left, box.top, frame.width, frame.height, extend="background", background=color
    )
