"""Parse the values of filters. Every error names the filter and what it takes."""

import math
import re
from collections.abc import Sequence

from proxy.errors import InvalidLink
from proxy.links.percent_encoding import safe_excerpt

_INTEGER = re.compile(r"[+-]?[0-9]{1,15}", re.ASCII)
_NUMBER = re.compile(r"[+-]?(?:[0-9]{1,12}\.?[0-9]{0,12}|\.[0-9]{1,12})", re.ASCII)
_TRUE = frozenset(("1", "true", "True"))
_FALSE = frozenset(("0", "false", "False", ""))


def check_count(name: str, args: Sequence[str], least: int, most: int) -> None:
    if not least <= len(args) <= most:
        wanted = str(most) if least == most else f"{least} to {most}"
        raise InvalidLink(f"{name}: takes {wanted} values, not {len(args)}")


def parse_int(name: str, text: str, least: int, most: int) -> int:
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


def parse_bool(name: str, text: str) -> bool:
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    raise InvalidLink(f"{name}: must be true, 1, false or 0, not {safe_excerpt(text)}")
