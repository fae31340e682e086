"""How people write values: ``yes``, ``512MiB``, ``1d``, ``jpg``, ``tomato``; and what they meant.

Settings and links share these rules. A number without a unit is bytes or seconds.
"""

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from fractions import Fraction

import webcolors

BOOLEANS: Mapping[str, bool] = {
    **dict.fromkeys(("true", "yes", "on", "1"), True),
    **dict.fromkeys(("false", "no", "off", "0"), False),
}

FORMAT_ALIASES: Mapping[str, str] = {"jpg": "jpeg", "heic": "heif", "tif": "tiff"}

COLOR_NAMES = (*webcolors.names(webcolors.CSS3), "rebeccapurple")
"""The names of CSS 4; the library has those of CSS 3."""

_BYTES = {
    **{f"{prefix}b": 1000**power for power, prefix in enumerate(("", "k", "m", "g", "t", "p"))},
    **{f"{prefix}ib": 1024**power for power, prefix in enumerate("kmgtp", 1)},
}
_SECONDS = {
    "ms": Fraction(1, 1000),
    "s": Fraction(1),
    "m": Fraction(60),
    "h": Fraction(3600),
    "d": Fraction(86_400),
    "w": Fraction(604_800),
}

_BYTES_NAME = re.compile(r"(.*_)?bytes(_per_second)?|.*_in_bytes")
_SECONDS_NAME = re.compile(r"(.*_)?(seconds|ttl)|ttl_(default|min|max)|stale_.*")
_QUANTITY = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,9})?) ?([a-z]{1,3})", re.ASCII | re.IGNORECASE)
_COLOR_NAME = re.compile(r"[a-z]{3,20}", re.ASCII | re.IGNORECASE)
_HEX_COLOR = re.compile(r"#?([0-9a-f]{3}|[0-9a-f]{6})", re.ASCII | re.IGNORECASE)
_MAX_WORD = 64

EXAMPLES_OF_BYTES = "`10MB`, `512MiB`"
EXAMPLES_OF_SECONDS = "`30s`, `15m`, `1d`"


def is_bytes(field: str) -> bool:
    """Whether a field of this name holds a number of bytes, such as ``max_result_bytes``."""
    return _BYTES_NAME.fullmatch(field) is not None


def is_seconds(field: str) -> bool:
    """Whether a field of this name holds a time in seconds, such as ``read_timeout_seconds``."""
    return _SECONDS_NAME.fullmatch(field) is not None


def parse_quantity(field: str, text: str) -> Fraction | None:
    """Read a quantity with a unit, such as ``10GB`` or ``1.5h``, by the name of its field.

    None where the field has no unit, or the text is no such quantity.
    """
    units: Mapping[str, int | Fraction] = {}
    if is_bytes(field):
        units = _BYTES
    elif is_seconds(field):
        units = _SECONDS
    found = _QUANTITY.fullmatch(text)
    if not found or found[2].lower() not in units:
        return None
    return Fraction(found[1]) * units[found[2].lower()]


def canonical_color(text: str) -> str | None:
    """Return the color, ``#f00``, ``FF0000`` or a name of CSS, as ``#FF0000``; None for others."""
    if found := _HEX_COLOR.fullmatch(text):
        digits = found[1] if len(found[1]) == 6 else "".join(digit * 2 for digit in found[1])
        return f"#{digits.upper()}"
    if not _COLOR_NAME.fullmatch(text):
        return None
    if text.lower() == "rebeccapurple":
        return "#663399"
    try:
        return str(webcolors.name_to_hex(text)).upper()
    except ValueError:
        return None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Suggest the nearest of the known words: ``; did you mean 'webp'?``; empty without one."""
    close = get_close_matches(word[:_MAX_WORD].lower(), sorted(known), 1)
    return f"; did you mean {close[0]!r}?" if close else ""
