"""Where to put a smaller thing on a larger one: a compass point, or fractions of both sides."""

from typing import Annotated, Literal

from msgspec import Meta

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


def to_fractions(position: str) -> tuple[float, float]:
    """The distance from the left and from the top, 0 to 1. ``smart`` has none."""
    if position in _FRACTIONS:
        return _FRACTIONS[position]
    x, y = position.split(",")
    return float(x), float(y)
