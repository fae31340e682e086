"""Colours as they are written: ``#RRGGBB`` or ``#RGB``; in links the sign may be left out."""

import re
from typing import Annotated

from msgspec import Meta

_HEX = r"#?(?:[0-9a-fA-F]{3}|[0-9a-fA-F]{6})"

HexColor = Annotated[str, Meta(pattern=f"^{_HEX}$")]
Background = Annotated[str, Meta(pattern=f"^(?:transparent|{_HEX})$")]


def rgb(color: str) -> list[float]:
    """Red, green and blue, each a whole number from 0 to 255.

    Raises ValueError for what is no colour.
    """
    if re.fullmatch(_HEX, color) is None:
        raise ValueError(f"{color!r} is no colour")
    digits = color.removeprefix("#")
    if len(digits) == 3:
        digits = "".join(digit * 2 for digit in digits)
    return [float(int(digits[at : at + 2], 16)) for at in (0, 2, 4)]
