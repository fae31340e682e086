"""HTTP/1.1 on one connection: uvicorn's httptools protocol with timeouts and a fast path.

uvicorn waits without end for a request to arrive and for a response to be taken, and does not bound
headers. Here:

1. The head of a request arrives within ``read_timeout_seconds``, or the connection is closed (408).
   In each such period a body brings 64 KiB, or its rest.
2. A head has at most 64 KiB (431).
3. In each ``write_timeout_seconds`` a client takes 64 KiB of its response, or the rest, or the
   connection is aborted.

None of this needs a timer of its own: the worker checks all its connections twice a second.

The fast path answers a cached response as soon as the head of its request is parsed, if no other
request is before it and the connection stays open. All other requests are passed to the app.
"""

import asyncio
import json
from collections.abc import Callable, Sequence
from functools import lru_cache
from http import HTTPStatus
from typing import Any

from proxy.compat.uvicorn import STATUS_LINE, HttpToolsProtocol

CHECK_SECONDS = 0.5
"""How often a worker calls `check_timeouts` on its connections."""

_MAX_HEAD_BYTES = 65_536
_MIN_PROGRESS_BYTES = 65_536

FastPathHandler = Callable[
    [bytes, bytes, Sequence[tuple[bytes, bytes]]], tuple[int, bytes, bytes] | None
]
"""From the method, target and headers of a request to the status, header lines and body of its
response, or to None where the app must answer."""


def _error_response(status: HTTPStatus, detail: str) -> bytes:
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


_ERROR_RESPONSES = {
    400: _error_response(HTTPStatus.BAD_REQUEST, "the request is not valid HTTP/1.1"),
    408: _error_response(HTTPStatus.REQUEST_TIMEOUT, "the request did not arrive in time"),
    431: _error_response(
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
        f"the head of the request is longer than {_MAX_HEAD_BYTES} bytes",
    ),
}


class TimeoutHttpProtocol(HttpToolsProtocol):
    def __init__(
        self,
        *args: Any,
        read_timeout_seconds: float,
        write_timeout_seconds: float,
        fast_path: FastPathHandler | None = None,
        **options: Any,
    ) -> None:
        super().__init__(*args, **options)
        # `check_timeouts` comes up to one period late.
        self._read_timeout = read_timeout_seconds - CHECK_SECONDS
        self._write_timeout = write_timeout_seconds - CHECK_SECONDS
        self._fast_path = fast_path
        self._reading_since: float | None = None
        """Since when the rest of a request is expected; None while none is."""
        self._fast_response_at: float | None = None
        """When the last request was answered by the fast path; None if the app answered it."""
        self._in_body = False
        self._received_bytes = 0
        self._chunk_bytes = 0
        """Size of the chunk that is being parsed."""
        self._chunk_ended_request = False
        self._error_status = 400
        self._unsent_bytes = 0
        self._write_progress_at = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._reading_since = self.loop.time()

    def data_received(self, data: bytes) -> None:
        self._chunk_bytes = len(data)
        self._chunk_ended_request = False
        super().data_received(data)
        if self._in_body:
            self._received_bytes += len(data)
            if self._received_bytes >= _MIN_PROGRESS_BYTES:
                self._received_bytes = 0
                self._reading_since = self.loop.time()
        elif self._reading_since is not None:
            self._received_bytes += len(data)
            if self._received_bytes > _MAX_HEAD_BYTES:
                self._reject(431)
        elif not self._chunk_ended_request and self._is_idle():
            # Bytes without a request, such as empty lines, must not keep the connection open.
            self._reading_since = self.loop.time()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._reading_since = self.loop.time()
        self._received_bytes = 0
        self._fast_response_at = None

    def on_headers_complete(self) -> None:
        may_be_too_long = self._received_bytes + self._chunk_bytes > _MAX_HEAD_BYTES
        if may_be_too_long and self._head_bytes() > _MAX_HEAD_BYTES:
            self._error_status = 431
            raise ValueError("head too long")  # ends the parsing, in `send_400_response`
        if self.expect_100_continue:
            self.expect_100_continue = _has_body(self.headers)
        if self._fast_path is not None and self._send_fast_response(self._fast_path):
            return
        super().on_headers_complete()
        self._in_body = True
        self._received_bytes = 0

    def on_message_complete(self) -> None:
        if self._fast_response_at is None:
            super().on_message_complete()
        self._chunk_ended_request = True
        self._in_body = False
        self._reading_since = None

    def send_400_response(self, msg: str) -> None:
        """Reject what could not be parsed, after the responses to the requests before it."""
        self._received_bytes += self._chunk_bytes
        if self._in_body or self._is_idle():
            self._reject(self._error_status)
        else:
            super().shutdown()

    def shutdown(self) -> None:
        """Close after the current requests, including one whose head is partly received."""
        if self._reading_since is None or not self._received_bytes or self._in_body:
            super().shutdown()

    def is_awaiting_first_request(self, since: float) -> bool:
        """Whether the connection was made after ``since`` and no request has come on it yet."""
        no_request = self._fast_response_at is None and self.cycle is None
        is_new = self._reading_since is not None and self._reading_since > since
        return no_request and is_new and not self.transport.is_closing()

    def check_timeouts(self, now: float) -> None:
        """Close the connection if a timeout has passed; ``now`` is the loop's time."""
        if self._write_stalled(now):
            self.transport.abort()
        elif self.transport.is_closing():
            return
        elif self._reading_since is None:
            since = self._fast_response_at
            if since is not None and now - since > self.timeout_keep_alive:
                self.transport.close()  # after responses of the app, uvicorn's own timer does it
        elif self._in_body and self.cycle.response_complete:
            self.transport.close()  # the response is complete, the rest of the body is not needed
        elif self.flow.read_paused:
            self._reading_since = now  # the app does not read: the client is not to blame
        elif now - self._reading_since > self._read_timeout:
            self._reject(408)

    def _send_fast_response(self, fast_path: FastPathHandler) -> bool:
        """Whether the request has been answered and needs nothing else."""
        limit = self.limit_concurrency
        default_headers = _header_lines(tuple(self.server_state.default_headers))
        if (
            not self._is_idle()
            or self.flow.write_paused
            or self.transport.is_closing()
            or not self.parser.should_keep_alive()
            or self.parser.get_http_version() != "1.1"
            or default_headers is None
            or (limit is not None and max(len(self.connections), len(self.tasks)) >= limit)
        ):
            return False
        response = fast_path(self.parser.get_method(), self.url, self.headers)
        if response is None:
            return False
        status, headers, body = response
        head = b"%b%b%b\r\n" % (STATUS_LINE[status], default_headers, headers)
        self.transport.writelines((head, body))
        self._fast_response_at = self.loop.time()
        return True

    def _is_idle(self) -> bool:
        """Whether all previous requests have their response."""
        return self.cycle is None or self.cycle.response_complete

    def _head_bytes(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _write_stalled(self, now: float) -> bool:
        unsent = self.transport.get_write_buffer_size()
        progress = self._unsent_bytes - unsent
        if not unsent or progress >= _MIN_PROGRESS_BYTES or not self._unsent_bytes:
            self._unsent_bytes, self._write_progress_at = unsent, now
        return unsent > 0 and now - self._write_progress_at > self._write_timeout

    def _reject(self, status: int) -> None:
        """Send an error response where that is possible, and close the connection."""
        nothing_received = not self._received_bytes and not self._in_body
        response_started = self._in_body and self.cycle.response_started
        if not (nothing_received or response_started or self.transport.is_closing()):
            self.transport.write(_ERROR_RESPONSES[status])
        self.transport.close()


@lru_cache(maxsize=1)  # they stay the same for a second
def _header_lines(headers: tuple[tuple[bytes, bytes], ...]) -> bytes | None:
    """The default headers as bytes on the wire; None while connections are being closed."""
    if (b"connection", b"close") in headers:
        return None
    return b"".join(b"%b: %b\r\n" % header for header in headers)


def _has_body(headers: list[tuple[bytes, bytes]]) -> bool:
    """Without a body, a client may take ``100 Continue`` for the response."""
    fields = dict(headers)
    return b"transfer-encoding" in fields or fields.get(b"content-length", b"0") != b"0"
