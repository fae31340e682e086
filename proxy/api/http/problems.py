"""Map errors to HTTP: the one table of status codes, and problem+json bodies (RFC 9457)."""

import re
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.exceptions import HTTPException

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
    errors.SourceUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.SourceRateLimited: HTTPStatus.TOO_MANY_REQUESTS,
    errors.ImageError: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.NotAnImage: HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    errors.CapacityError: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.DeadlineExceeded: HTTPStatus.GATEWAY_TIMEOUT,
}

# Seconds for which a CDN may cache an error; all other errors are not cached.
_CACHE_SECONDS = {HTTPStatus.NOT_FOUND: 60, HTTPStatus.GONE: 60}

# Nothing of a request comes back as markup, wherever a client may put the response.
_MARKUP = re.compile(rb"[<>&]")

Headers = list[tuple[bytes, bytes]]


def status_of(error_type: type[errors.ProxyError]) -> HTTPStatus:
    """Return the status of the nearest class in the table."""
    return next(STATUS[kind] for kind in error_type.__mro__ if kind in STATUS)


def without_descriptors(error: Exception) -> Exception:
    """Return the error to answer with: wherever file descriptors were lacking, it is a 503."""
    if isinstance(error, errors.CapacityError) or not errors.lacks_descriptors(error):
        return error
    return errors.no_descriptors(error)


def error_headers(error: Exception) -> dict[str, str]:
    """Return the headers that belong to an error in every API: Allow, Retry-After and so on."""
    if isinstance(error, errors.Overloaded | errors.SourceUnavailable):
        return {"retry-after": str(error.retry_after)}
    if not isinstance(error, HTTPException) or not error.headers:
        return {}
    headers = {name.lower(): value for name, value in error.headers.items()}
    if "allow" in headers:  # Starlette joins a set, whose order changes from start to start
        headers["allow"] = ", ".join(sorted(headers["allow"].split(", ")))
    return headers


def problem_json(
    error: Exception, request_id: str, *, path_prefix: str = ""
) -> tuple[HTTPStatus, Headers, bytes]:
    """Return status, headers and a problem+json body.

    ``path_prefix`` is that of the server, for the link to the documentation.
    What is neither a ProxyError nor an HTTPException is a fault of ours: a 500 without details.
    """
    problem_type, extensions = "about:blank", dict[str, Any]()
    match error:
        case errors.ProxyError():
            status, detail = status_of(type(error)), str(error)
            problem_type = f"{path_prefix}/docs#problem-{error.problem_type}"
            if isinstance(error, errors.InvalidOperation):
                extensions = {"operation": error.operation, "field": error.field}
        case HTTPException():
            status, detail = HTTPStatus(error.status_code), error.detail
        case _:
            status = HTTPStatus.INTERNAL_SERVER_ERROR
            detail = "internal server error; the log has it under this instance"
    body = html_safe_json(
        {
            "type": problem_type,
            "title": status.phrase,
            "status": int(status),
            "detail": detail,
            "instance": request_id,
            **{name: value for name, value in extensions.items() if value is not None},
        }
    )
    seconds = _CACHE_SECONDS.get(status)
    headers = {
        "content-type": "application/problem+json",
        "cache-control": f"public, max-age={seconds}" if seconds else "no-store",
        **error_headers(error),
    }
    return (
        status,
        [(name.encode(), value.encode("latin-1")) for name, value in headers.items()],
        body,
    )


def html_safe_json(value: object) -> bytes:
    """Encode as JSON in which ``<``, ``>`` and ``&`` are escaped."""
    return _MARKUP.sub(lambda found: b"\\u00%02x" % ord(found[0]), msgspec.json.encode(value))
