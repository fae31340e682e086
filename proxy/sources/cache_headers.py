"""What an HTTP answer says about its body's life: validators, lifetime, tags (RFC 9110, 9111)."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from proxy.originals import OriginMetadata, Validators

MAX_TTL = 2**31

# A directive begins at a comma and nowhere else, and nothing is given back: else a header of a
# malicious source would keep us busy for minutes.
_DIRECTIVE = re.compile(
    r"(?:^|[,;])\s*+([a-zA-Z0-9_-]++)\s*+"
    r'(?:=\s*+("(?:[^"\\]|\\.)*+"|[^\s,;]*+)\s*+)?(?=,|$)'
)
_LONGEST = 4096


def parse_cache_headers(header: Callable[[str], str], now: datetime) -> OriginMetadata:
    """What is said by the headers that ``header`` gives by name, empty where there is none."""
    return OriginMetadata(
        validators=Validators(header("ETag"), _if_date(header("Last-Modified"))),
        ttl=_lifetime(header, now),
        tags=_tags(header("Cache-Tag"), header("Surrogate-Key")),
    )


def _lifetime(header: Callable[[str], str], now: datetime) -> float | None:
    """Seconds from now, from 0 to 2**31; None where nothing is said.

    A shared cache is what we are: `s-maxage` goes before `max-age`, and `private` is not for us.
    Anything that cannot be read as a time is stale, as the standard advises.
    """
    directives = dict(reversed(_directives(header("Cache-Control"))))  # the first of equals counts
    if directives.keys() & {"no-store", "no-cache", "private"}:
        return 0.0
    for name in ("s-maxage", "max-age"):
        if name in directives:
            return _within(_seconds(directives[name]) - _seconds(header("Age")))
    if expires := header("Expires"):
        until = _date(expires)
        since = _date(header("Date")) or now
        return 0.0 if until is None else _within((until - since).total_seconds())
    return None


def _directives(text: str) -> list[tuple[str, str]]:
    return [
        (found[1].lower(), (found[2] or "").strip('"'))
        for found in _DIRECTIVE.finditer(text[:_LONGEST])
    ]


def _seconds(text: str) -> int:
    return int(text[:10]) if text.isascii() and text.isdigit() else 0


def _within(seconds: float) -> float:
    return float(min(max(seconds, 0), MAX_TTL))


def _date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def _if_date(text: str) -> str:
    """The text where it is a date: it goes on to whoever asks for the picture."""
    return text if text.isascii() and text.isprintable() and _date(text) else ""


def _tags(by_commas: str, by_spaces: str) -> tuple[str, ...]:
    """Each tag once, in order. Their number is bounded by what a header may hold."""
    tags = [tag.strip() for tag in by_commas.split(",")] + by_spaces.replace(",", " ").split()
    return tuple(dict.fromkeys(tag for tag in tags if tag))
