"""aiohttp's connections, corrected where they misjudge the length or the end of a body.

`aiohttp` itself is imported from here, so that it is imported without reading certificates.
"""

import inspect
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

from proxy.compat import check, has_all, sets_all


@contextmanager
def _without_certificates() -> Iterator[None]:
    """Let TLS contexts that are made in the block trust no certificate.

    aiohttp makes two at import, which we do not use. Each would read the certificates of the
    system: 39 of the 300 ms that a server takes for its imports, and 2 MB.
    """
    ssl.SSLContext.set_default_verify_paths = lambda _: None  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        del ssl.SSLContext.set_default_verify_paths  # that of its base class remains


with _without_certificates():
    import aiohttp
    from aiohttp.client_proto import ResponseHandler

__all__ = ["BodyCheckingHandler", "Connector", "LengthFilter", "aiohttp"]

check(
    "aiohttp",
    {
        "ResponseHandler has the methods that are used": has_all(
            ResponseHandler,
            (
                "connection_lost",
                "data_received",
                "resume_reading",
                "set_response_params",
                "_drop_timeout",
            ),
        ),
        "ResponseHandler keeps the body in _payload": sets_all(
            ResponseHandler.__init__, ("_payload",)
        ),
        "resume_reading takes resume_parser": "resume_parser"
        in inspect.signature(ResponseHandler.resume_reading).parameters,
        "connectors make protocols with _factory": sets_all(
            aiohttp.BaseConnector.__init__, ("_factory", "_loop")
        ),
    },
)


_MAX_HELD_BYTES = 1024
_MAX_LINES = 256  # more than the parser takes
_LENGTH = b"content-length:"
_LENGTHS = re.compile(rb"[ \t]*([0-9]+)[ \t]*(?:,[ \t]*\1[ \t]*)*", re.ASCII)
_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})", re.ASCII | re.IGNORECASE)


class LengthFilter:
    """Drops repeated equal lengths from the head of a response (RFC 9110 section 8.6).

    The parser rejects what is left, such as unequal ones. Everything else goes on at once.
    """

    def __init__(self) -> None:
        self._line = b""  # the beginning of the current line
        self._passed = 0  # how much of it went on
        self._lines = 0
        self._is_interim = False
        self._length = b""

    def feed(self, data: bytes) -> tuple[bytes, bool]:
        """Return what goes on to the parser, and whether the head has ended."""
        passed = bytearray()
        start = 0
        while start < len(data):
            end = data.find(b"\n", start) + 1
            part = data[start : end or len(data)]
            start += len(part)
            if len(self._line) < _MAX_HELD_BYTES:
                self._line += part
            else:  # of a line that is too long to be held, the beginning is enough
                passed += part
            if not end:
                if not self._may_be_length():
                    passed += self._line[self._passed :]
                    self._passed = len(self._line)
                break
            has_ended = self._line in (b"\r\n", b"\n") and self._lines > 0
            passed += self._filtered_line()
            if (has_ended and not self._is_interim) or self._lines > _MAX_LINES:
                head = bytes(passed)
                # The body in it, of up to 256 kB, is copied only if something changed.
                return (data if head == data[:start] else head + data[start:]), True
            if has_ended:  # of an interim response, before the one that counts
                self._lines, self._length = 0, b""
        return bytes(passed), False

    def _may_be_length(self) -> bool:
        start = self._line[: len(_LENGTH)].lower()
        return not self._passed and len(self._line) < _MAX_HELD_BYTES and _LENGTH.startswith(start)

    def _filtered_line(self) -> bytes:
        line, passed = self._line, self._passed
        self._line, self._passed = b"", 0
        self._lines += 1
        if self._lines == 1:
            status = _STATUS.match(line)
            code = status[1] if status else b""
            self._is_interim = code.startswith(b"1") and code != b"101"
        if passed or not line.lower().startswith(_LENGTH):
            return line[passed:]
        lengths = _LENGTHS.fullmatch(line[len(_LENGTH) :].rstrip(b"\r\n"))
        if lengths is None or self._length not in (b"", lengths[1]):
            return line
        if self._length:
            return b""
        self._length = lengths[1]
        return b"Content-Length: " + lengths[1] + b"\r\n"


class BodyCheckingHandler(ResponseHandler):
    """aiohttp's protocol, corrected where it misjudges the length or the end of a body."""

    _head: LengthFilter | None = None

    def set_response_params(self, **options: Any) -> None:
        """Expect the head of a response."""
        self._head = LengthFilter()
        super().set_response_params(**options)

    def data_received(self, data: bytes) -> None:
        """Parse what arrived, with one length in the head where equal ones are repeated."""
        if self._head is not None and data:
            data, has_ended = self._head.feed(data)
            if has_ended:
                self._head = None
            if not data:
                return
        super().data_received(data)

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Resume after a pause, and leave no read timeout running on an idle connection.

        If the rest of a body arrived before the pause, aiohttp parses it, returns the connection to
        the pool, and starts the read timeout after that. It would fail the next request.
        """
        payload = self._payload
        was_reading = payload is not None and not payload.is_eof()
        super().resume_reading(resume_parser)
        if was_reading and payload is not None and payload.is_eof():
            self._drop_timeout()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Fail a body whose connection was reset.

        aiohttp takes the reset for the end of a body that ends with its connection.
        """
        if exc is not None and self._payload is not None and not self._payload.is_eof():
            self._payload.set_exception(aiohttp.ClientPayloadError("connection reset in the body"))
        super().connection_lost(exc)


class Connector(aiohttp.TCPConnector):
    """A connector whose connections are `BodyCheckingHandler`."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._factory = cast(
            partial[ResponseHandler], partial(BodyCheckingHandler, loop=self._loop)
        )
