"""Where a smaller thing is put on a larger one: nine compass points, or shares of the way."""

from typing import Annotated, Literal

from msgspec import Meta

Compass = Literal[
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

SMART = ("smart", "smart_crop")

_SHARES: dict[str, tuple[float, float]] = {
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
_SHARE = r"(?:0(?:\.[0-9]{1,6})?|1(?:\.0{1,6})?)"

Position = Annotated[str, Meta(pattern=f"^(?:{'|'.join((*_SHARES, *SMART))}|{_SHARE},{_SHARE})$")]


def shares(position: str) -> tuple[float, float]:
    """How far from the left and from the top, 0 to 1."""
    if position in _SHARES:
        return _SHARES[position]
    x, y = position.split(",")
    return float(x), float(y)
