"""Colors in hexadecimal, ``#RRGGBB`` or ``#RGB``; links leave the sign out.

`proxy.validation` writes names of CSS and short colors as ``#RRGGBB`` before a field sees them.
"""

import re
from typing import Annotated

from msgspec import Meta

HEX_COLOR = r"#?(?:[0-9a-fA-F]{3}|[0-9a-fA-F]{6})"
"""As a regular expression."""

HexColor = Annotated[
    str,
    Meta(
        pattern=f"^{HEX_COLOR}$",
        title="a color such as `#ff8800` or `tomato`",
        extra_json_schema={"format": "color"},
    ),
]
BackgroundColor = Annotated[
    str,
    Meta(
        pattern=f"^(?:transparent|{HEX_COLOR})$",
        title="a color such as `#ff8800` or `tomato`, or `transparent`",
        extra_json_schema={"format": "color"},
    ),
]


def parse_color(color: str) -> list[float]:
    """Red, green and blue, each a whole number from 0 to 255.

    Raises ValueError for what is not a color in hexadecimal.
    """
    if re.fullmatch(HEX_COLOR, color) is None:
        raise ValueError(f"{color!r} is not a color like #RRGGBB or #RGB")
    digits = color.removeprefix("#")
    if len(digits) == 3:
        digits = "".join(digit * 2 for digit in digits)
    return [float(int(digits[start : start + 2], 16)) for start in (0, 2, 4)]
