"""Parse the response headers of a source: validators, TTL, cache tags (RFC 9110, RFC 9111).

This is a shared cache: `s-maxage` goes before `max-age`, and `private` must not be stored. `Vary`
matters only as `*`, since all requests to a source are alike, and `Set-Cookie` is never sent on.
"""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from msgspec.structs import replace

from proxy.originals import CacheDirectives, OriginMetadata, Validators

MAX_TTL = 2**31

# A directive begins only at a comma, and the possessive quantifiers never backtrack: a header made
# for it would otherwise take minutes.
_DIRECTIVE = re.compile(
    r"(?:^|[,;])\s*+([a-zA-Z0-9_-]++)\s*+"
    r'(?:=\s*+("(?:[^"\\]|\\.)*+"|[^\s,;]*+)\s*+)?(?=,|$)'
)
_MAX_LENGTH = 65_536
_MAX_ETAG_LENGTH = 4096
_MAX_TAGS = 1024


def parse_cache_headers(header: Callable[[str], str], now: datetime) -> OriginMetadata:
    """Parse the headers that ``header`` gives by name, with an empty text for a missing one."""
    given = dict(reversed(_directives(header("Cache-Control"))))  # the first of equals counts
    # What matches no request must be validated for each (RFC 9111 section 4.1).
    varies_always = "*" in (name.strip() for name in header("Vary").split(","))
    max_age = _lifetime(given, "max-age", header)
    if max_age is None:
        max_age = _expires(header, now)
    directives = CacheDirectives(
        # Who knows what a status allows may ignore no-store beside it (section 5.2.2.3).
        no_store="no-store" in given and "must-understand" not in given,
        no_cache="no-cache" in given or varies_always,
        is_private="private" in given,
        must_revalidate="must-revalidate" in given,
        proxy_revalidate="proxy-revalidate" in given,
        s_maxage="s-maxage" in given,
        immutable="immutable" in given,
        max_age=max_age if given.keys() & {"s-maxage", "private"} else None,
        stale_while_revalidate=_stale(given, "stale-while-revalidate"),
        stale_if_error=_stale(given, "stale-if-error"),
    )
    s_maxage = _lifetime(given, "s-maxage", header)
    is_expired = directives.no_cache or not directives.allows_storing
    return OriginMetadata(
        validators=Validators(
            etag if len(etag := header("ETag")) <= _MAX_ETAG_LENGTH else "",
            _valid_date(header("Last-Modified")),
        ),
        ttl=0.0 if is_expired else max_age if s_maxage is None else s_maxage,
        tags=_tags(header("Cache-Tag"), header("Surrogate-Key")),
        directives=directives,
    )


def override_cache_control(metadata: OriginMetadata, cache_control: str) -> OriginMetadata:
    """Return the metadata as if the source had sent this ``Cache-Control``, and no other limit."""
    header = {"Cache-Control": cache_control}
    given = parse_cache_headers(lambda name: header.get(name, ""), datetime.now(UTC))
    return replace(metadata, ttl=given.ttl, directives=given.directives)


def _lifetime(
    directives: Mapping[str, str], name: str, header: Callable[[str], str]
) -> float | None:
    """Seconds from now, from 0 to 2**31; None without the directive.

    What cannot be parsed as a time counts as expired (RFC 9111 section 4.2.1).
    """
    if name not in directives:
        return None
    return _clamp(_seconds(directives[name]) - _age(header))


def _expires(header: Callable[[str], str], now: datetime) -> float | None:
    if not (expires := header("Expires")):
        return None
    until = parse_date(expires)
    since = parse_date(header("Date")) or now
    return 0.0 if until is None else _clamp((until - since).total_seconds() - _age(header))


def _stale(directives: Mapping[str, str], name: str) -> float | None:
    return _clamp(_seconds(directives[name])) if name in directives else None


def _age(header: Callable[[str], str]) -> int:
    """Seconds in caches before this one; the first of several values counts (section 5.1)."""
    return _seconds(header("Age").partition(",")[0].strip())


def _directives(text: str) -> list[tuple[str, str]]:
    return [
        (match[1].lower(), (match[2] or "").strip('"'))
        for match in _DIRECTIVE.finditer(text[:_MAX_LENGTH])
    ]


def _seconds(text: str) -> int:
    return int(text[:10]) if text.isascii() and text.isdigit() else 0


def _clamp(seconds: float) -> float:
    return float(min(max(seconds, 0), MAX_TTL))


def parse_date(text: str) -> datetime | None:
    """Parse an HTTP date; None if it is none."""
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def _valid_date(text: str) -> str:
    """The text if it is a date: clients get it as ``Last-Modified``."""
    return text if text.isascii() and text.isprintable() and parse_date(text) else ""


def _tags(by_commas: str, by_spaces: str) -> tuple[str, ...]:
    """Each tag once, in order: the first 1024."""
    tags = [tag.strip() for tag in by_commas.split(",")] + by_spaces.replace(",", " ").split()
    return tuple(dict.fromkeys(tag for tag in tags if tag))[:_MAX_TAGS]
