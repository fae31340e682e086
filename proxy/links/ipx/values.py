"""Parse the values of IPX modifiers. Every error names the modifier and what it takes."""

import re
from collections.abc import Sequence

from proxy.errors import InvalidLink
from proxy.links.percent_encoding import safe_excerpt
from proxy.text_values import canonical_color

_HEX = re.compile(r"#?([0-9A-Fa-f]{3,4}|[0-9A-Fa-f]{6}|[0-9A-Fa-f]{8})")

MODIFIER_POSITIONS = {
    "center": "center",
    "centre": "center",
    "north": "north",
    "top": "north",
    "east": "east",
    "right": "east",
    "south": "south",
    "bottom": "south",
    "west": "west",
    "left": "west",
    "northeast": "northeast",
    "right top": "northeast",
    "southeast": "southeast",
    "right bottom": "southeast",
    "southwest": "southwest",
    "left bottom": "southwest",
    "northwest": "northwest",
    "left top": "northwest",
    "entropy": "smart",
    "attention": "smart",
    "0": "center",
    "1": "north",
    "2": "east",
    "3": "south",
    "4": "west",
    "5": "northeast",
    "6": "southeast",
    "7": "southwest",
    "8": "northwest",
    "16": "smart",
    "17": "smart",
}
"""sharp's gravities, positions and strategies, by name and number, and ours."""


def check_count(name: str, args: Sequence[str], most: int) -> None:
    if len(args) > most:
        raise InvalidLink(f"{name}: takes {most} values at most, not {len(args)}")


def parse_position(name: str, text: str) -> str:
    position = MODIFIER_POSITIONS.get(text.replace("-", " "))
    if position is None:
        names = ", ".join(word for word in MODIFIER_POSITIONS if not word.isdigit())
        raise InvalidLink(f"{name}: must be one of {names}, not {safe_excerpt(text)}")
    return position


def parse_color(name: str, text: str) -> str:
    """Six digits in lower case, or ``transparent``."""
    if text.lower() == "transparent":
        return "transparent"
    found = _HEX.fullmatch(canonical_color(text) or text)
    if found is None:
        raise InvalidLink(
            f"{name}: {safe_excerpt(text)} is not a color; write 3 or 6 hexadecimal digits, a name "
            "of CSS, or transparent"
        )
    digits = found[1].lower()
    if len(digits) <= 4:
        digits = "".join(digit * 2 for digit in digits)
    color, alpha = digits[:6], digits[6:]
    if alpha == "00":
        return "transparent"
    if alpha not in ("", "ff"):
        raise InvalidLink(
            f"{name}: {safe_excerpt(text)}: colors are opaque, or transparent with the alpha 00"
        )
    return color
