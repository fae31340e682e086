"""HTTP/1.1 on one connection: uvicorn's httptools protocol with timeouts and a fast path.

uvicorn waits without end for a request to arrive and for a response to be taken, and does not bound
headers. Here:

1. The head of a request arrives within ``read_timeout_seconds``, or the connection is closed (408).
   In each such period a body brings what ``min_body_bytes_per_second`` demands, or its rest.
2. A head has at most 64 KiB (431) and 256 fields (431). What a chunked body has beside its data is
   bounded too (400).
3. In each ``write_timeout_seconds`` a client takes 64 KiB of its response, or the rest, or the
   connection is aborted.
4. A response that is complete before the body of its request reaches the client: the server then
   reads on for a while before it closes (lingering close). Bytes that nobody has read would make
   the kernel reset the connection, and discard the response.
5. Above the limit of connections those that wait for a request are closed, the longest wait first;
   while none does, requests are answered with 503. Health checks have a reserve.

None of this needs a timer of its own: the worker checks all its connections twice a second.

The fast path answers a cached response as soon as the head of its request is parsed, if no other
request is before it and the connection stays open. All other requests are passed to the app.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from proxy.compat.uvicorn import STATUS_LINE, HttpToolsProtocol
from proxy.server.connection_limit import ConnectionLimit
from proxy.server.rejections import (
    FRAGMENT,
    INVALID,
    MAX_HEAD_BYTES,
    MAX_HEADER_FIELDS,
    TIMED_OUT,
    TOO_LONG,
    TOO_MANY_FIELDS,
    TOO_MUCH_FRAMING,
)
from proxy.server.request_target import EMPTY_QUERY

CHECK_SECONDS = 0.5
"""How often a worker calls `check_timeouts` on its connections."""

_MIN_WRITE_BYTES = 65_536
_MAX_FRAMING_BYTES = 65_536
_MAX_FRAMING_RATIO = 8
"""Chunk sizes, extensions and trailers of a body, in all and for each byte of its data."""

LINGER_SECONDS = 30.0
LINGER_IDLE_SECONDS = 5.0
MAX_LINGER_BYTES = 96 * 1024 * 1024
"""How long and how much is read after a response, before the connection is closed. The defaults of
nginx, which has no bound for the bytes."""

FastPathHandler = Callable[
    [bytes, bytes, Sequence[tuple[bytes, bytes]]], tuple[int, bytes, bytes] | None
]
"""From the method, target and headers of a request to the status, header lines and body of its
response, or to None where the app must answer."""


class TimeoutHttpProtocol(HttpToolsProtocol):
    # In the dict of the object, together with uvicorn's, they would be more than the 30 attributes
    # for which CPython has fast access: a hit would take 12 % more of Python's time.
    __slots__ = (
        *("_body_bytes", "_chunk_began_body", "_chunk_body_bytes", "_chunk_bytes"),
        *("_chunk_ended_request", "_connection_limit", "_fast_path", "_fast_response_at"),
        *("_framing_bytes", "_half_closed", "_in_body", "_linger_bytes", "_linger_progress_at"),
        *("_lingering_since", "_min_body_bytes", "_read_timeout", "_reading_since"),
        *("_received_bytes", "_rejection", "_response_at", "_unsent_bytes", "_write_progress_at"),
        "_write_timeout",
    )

    def __init__(
        self,
        *args: Any,
        read_timeout_seconds: float,
        write_timeout_seconds: float,
        min_body_bytes_per_second: int = 4096,
        fast_path: FastPathHandler | None = None,
        connection_limit: ConnectionLimit | None = None,
        **options: Any,
    ) -> None:
        """``connection_limit`` is that of all connections of this worker; None: there is none."""
        super().__init__(*args, **options)
        # `check_timeouts` comes up to one period late.
        self._read_timeout = read_timeout_seconds - CHECK_SECONDS
        self._write_timeout = write_timeout_seconds - CHECK_SECONDS
        self._min_body_bytes = int(min_body_bytes_per_second * read_timeout_seconds)
        self._fast_path = fast_path
        self._connection_limit = connection_limit or ConnectionLimit()
        self._reading_since: float | None = None
        """Since when the rest of a request is expected; None while none is."""
        self._fast_response_at: float | None = None
        """When the last request was answered by the fast path; None if the app answered it."""
        self._response_at = 0.0
        """When the app has completed its last response."""
        self._in_body = False
        self._received_bytes = 0
        self._chunk_bytes = 0
        """Size of the chunk that is being parsed, and below how much of it is data of a body."""
        self._chunk_body_bytes = 0
        self._chunk_ended_request = False
        self._chunk_began_body = False
        self._body_bytes = self._framing_bytes = 0
        self._rejection = INVALID
        self._unsent_bytes = 0
        self._write_progress_at = 0.0
        self._lingering_since: float | None = None
        """Since when the rest of a request is read without need; None while none is."""
        self._linger_progress_at = 0.0
        self._linger_bytes = 0
        self._half_closed = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._reading_since = self.loop.time()
        self._connection_limit.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._connection_limit.closed(self)

    def data_received(self, data: bytes) -> None:
        if self._lingering_since is not None and self._discards(data):
            return
        self._chunk_bytes = len(data)
        self._chunk_body_bytes = 0
        self._chunk_ended_request = self._chunk_began_body = False
        super().data_received(data)
        if self._half_closed:
            return
        if self._in_body:
            self._received_bytes += len(data)
            if self._received_bytes >= self._min_body_bytes:
                self._received_bytes = 0
                self._reading_since = self.loop.time()
            if not self._chunk_began_body:
                self._check_framing(len(data))
        elif self._reading_since is not None:
            self._received_bytes += len(data)
            if self._received_bytes > MAX_HEAD_BYTES:
                self._reject(TOO_LONG)
        elif not self._chunk_ended_request and self._is_idle():
            # Bytes without a request, such as empty lines, must not keep the connection open.
            self._reading_since = self.loop.time()

    def _discards(self, data: bytes) -> bool:
        """Count what is read without need; return whether it is not parsed either."""
        self._linger_progress_at = self.loop.time()
        self._linger_bytes += len(data)
        if self._linger_bytes > MAX_LINGER_BYTES:
            self.transport.close()
        return self._half_closed or self.transport.is_closing()

    def _check_framing(self, chunk_bytes: int) -> None:
        self._body_bytes += self._chunk_body_bytes
        self._framing_bytes += chunk_bytes - self._chunk_body_bytes
        if self._framing_bytes > _MAX_FRAMING_BYTES + _MAX_FRAMING_RATIO * self._body_bytes:
            self._reject(TOO_MUCH_FRAMING)

    def on_message_begin(self) -> None:
        # uvicorn makes the ASGI scope here; `_make_scope` does it for those requests that need it.
        self.url = b""
        self.headers = []
        self._reading_since = self.loop.time()
        self._received_bytes = 0
        self._fast_response_at = None

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_body:  # else it is a trailer, which nobody reads
            self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self._check_head()
        if self._fast_path is not None and self._send_fast_response(self._fast_path):
            return
        self._make_scope()
        if self.url.endswith(b"?"):
            self.scope["extensions"] = {EMPTY_QUERY: {}}
        # uvicorn's own limit does not know which connections wait, nor what is a health check.
        self.limit_concurrency = None if self._is_within_limit() else 0
        super().on_headers_complete()
        if _has_body(self.headers):
            self.cycle.transport = _ResponseTransport(self)  # type: ignore[assignment]
        self._in_body = self._chunk_began_body = True
        self._received_bytes = self._body_bytes = self._framing_bytes = 0

    def _make_scope(self) -> None:
        """Let uvicorn begin with the request whose head is complete."""
        url, headers = self.url, self.headers
        super().on_message_begin()
        self.url = url
        for name, value in headers:
            super().on_header(name, value)
        if self.expect_100_continue:
            self.expect_100_continue = _has_body(headers)

    def _check_head(self) -> None:
        """Raise ValueError, which ends the parsing, in `send_400_response`."""
        may_be_too_long = self._received_bytes + self._chunk_bytes > MAX_HEAD_BYTES
        if may_be_too_long and self._head_bytes() > MAX_HEAD_BYTES:
            self._rejection = TOO_LONG
        elif len(self.headers) > MAX_HEADER_FIELDS:
            self._rejection = TOO_MANY_FIELDS
        elif b"#" in self.url:
            self._rejection = FRAGMENT
        else:
            return
        raise ValueError(self._rejection)

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        self._chunk_body_bytes += len(body)

    def on_message_complete(self) -> None:
        if self._fast_response_at is None:
            super().on_message_complete()
        self._chunk_ended_request = True
        self._in_body = False
        self._reading_since = self._lingering_since = None

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._response_at = self.loop.time()
        if self._in_body and self.cycle.response_complete and self._lingering_since is None:
            self._start_lingering()  # the connection goes on if the rest arrives in time

    def send_400_response(self, msg: str) -> None:
        """Reject what could not be parsed, after the responses to the requests before it."""
        self._received_bytes += self._chunk_bytes
        if self._in_body or self._is_idle():
            self._reject(self._rejection)
        else:
            super().shutdown()

    def shutdown(self) -> None:
        """Close after the current requests, including one whose head is partly received."""
        if self._lingering_since is not None:
            self.transport.close()
        elif self._reading_since is None or not self._received_bytes or self._in_body:
            super().shutdown()

    def is_awaiting_first_request(self, since: float) -> bool:
        """Whether the connection was made after ``since`` and no request has come on it yet."""
        no_request = self._fast_response_at is None and self.cycle is None
        is_new = self._reading_since is not None and self._reading_since > since
        return no_request and is_new and not self.transport.is_closing()

    @property
    def waiting_since(self) -> float | None:
        """Since when it waits for a request, or for the rest of its head; None while it does not.

        What is read without need counts as waiting.
        """
        if self.transport.is_closing():
            return None
        if self._lingering_since is not None:
            return self._lingering_since
        if self._in_body or not self._is_idle():
            return None
        if self._reading_since is not None:
            return self._reading_since
        return self._fast_response_at or self._response_at

    def close_waiting(self) -> None:
        self.transport.close()

    def check_timeouts(self, now: float) -> None:
        """Close the connection if a timeout has passed; ``now`` is the loop's time."""
        if self._write_stalled(now):
            self.transport.abort()
        elif self.transport.is_closing():
            return
        elif self._lingering_since is not None:
            is_idle = now - self._linger_progress_at > LINGER_IDLE_SECONDS
            if is_idle or now - self._lingering_since > LINGER_SECONDS:
                self.transport.close()
        elif self._reading_since is None:
            since = self._fast_response_at
            if since is not None and now - since > self.timeout_keep_alive:
                self.transport.close()  # after responses of the app, uvicorn's own timer does it
        elif self.flow.read_paused:
            self._reading_since = now  # the app does not read: the client is not to blame
        elif now - self._reading_since > self._read_timeout:
            self._reject(TIMED_OUT)

    def close_after_response(self) -> None:
        """Close the connection, but let the client see the response first."""
        if self._in_body and not self.transport.is_closing():
            self._half_close()
        else:
            self.transport.close()

    def _send_fast_response(self, fast_path: FastPathHandler) -> bool:
        """Whether the request has been answered and needs nothing else."""
        parser, transport = self.parser, self.transport
        default_headers = _header_lines(tuple(self.server_state.default_headers))
        if (
            not self._is_idle()
            or self.flow.write_paused
            or transport.is_closing()
            or not parser.should_keep_alive()
            or parser.get_http_version() != "1.1"
            or default_headers is None
            or not self._is_within_limit()
        ):
            return False
        response = fast_path(parser.get_method(), self.url, self.headers)
        if response is None:
            return False
        status, headers, body = response
        head = b"".join((STATUS_LINE[status], default_headers, headers, b"\r\n"))
        transport.writelines((head, body))
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
        if not unsent or progress >= _MIN_WRITE_BYTES or not self._unsent_bytes:
            self._unsent_bytes, self._write_progress_at = unsent, now
        return unsent > 0 and now - self._write_progress_at > self._write_timeout

    def _is_within_limit(self) -> bool:
        return self._connection_limit.allows(self.url, len(self.tasks))

    def _reject(self, rejection: bytes) -> None:
        """Send an error response where that is possible, and close the connection."""
        nothing_received = not self._received_bytes and not self._in_body
        response_started = self._in_body and self.cycle.response_started
        if nothing_received or response_started or self.transport.is_closing():
            self.transport.close()
            return
        self.transport.write(rejection)
        if self._in_body:
            self.cycle.disconnected = True  # the app learns it now, not when the client closes
            self.cycle.message_event.set()
        if rejection is TIMED_OUT and not self._in_body:
            self.transport.close()
        else:
            self._half_close()

    def _half_close(self) -> None:
        """Send what is unsent and the end; discard what comes, until the client closes."""
        self._half_closed = True
        self.transport.write_eof()
        self._start_lingering()
        self.flow.resume_reading()

    def _start_lingering(self) -> None:
        self._lingering_since = self._linger_progress_at = self.loop.time()
        self._linger_bytes = 0


class _ResponseTransport:
    """What uvicorn sends a response to where the request has a body: it closes in another way."""

    def __init__(self, protocol: TimeoutHttpProtocol) -> None:
        self._protocol = protocol
        self.write = protocol.transport.write
        self.is_closing = protocol.transport.is_closing

    def close(self) -> None:
        self._protocol.close_after_response()


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
