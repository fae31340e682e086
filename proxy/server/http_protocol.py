"""HTTP/1.1 on one connection: uvicorn's httptools protocol, with an end to everybody's patience.

uvicorn waits for ever for a request to arrive and for an answer to be taken, and bounds no header.
Here:

1. A request's head arrives within ``receive_seconds``, or the connection is cut (408). A body
   brings 64 KiB in each such stretch, or its rest.
2. A head is at most 64 KiB (431).
3. A client takes 64 KiB of its answer in each ``send_seconds``, or its rest, or is cut off.

Nothing of this costs a timer: the worker looks at its connections twice a second.

A request whose answer is at hand is answered as soon as its head is read, if no other is before it
and its connection stays. All others go uvicorn's way.
"""

import asyncio
import json
from collections.abc import Callable, Sequence
from functools import lru_cache
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

CHECK_SECONDS = 0.5
"""How often a worker calls `check` on its connections."""

_HEAD_BYTES = 65_536
_PROGRESS_BYTES = 65_536

AtHand = Callable[[bytes, bytes, Sequence[tuple[bytes, bytes]]], tuple[int, bytes, bytes] | None]
"""From a request's method, target and headers to the status, header lines and body of its answer.

None where nothing is at hand."""


def _refusal(status: HTTPStatus, detail: str) -> bytes:
    about = {"type": "about:blank", "title": status.phrase, "status": status, "detail": detail}
    body = json.dumps(about).encode()
    fields = (
        b"content-type: application/problem+json\r\n"
        b"x-content-type-options: nosniff\r\n"
        b"cache-control: no-store\r\n"
        b"connection: close\r\n"
        b"content-length: %d\r\n\r\n"
    )
    return STATUS_LINE[status] + fields % len(body) + body


_REFUSALS = {
    400: _refusal(HTTPStatus.BAD_REQUEST, "this is no HTTP request"),
    408: _refusal(HTTPStatus.REQUEST_TIMEOUT, "the request did not arrive in time"),
    431: _refusal(
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
        f"the head of the request is longer than {_HEAD_BYTES} bytes",
    ),
}


class Protocol(HttpToolsProtocol):
    def __init__(
        self,
        *arguments: Any,
        receive_seconds: float,
        send_seconds: float,
        at_hand: AtHand | None = None,
        **options: Any,
    ) -> None:
        super().__init__(*arguments, **options)
        self._receive_seconds = receive_seconds - CHECK_SECONDS
        self._send_seconds = send_seconds - CHECK_SECONDS
        self._waiting_since: float | None = None
        """When we began to wait for the rest of a request; None while none is due."""
        self._at_hand = at_hand
        self._answered_at: float | None = None
        """When the last request was answered with what was at hand; None where it was not."""
        self._ended = False
        """Whether the read that is being parsed held the end of a request."""
        self._in_body = False
        self._received = 0
        self._reading = 0
        """Bytes of the read that is being parsed."""
        self._refusal = 400
        self._unsent = 0
        self._unsent_since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._waiting_since = self.loop.time()

    def data_received(self, data: bytes) -> None:
        self._reading = len(data)
        self._ended = False
        super().data_received(data)
        if self._in_body:
            self._received += len(data)
            if self._received >= _PROGRESS_BYTES:
                self._received = 0
                self._waiting_since = self.loop.time()
        elif self._waiting_since is not None:
            self._received += len(data)
            if self._received > _HEAD_BYTES:
                self._refuse(431)
        elif not self._ended and self._is_idle():
            # Bytes that are no request, such as empty lines, are no way to stay for ever.
            self._waiting_since = self.loop.time()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._waiting_since = self.loop.time()
        self._received = 0
        self._answered_at = None

    def on_headers_complete(self) -> None:
        if self._received + self._reading > _HEAD_BYTES and self._head_bytes() > _HEAD_BYTES:
            self._refusal = 431
            raise ValueError("The head is too long.")  # ends the parsing: `send_400_response`
        if self.expect_100_continue:
            self.expect_100_continue = _brings_body(self.headers)
        if self._at_hand is not None and self._answers_at_hand(self._at_hand):
            return
        super().on_headers_complete()
        self._in_body = True
        self._received = 0

    def on_message_complete(self) -> None:
        if self._answered_at is None:
            super().on_message_complete()
        self._ended = True
        self._in_body = False
        self._waiting_since = None

    def send_400_response(self, msg: str) -> None:
        """Refuse what could not be parsed, after the answers to the requests before it."""
        self._received += self._reading
        if self._in_body or self._is_idle():
            self._refuse(self._refusal)
        else:
            super().shutdown()

    def shutdown(self) -> None:
        """Close the connection after what is in hand, a request that is just arriving included."""
        if self._waiting_since is None or not self._received or self._in_body:
            super().shutdown()

    def is_entering(self, since: float) -> bool:
        """Whether this connection was made after ``since``, and nothing was asked on it yet."""
        unasked = self._answered_at is None and self.cycle is None
        waiting = self._waiting_since is not None and self._waiting_since > since
        return unasked and waiting and not self.transport.is_closing()

    def check(self, now: float) -> None:
        """Cut the connection if the client's time is up; ``now`` is the loop's."""
        if self._is_stuck(now):
            self.transport.abort()
        elif self.transport.is_closing():
            return
        elif self._waiting_since is None:
            since = self._answered_at
            if since is not None and now - since > self.timeout_keep_alive:
                self.transport.close()  # after other answers, uvicorn's own timer does it
        elif self._in_body and self.cycle.response_complete:
            self.transport.close()  # answered before it had all arrived, and enough waited
        elif self.flow.read_paused:
            self._waiting_since = now  # it is we who do not read
        elif now - self._waiting_since > self._receive_seconds:
            self._refuse(408)

    def _answers_at_hand(self, at_hand: AtHand) -> bool:
        """Whether this request has been answered, and nothing of it is left to do."""
        limit = self.limit_concurrency
        general = _lines(tuple(self.server_state.default_headers))
        if (
            not self._is_idle()
            or self.flow.write_paused
            or self.transport.is_closing()
            or not self.parser.should_keep_alive()
            or self.parser.get_http_version() != "1.1"
            or general is None
            or (limit is not None and max(len(self.connections), len(self.tasks)) >= limit)
        ):
            return False
        given = at_hand(self.parser.get_method(), self.url, self.headers)
        if given is None:
            return False
        status, fields, body = given
        head = b"%b%b%b\r\n" % (STATUS_LINE[status], general, fields)
        self.transport.writelines((head, body))
        self._answered_at = self.loop.time()
        return True

    def _is_idle(self) -> bool:
        """Whether every request before has its answer."""
        return self.cycle is None or self.cycle.response_complete

    def _head_bytes(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _is_stuck(self, now: float) -> bool:
        unsent = self.transport.get_write_buffer_size()
        if not unsent or self._unsent - unsent >= _PROGRESS_BYTES or not self._unsent:
            self._unsent, self._unsent_since = unsent, now
        return unsent > 0 and now - self._unsent_since > self._send_seconds

    def _refuse(self, status: int) -> None:
        """Say why where that is possible, and hang up."""
        silent = not self._received and not self._in_body
        answered = self._in_body and self.cycle.response_started
        if not (silent or answered or self.transport.is_closing()):
            self.transport.write(_REFUSALS[status])
        self.transport.close()


@lru_cache(maxsize=1)  # they are the same for a second
def _lines(general: tuple[tuple[bytes, bytes], ...]) -> bytes | None:
    """The headers that every answer has, as they go over the wire; None where all are the last."""
    if (b"connection", b"close") in general:
        return None
    return b"".join(b"%b: %b\r\n" % field for field in general)


def _brings_body(headers: list[tuple[bytes, bytes]]) -> bool:
    """Without one, nobody waits for ``100 Continue``, and clients may take it for the answer."""
    fields = dict(headers)
    return b"transfer-encoding" in fields or fields.get(b"content-length", b"0") != b"0"
