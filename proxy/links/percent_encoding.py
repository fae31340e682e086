"""Strict percent-decoding, and excerpts of links that are safe in error messages."""

import re
from urllib.parse import unquote

from proxy.errors import InvalidLink

_INVALID_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_CONTROL_BUT_LINE_BREAKS = re.compile(r"[\x00-\x09\x0b\x0c\x0e-\x1f\x7f]")
_UNSAFE = re.compile(r"[^A-Za-z0-9._~:=,;%+@!*'(){}$-]")
_MAX_EXCERPT = 60


def percent_decode(text: str, *, allow_line_breaks: bool = False) -> str:
    """Decode the text.

    Raises InvalidLink for invalid escapes, invalid UTF-8 and control characters.
    """
    if "%" in text:
        if _INVALID_ESCAPE.search(text):
            raise InvalidLink(
                "invalid percent-encoding: two hexadecimal digits must follow %; write % as %25"
            )
        try:
            text = unquote(text, errors="strict")
        except UnicodeDecodeError:
            raise InvalidLink("invalid percent-encoding: the decoded bytes are not UTF-8") from None
    if (_CONTROL_BUT_LINE_BREAKS if allow_line_breaks else _CONTROL).search(text):
        raise InvalidLink("control characters are not allowed")
    return text


def safe_excerpt(segment: str) -> str:
    """The segment in quotes, shortened, without characters that mean more than text (``<``, CR)."""
    short = segment if len(segment) <= _MAX_EXCERPT else segment[:_MAX_EXCERPT] + "…"
    return f"'{_UNSAFE.sub('·', short)}'"
