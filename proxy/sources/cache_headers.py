"""Parse the response headers of a source: validators, TTL, cache tags (RFC 9110, RFC 9111)."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from proxy.originals import OriginMetadata, Validators

MAX_TTL = 2**31

# A directive begins only at a comma, and the possessive quantifiers never backtrack: a header made
# for it would otherwise take minutes.
_DIRECTIVE = re.compile(
    r"(?:^|[,;])\s*+([a-zA-Z0-9_-]++)\s*+"
    r'(?:=\s*+("(?:[^"\\]|\\.)*+"|[^\s,;]*+)\s*+)?(?=,|$)'
)
_MAX_LENGTH = 4096


def parse_cache_headers(header: Callable[[str], str], now: datetime) -> OriginMetadata:
    """Parse the headers that ``header`` gives by name, with an empty text for a missing one."""
    return OriginMetadata(
        validators=Validators(header("ETag"), _valid_date(header("Last-Modified"))),
        ttl=_ttl(header, now),
        tags=_tags(header("Cache-Tag"), header("Surrogate-Key")),
    )


def _ttl(header: Callable[[str], str], now: datetime) -> float | None:
    """Seconds from now, from 0 to 2**31; None if the headers say nothing.

    This is a shared cache: `s-maxage` goes before `max-age`, and `private` must not be stored.
    What cannot be parsed as a time counts as expired (RFC 9111 section 4.2.1).
    """
    directives = dict(reversed(_directives(header("Cache-Control"))))  # the first of equals counts
    if directives.keys() & {"no-store", "no-cache", "private"}:
        return 0.0
    for name in ("s-maxage", "max-age"):
        if name in directives:
            return _clamp(_seconds(directives[name]) - _seconds(header("Age")))
    if expires := header("Expires"):
        until = _date(expires)
        since = _date(header("Date")) or now
        return 0.0 if until is None else _clamp((until - since).total_seconds())
    return None


def _directives(text: str) -> list[tuple[str, str]]:
    return [
        (match[1].lower(), (match[2] or "").strip('"'))
        for match in _DIRECTIVE.finditer(text[:_MAX_LENGTH])
    ]


def _seconds(text: str) -> int:
    return int(text[:10]) if text.isascii() and text.isdigit() else 0


def _clamp(seconds: float) -> float:
    return float(min(max(seconds, 0), MAX_TTL))


def _date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def _valid_date(text: str) -> str:
    """The text if it is a date: clients get it as ``Last-Modified``."""
    return text if text.isascii() and text.isprintable() and _date(text) else ""


def _tags(by_commas: str, by_spaces: str) -> tuple[str, ...]:
    """Each tag once, in order. Their number is limited by the size of a header."""
    tags = [tag.strip() for tag in by_commas.split(",")] + by_spaces.replace(",", " ").split()
    return tuple(dict.fromkeys(tag for tag in tags if tag))
