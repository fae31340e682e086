"""Where the window goes, from the evidence alone: a pure function, the same for every size."""

from typing import Literal

from proxy.focus.evidence import Evidence, Focus
from proxy.geometry import Box, Size, anchored, around

Wanted = Literal["auto", "face", "person", "animal", "object", "saliency", "center"]
Decided = Evidence | Literal["center"]

_ORDER: tuple[Evidence, ...] = ("face", "person", "animal", "object", "saliency")


def place(
    focus: Focus, picture: Size, window: Size, wanted: Wanted = "auto"
) -> tuple[Box, Decided]:
    """The window, which lies inside the picture, on the strongest evidence; and what decided.

    Without evidence of the wanted kind it is the middle.
    """
    kinds = _ORDER if wanted == "auto" else (wanted,)
    for kind in kinds:
        regions = [region for region in focus.regions if region.kind == kind]
        if regions:
            best = max(regions, key=lambda region: region.weight)
            x = round((best.left + best.right) / 2 * picture.width)
            y = round((best.top + best.bottom) / 2 * picture.height)
            return around(window, picture, x, y), best.kind
    return anchored(window, picture, 0.5, 0.5), "center"
