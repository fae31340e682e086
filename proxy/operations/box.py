"""The box of an operation: sides in pixels, as shares of the picture's, or by an aspect ratio.

A number below 1 is a share of the picture's side, as the picture arrives at the operation; from 1
on it is pixels. So 1 is one pixel, however it is written.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from fractions import Fraction
from math import gcd
from typing import Annotated, Any

from msgspec import Meta

from proxy.geometry import Size, largest_window, resolve_size, scale_length
from proxy.operations.params import Offset, Side

_SHARE = "a share of the picture's side above 0 and below 1, such as 0.5"

Share = Annotated[float, Meta(gt=0, lt=1, title=_SHARE)]
RelativeSide = Side | Share
RelativeOffset = Offset | Share
AspectRatio = Annotated[
    str,
    Meta(
        pattern="^[1-9][0-9]{0,4}x[1-9][0-9]{0,4}$",
        title="two whole numbers from 1 to 99999, such as `16x9`",
    ),
]

_MAX_RATIO = 100


def takes_shares(schemas: Iterable[Mapping[str, Any]]) -> bool:
    """Whether a field of these JSON Schemas takes shares of a side beside pixels."""
    return any(schema.get("title") == _SHARE for schema in schemas)


def is_share(number: float | None) -> bool:
    """Whether the number is a share of a side, and not in pixels."""
    return number is not None and 0 < number < 1


def has_pixels(*sides: float | None) -> bool:
    """Whether any of the sides is given in pixels."""
    return any(side is not None and not is_share(side) for side in sides)


def to_fraction(share: float) -> Fraction:
    """The share as it was written: 0.1 is exactly a tenth."""
    return Fraction(Decimal(repr(share)))


def resolve_side(side: float | None, natural: int, dpr: float = 1.0) -> int | None:
    """A side in pixels; None stays None.

    A share is of the natural side, whatever the ``dpr``; a side in pixels is multiplied by it.
    """
    if side is None:
        return None
    if is_share(side):
        return scale_length(natural, *to_fraction(side).as_integer_ratio())
    return max(1, round(side * dpr))


def resolve_box(
    natural: Size,
    width: float | None,
    height: float | None,
    ratio: str | None,
    dpr: float = 1.0,
) -> Size:
    """The box in pixels.

    A side that is missing follows from the other by the ratio, or else by that of the picture. A
    ratio alone is the largest window of that ratio.
    """
    across = resolve_side(width, natural.width, dpr)
    down = resolve_side(height, natural.height, dpr)
    if ratio is None:
        return resolve_size(natural, across, down)
    shape = _parse_aspect_ratio(ratio)
    if across is None and down is None:
        return largest_window(natural, shape)
    return resolve_size(shape, across, down)


def check_box(
    width: float | None, height: float | None, ratio: str | None, dpr: float = 1.0
) -> str | None:
    """Return the ratio in the smallest numbers, so that equal boxes are equal values.

    Raises ValueError, naming the field.
    """
    if dpr != 1 and not has_pixels(width, height):
        raise ValueError("dpr: multiplies a width or a height in pixels, and there is none")
    if ratio is None:
        return None
    if width is not None and height is not None:
        raise ValueError("ratio: give only one side with it, or none: the other one follows")
    shape = _parse_aspect_ratio(ratio)
    if max(shape.width, shape.height) > _MAX_RATIO * min(shape.width, shape.height):
        raise ValueError(f"ratio: one side is at most {_MAX_RATIO} times the other")
    divisor = gcd(shape.width, shape.height)
    return f"{shape.width // divisor}x{shape.height // divisor}"


def _parse_aspect_ratio(text: str) -> Size:
    width, height = text.split("x")
    return Size(int(width), int(height))
