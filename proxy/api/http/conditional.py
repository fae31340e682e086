"""Evaluate conditional and range requests (RFC 9110 sections 13 and 14)."""

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from starlette.exceptions import HTTPException

_ETAGS = re.compile(rb'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')
_MAX_DATE_LENGTH = 64
"""An HTTP date has 29 characters; the parser of the library takes any length."""

_RANGE = re.compile(rb"bytes=([0-9]{0,18})-([0-9]{0,18})")


def not_modified(headers: Mapping[bytes, bytes], etag: str, last_modified: str) -> bool:
    """Return whether the client's copy is current; ``last_modified`` is an HTTP date or empty.

    ETags are compared weakly, as RFC 9110 says for this condition.
    """
    etags = headers.get(b"if-none-match")
    if etags is not None:
        return etags.strip() == b"*" or etag.removeprefix("W/").encode() in _ETAGS.findall(etags)
    since = headers.get(b"if-modified-since")
    if since is None or not last_modified:
        return False
    client_time, changed = _timestamp(since.decode("latin-1")), _timestamp(last_modified)
    return client_time is not None and changed is not None and changed <= client_time


def byte_range(
    headers: Mapping[bytes, bytes], length: int, etag: str, last_modified: str
) -> tuple[int, int] | None:
    """Return the first and last byte of the requested range; None for the whole body.

    Several ranges in one request are answered with the whole body: they serve attackers only.
    Raises HTTPException (416) where the range lies outside.
    """
    requested = _RANGE.fullmatch(headers.get(b"range", b""))
    if requested is None or not _if_range_matches(headers.get(b"if-range"), etag, last_modified):
        return None
    first, last = requested[1], requested[2]
    if not first and not last:
        return None
    start = int(first) if first else max(0, length - int(last))
    end = min(int(last), length - 1) if first and last else length - 1
    if first and last and int(last) < int(first):
        return None  # not a valid range
    if start >= length:
        raise HTTPException(
            HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
            f"range is outside of the body, which has {length} bytes",
            {"content-range": f"bytes */{length}"},
        )
    return start, end


def _if_range_matches(condition: bytes | None, etag: str, last_modified: str) -> bool:
    """Compare ``If-Range`` strongly: only exactly this date or strong ETag matches, no weak one."""
    if condition is None:
        return True
    text = condition.decode("latin-1").strip()
    is_strong = not etag.startswith("W/")
    return (is_strong and text == etag) or (bool(last_modified) and text == last_modified)


def _timestamp(date: str) -> float | None:
    if len(date) > _MAX_DATE_LENGTH:
        return None
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError):
        return None
