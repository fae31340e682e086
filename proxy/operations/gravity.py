"""Where to put a smaller thing on a larger one: a compass point, or fractions of both sides."""

from typing import Annotated, Literal

from msgspec import Meta

from proxy.geometry import Box, Size

CompassPoint = Literal[
    "northwest",
    "north",
    "northeast",
    "west",
    "center",
    "east",
    "southwest",
    "south",
    "southeast",
]

SMART_POSITIONS = ("smart", "smart_crop")

_FRACTIONS: dict[str, tuple[float, float]] = {
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
_FRACTION = r"(?:0(?:\.[0-9]{1,6})?|1(?:\.0{1,6})?)"

Position = Annotated[
    str,
    Meta(
        pattern=f"^(?:{'|'.join((*_FRACTIONS, *SMART_POSITIONS))}|{_FRACTION},{_FRACTION})$",
        title=f"{', '.join(f'`{point}`' for point in _FRACTIONS)}, `smart`, "
        "or fractions `x,y` from 0 to 1",
    ),
]
KeptPosition = Annotated[
    Position,
    Meta(
        description="Which part is kept. `smart` keeps the subject; `0.5,0.2` centers the "
        "window half the way from the left and a fifth from the top."
    ),
]
CompassPosition = Annotated[
    str,
    Meta(
        pattern=f"^(?:{'|'.join(_FRACTIONS)}|{_FRACTION},{_FRACTION})$",
        title=f"{', '.join(f'`{point}`' for point in _FRACTIONS)}, or fractions `x,y` from 0 to 1",
    ),
]


def to_fractions(position: str) -> tuple[float, float]:
    """The distance from the left and from the top, 0 to 1. ``smart`` has none."""
    if position in _FRACTIONS:
        return _FRACTIONS[position]
    x, y = position.split(",")
    return float(x), float(y)


def place(
    inner: Size,
    outer: Size,
    position: str,
    x_offset: float = 0.0,
    y_offset: float = 0.0,
    *,
    pixel_ratio: float = 1.0,
) -> Box:
    """Place a window in a picture, or a picture on a canvas; the window stays inside.

    Offsets go inwards from the named edge, from the center to the right and downwards. From 1 on
    they are pixels, times ``pixel_ratio``; below 1 they are a fraction of the outer side. With a
    point ``x,y`` the window is centered there, and offsets do not count.
    """
    x, y = to_fractions(position)
    if position in _FRACTIONS:
        left = _offset(outer.width, inner.width, x, x_offset, pixel_ratio)
        top = _offset(outer.height, inner.height, y, y_offset, pixel_ratio)
    else:
        left = round(outer.width * x) - inner.width // 2
        top = round(outer.height * y) - inner.height // 2
    return Box(
        max(0, min(left, outer.width - inner.width)),
        max(0, min(top, outer.height - inner.height)),
        inner.width,
        inner.height,
    )


def offset_in_px(offset: float, side: int, pixel_ratio: float = 1.0) -> int:
    """An offset in pixels: below 1 it is a fraction of the side."""
    return round(offset * pixel_ratio if abs(offset) >= 1 else offset * side)


def _offset(outer: int, inner: int, fraction: float, offset: float, pixel_ratio: float) -> int:
    pixels = offset_in_px(offset, outer, pixel_ratio)
    if fraction == 0.5:
        return round((outer - inner + 1) / 2) + pixels  # half to even, as imgproxy does it
    return pixels if fraction == 0 else outer - inner - pixels
