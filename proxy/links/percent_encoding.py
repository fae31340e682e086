"""Percent-encoding, read strictly, and pieces of links made fit to be shown."""

import re
from urllib.parse import unquote

from proxy.errors import InvalidLink

_BROKEN = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_UNSHOWN = re.compile(r"[^A-Za-z0-9._~:=,;%+@!*'()$-]")
_LONGEST_SHOWN = 60


def percent_decode(text: str) -> str:
    """The text without percent-encoding. Raises BadLink where it is not UTF-8 or has controls."""
    if "%" in text:
        if _BROKEN.search(text):
            raise InvalidLink("after % stand two hexadecimal digits; write % itself as %25")
        try:
            text = unquote(text, errors="strict")
        except UnicodeDecodeError:
            raise InvalidLink("percent-encoded bytes are not UTF-8") from None
    if _CONTROL.search(text):
        raise InvalidLink("control characters are not accepted")
    return text


def safe_excerpt(segment: str) -> str:
    """The segment as a stranger may see it again: short, and nothing that means more than text."""
    short = segment if len(segment) <= _LONGEST_SHOWN else segment[:_LONGEST_SHOWN] + "…"
    return f"'{_UNSHOWN.sub('·', short)}'"
