"""What the filters of a link add up to."""

from typing import Any

from msgspec import Struct, field

from proxy.links.thumbor.grammar import LinkParts

Step = dict[str, Any]
"""An operation as in JSON."""

SIZE_FLAGS = frozenset(("no_upscale", "stretch", "upscale"))
"""Filters that say how the picture gets its size."""


class ThumborState(Struct):
    """``box`` is the requested size, for ``fill``; ``steps`` are carried out in this order."""

    box: tuple[int, int] = (0, 0)
    is_adaptive: bool = False
    is_fit_in: bool = False
    """Whether the box bounds the size, and is not the size."""
    padding: tuple[int, int, int, int] | None = None
    """Left, top, right, bottom; none once a filter has added it."""
    stretch: bool = False
    no_upscale: bool = False
    upscale: bool = False
    focal: list[str] = field(default_factory=list)
    trim: Step | None = None
    crop: Step | None = None
    steps: list[Step] = field(default_factory=list)
    format: str = ""
    quality: int = 0
    max_bytes: int = 0
    max_age: int | None = None
    max_frames: int = 0
    page: int = 0
    raw: bool = False
    keep_copyright: bool = False
    expires: int = 0
    attachment: bool = False
    lossless: bool = False
    png_effort: int | None = None
    filename: str = ""


def open_state(parts: LinkParts) -> ThumborState:
    """The state before the filters."""
    width, height = parts.width, parts.height
    return ThumborState(
        box=(width if isinstance(width, int) else 0, height if isinstance(height, int) else 0),
        is_adaptive=parts.is_adaptive,
        is_fit_in=parts.fit != "crop",
        padding=parts.padding,
    )
