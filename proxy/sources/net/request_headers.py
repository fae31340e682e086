"""Which headers may be sent along to a source on a caller's behalf.

Whoever chooses a header chooses part of the request. So what frames the message, names its host,
carries state or speaks for us stays ours, and a value cannot end its line.
"""

import re
from collections.abc import Iterable

from proxy.errors import InvalidSource

MAX_HEADERS = 32
MAX_HEADERS_LENGTH = 8192

_NAME = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]{1,128}", re.ASCII)
_VALUE = re.compile(r"[\x21-\x7e]([\x20-\x7e\t]*[\x21-\x7e])?", re.ASCII)

_OURS = frozenset(
    (
        # the connection's and the message's own
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
        # what we ask and in which form we want it
        "accept-encoding",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "if-unmodified-since",
        "range",
        # who asks, and through whom
        "forwarded",
        "via",
        "x-real-ip",
        # what a browser alone may say
        "access-control-request-headers",
        "access-control-request-method",
        "date",
        "dnt",
        "origin",
        "referer",
    )
)
_OURS_BY_START = ("proxy-", "sec-", "x-forwarded-", "x-http-method", "x-method-override")


def forwardable_headers(headers: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    """The headers in canonical form: names in lower case, sorted; raises BadSource with the reason.

    No name may come twice. At most 32 headers of 8192 characters in all, printable ASCII.
    """
    canonical: dict[str, str] = {}
    for name, value in headers:
        lower = name.lower()
        if not _NAME.fullmatch(lower):
            raise InvalidSource(f"{name[:64]!r} is not the name of a header")
        if lower in _OURS or lower.startswith(_OURS_BY_START):
            raise InvalidSource(f"the header {lower} may not be sent along to a source")
        if lower in canonical:
            raise InvalidSource(f"the header {lower} is given twice")
        if not _VALUE.fullmatch(value):
            raise InvalidSource(
                f"the value of the header {lower} is not 1 or more printable characters"
            )
        canonical[lower] = value
    if len(canonical) > MAX_HEADERS:
        raise InvalidSource(f"more than {MAX_HEADERS} headers are to be sent along to the source")
    if sum(len(name) + len(value) for name, value in canonical.items()) > MAX_HEADERS_LENGTH:
        raise InvalidSource(
            f"the headers to be sent along are longer than {MAX_HEADERS_LENGTH} characters"
        )
    return tuple(sorted(canonical.items()))
