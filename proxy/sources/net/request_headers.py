"""Which request headers of a caller may be forwarded to a source.

A caller that chooses a header chooses a part of the request. So headers that frame the message,
name its host, carry state or identify this server are not forwarded, and a value cannot end its
line.
"""

import re
from collections.abc import Collection, Iterable

from proxy.errors import InvalidSource

MAX_HEADERS = 32
MAX_HEADERS_LENGTH = 8192

_NAME = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]{1,128}", re.ASCII)
_VALUE = re.compile(r"[\x21-\x7e]([\x20-\x7e\t]*[\x21-\x7e])?", re.ASCII)

_RESERVED = frozenset(
    (
        # connection and message framing
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "host",
        "http2-settings",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        # state
        "cookie",
        "cookie2",
        "set-cookie",
        # conditions and the form of the response
        "accept-encoding",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "if-unmodified-since",
        "range",
        # the client and the proxies between
        "forwarded",
        "via",
        "x-real-ip",
        # set by browsers only
        "access-control-request-headers",
        "access-control-request-method",
        "date",
        "dnt",
        "origin",
        "referer",
    )
)
_FRAMING = frozenset(
    (
        "accept-encoding",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "host",
        "http2-settings",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "if-unmodified-since",
        "keep-alive",
        "range",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "via",
    )
)
"""What no operator may set either: the request would be another one, or none."""

_RESERVED_PREFIXES = ("proxy-", "sec-", "x-forwarded-", "x-http-method", "x-method-override")


def forwardable_headers(headers: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Check headers and bring them into canonical form: names in lower case, sorted.

    Raises InvalidSource for a reserved name, a name given twice, more than 32 headers, more than
    8192 characters in all, and anything but printable ASCII.
    """
    return _canonical(headers, _RESERVED, _RESERVED_PREFIXES)


def operator_headers(headers: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """Check headers that the operator sets, in the same way, but for fewer reserved names."""
    return _canonical(headers, _FRAMING, ("proxy-",))


def _canonical(
    headers: Iterable[tuple[str, str]], reserved: Collection[str], prefixes: tuple[str, ...]
) -> tuple[tuple[str, str], ...]:
    canonical: dict[str, str] = {}
    for name, value in headers:
        lower = name.lower()
        if not _NAME.fullmatch(lower):
            raise InvalidSource(f"invalid header name: {name[:64]!r}")
        if lower in reserved or lower.startswith(prefixes):
            raise InvalidSource(f"header {lower} is not allowed in requests to a source")
        if lower in canonical:
            raise InvalidSource(f"header {lower} is given twice")
        if not _VALUE.fullmatch(value):
            raise InvalidSource(
                f"invalid value of header {lower}: must be 1 or more printable ASCII characters"
            )
        canonical[lower] = value
    if len(canonical) > MAX_HEADERS:
        raise InvalidSource(f"too many headers for a source: at most {MAX_HEADERS}")
    if sum(len(name) + len(value) for name, value in canonical.items()) > MAX_HEADERS_LENGTH:
        raise InvalidSource(
            f"headers for a source too long: at most {MAX_HEADERS_LENGTH} characters"
        )
    return tuple(sorted(canonical.items()))
