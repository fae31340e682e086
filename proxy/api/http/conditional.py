"""Conditional and partial requests (RFC 9110), decided without looking at any bytes."""

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from proxy.api.http.problems import Problem

_ETAGS = re.compile(rb'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')
_RANGE = re.compile(rb"bytes=([0-9]{0,18})-([0-9]{0,18})")


def not_modified(asked: Mapping[bytes, bytes], etag: str, last_modified: str) -> bool:
    """Whether the asker has these bytes already; ``last_modified`` is an HTTP date or empty."""
    known = asked.get(b"if-none-match")
    if known is not None:
        return known.strip() == b"*" or etag.encode() in _ETAGS.findall(known)
    since = asked.get(b"if-modified-since")
    if since is None or not last_modified:
        return False
    then, changed = _moment(since.decode("latin-1")), _moment(last_modified)
    return then is not None and changed is not None and changed <= then


def byte_range(
    asked: Mapping[bytes, bytes], length: int, etag: str, last_modified: str
) -> tuple[int, int] | None:
    """The first and last byte asked for; None where the whole shall be sent.

    Several ranges at once are a way to make servers work and are answered with the whole. Raises
    Problem where the range lies outside.
    """
    wanted = _RANGE.fullmatch(asked.get(b"range", b""))
    if wanted is None or not _still(asked.get(b"if-range"), etag, last_modified):
        return None
    first, last = wanted[1], wanted[2]
    if not first and not last:
        return None
    start = int(first) if first else max(0, length - int(last))
    end = min(int(last), length - 1) if first and last else length - 1
    if first and last and int(last) < int(first):
        return None  # not a range at all
    if start >= length:
        raise Problem(
            HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
            f"the range lies outside; there are {length} bytes",
            [(b"content-range", f"bytes */{length}".encode())],
        )
    return start, end


def _still(condition: bytes | None, etag: str, last_modified: str) -> bool:
    """Whether an ``If-Range`` holds: only exactly this tag, or exactly this date."""
    if condition is None:
        return True
    text = condition.decode("latin-1").strip()
    return text == etag or (bool(last_modified) and text == last_modified)


def _moment(date: str) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, OverflowError):
        return None
