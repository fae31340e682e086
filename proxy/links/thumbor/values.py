"""Parse the values of filters. Every error names the filter and what it takes."""

from collections.abc import Sequence

from proxy.errors import InvalidLink
from proxy.links.percent_encoding import safe_excerpt

_TRUE = frozenset(("1", "true", "True"))
_FALSE = frozenset(("0", "false", "False", ""))


def check_count(name: str, args: Sequence[str], least: int, most: int) -> None:
    if not least <= len(args) <= most:
        wanted = str(most) if least == most else f"{least} to {most}"
        raise InvalidLink(f"{name}: takes {wanted} values, not {len(args)}")


def parse_bool(name: str, text: str) -> bool:
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    raise InvalidLink(f"{name}: must be true, 1, false or 0, not {safe_excerpt(text)}")
