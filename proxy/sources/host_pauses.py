"""Leave a server alone for as long as it says in ``Retry-After`` (RFC 9110 section 10.2.3)."""

from datetime import datetime
from http import HTTPStatus
from math import ceil
from typing import Protocol

from proxy.errors import SourceRateLimited, SourceUnavailable
from proxy.sources.cache_headers import parse_date

_MAX_DIGITS = 18


class HostPauses(Protocol):
    """Knows the servers that asked for a pause. A server is ``host:port``."""

    async def get(self, server: str) -> SourceUnavailable | None:
        """Return the error to answer with instead of a request; None if there is no pause."""
        ...

    async def put(self, server: str, error: SourceUnavailable) -> None:
        """Pause the requests to a server for ``retry_after`` seconds from now."""
        ...


def retry_after_seconds(text: str, date: datetime, max_seconds: float) -> int:
    """Return the seconds of a ``Retry-After`` header, which may be a date.

    ``date`` is when the response was sent. 0: there is no pause, or what is sent is neither.
    """
    text = text.strip()
    if text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS:
        seconds = float(text)
    elif until := parse_date(text):
        seconds = (until - date).total_seconds()
    else:
        return 0
    return ceil(min(max(seconds, 0.0), max_seconds))


def make_unavailable(status: int, retry_after: int, server: str) -> SourceUnavailable:
    """Return the error for a source that answered with 429 or 503."""
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return SourceRateLimited(
            "source answers with status 429: too many requests",
            retry_after=retry_after,
            server=server,
        )
    return SourceUnavailable(
        f"source answers with status {status}: unavailable",
        retry_after=retry_after,
        server=server,
    )
