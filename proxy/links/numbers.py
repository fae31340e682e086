"""Parse the numbers of foreign dialects. Every error names the value and its bounds."""

import math
import re

from proxy.errors import InvalidLink
from proxy.links.percent_encoding import safe_excerpt

_INTEGER = re.compile(r"[+-]?[0-9]{1,15}", re.ASCII)
_NUMBER = re.compile(
    r"[+-]?(?:[0-9]{1,12}\.?[0-9]{0,12}|\.[0-9]{1,12})(?:[eE][+-]?[0-9]{1,2})?", re.ASCII
)


def parse_int(name: str, text: str, least: int = 0, most: int = 16_384) -> int:
    if not _INTEGER.fullmatch(text) or not least <= int(text) <= most:
        raise InvalidLink(
            f"{name}: must be a whole number from {least} to {most}, not {safe_excerpt(text)}"
        )
    return int(text)


def parse_float(name: str, text: str, least: float, most: float) -> float:
    number = float(text) if _NUMBER.fullmatch(text) else math.nan
    if not least <= number <= most:
        raise InvalidLink(
            f"{name}: must be a number from {least:g} to {most:g}, not {safe_excerpt(text)}"
        )
    return number
