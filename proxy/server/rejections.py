"""The responses of the protocol itself, to requests that do not get as far as the app."""

import json
from http import HTTPStatus

from proxy.compat.uvicorn import STATUS_LINE

MAX_HEAD_BYTES = 65_536
MAX_HEADER_FIELDS = 256


def _response(status: HTTPStatus, detail: str) -> bytes:
    problem = {"type": "about:blank", "title": status.phrase, "status": status, "detail": detail}
    body = json.dumps(problem).encode()
    headers = (
        b"content-type: application/problem+json\r\n"
        b"x-content-type-options: nosniff\r\n"
        b"cache-control: no-store\r\n"
        b"connection: close\r\n"
        b"content-length: %d\r\n\r\n"
    )
    return STATUS_LINE[status] + headers % len(body) + body


INVALID = _response(HTTPStatus.BAD_REQUEST, "the request is not valid HTTP/1.1")
FRAGMENT = _response(
    HTTPStatus.BAD_REQUEST,
    "the request target has a fragment (#...), which clients never send; write # as %23",
)
TOO_MUCH_FRAMING = _response(
    HTTPStatus.BAD_REQUEST,
    "the body has more chunk sizes, chunk extensions and trailers than its data allows",
)
TIMED_OUT = _response(HTTPStatus.REQUEST_TIMEOUT, "the request did not arrive in time")
TOO_LONG = _response(
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    f"the head of the request is longer than {MAX_HEAD_BYTES} bytes",
)
TOO_MANY_FIELDS = _response(
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    f"the request has more than {MAX_HEADER_FIELDS} header fields",
)
