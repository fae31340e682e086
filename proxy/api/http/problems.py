"""How failures look over HTTP: the one table of statuses, and problem+json (RFC 9457)."""

import re
from http import HTTPStatus
from typing import Any

import msgspec

from proxy import errors

STATUS: dict[type[errors.ProxyError], HTTPStatus] = {
    errors.RequestError: HTTPStatus.BAD_REQUEST,
    errors.LinkError: HTTPStatus.FORBIDDEN,
    errors.LinkExpired: HTTPStatus.GONE,
    errors.SourceError: HTTPStatus.BAD_GATEWAY,
    errors.SourceForbidden: HTTPStatus.FORBIDDEN,
    errors.SourceNotFound: HTTPStatus.NOT_FOUND,
    errors.SourceTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.SourceTimedOut: HTTPStatus.GATEWAY_TIMEOUT,
    errors.ImageError: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.NotAnImage: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    errors.CapacityError: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.DeadlineExceeded: HTTPStatus.GATEWAY_TIMEOUT,
}

# How long a CDN may keep a failure, in seconds; all others not at all.
_KEPT = {HTTPStatus.NOT_FOUND: 60, HTTPStatus.GONE: 60}

# Nothing of a request comes back as markup, wherever the answer may be put.
_MARKUP = re.compile(rb"[<>&]")

Headers = list[tuple[bytes, bytes]]


class Problem(Exception):
    """A failure of HTTP itself, where no domain word fits: a method, a range, a header."""

    def __init__(self, status: HTTPStatus, message: str, headers: Headers | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers or []


def status_of(failure: type[errors.ProxyError]) -> HTTPStatus:
    """The status of the nearest class in the table."""
    return next(STATUS[kind] for kind in failure.__mro__ if kind in STATUS)


def retry_after(error: Exception) -> Headers:
    """The header that says when to come again; nothing where it would not help."""
    if isinstance(error, errors.Overloaded):
        return [(b"retry-after", str(error.retry_after).encode())]
    return []


def problem(error: Exception, request_id: str) -> tuple[HTTPStatus, Headers, bytes]:
    """The answer as problem+json. What is neither a ProxyError nor a Problem is our own fault."""
    about: dict[str, Any] = {}
    match error:
        case errors.ProxyError():
            status, detail, headers = status_of(type(error)), str(error), retry_after(error)
            about["type"] = f"/docs#problem-{error.problem_type}"
            if isinstance(error, errors.InvalidOperation):
                about.update(operation=error.operation, field=error.field)
        case Problem():
            status, detail, headers = error.status, str(error), error.headers
        case _:
            status, headers = HTTPStatus.INTERNAL_SERVER_ERROR, []
            detail = "something went wrong here; it was noted under the instance's name"
    body = json_bytes(
        {
            "type": about.pop("type", "about:blank"),
            "title": status.phrase,
            "status": int(status),
            "detail": detail,
            "instance": request_id,
            **{name: value for name, value in about.items() if value is not None},
        }
    )
    kept = _KEPT.get(status)
    return (
        status,
        [
            (b"content-type", b"application/problem+json"),
            (b"cache-control", f"public, max-age={kept}".encode() if kept else b"no-store"),
            *headers,
        ],
        body,
    )


def json_bytes(value: object) -> bytes:
    """JSON in which nothing looks like markup."""
    return _MARKUP.sub(lambda found: b"\\u00%02x" % ord(found[0]), msgspec.json.encode(value))
