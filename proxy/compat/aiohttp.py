"""aiohttp's connections, corrected where they misjudge the end of a body."""

import inspect
from functools import partial
from typing import Any, cast

import aiohttp
from aiohttp.client_proto import ResponseHandler

from proxy.compat import check, has_all, sets_all

check(
    "aiohttp",
    {
        "ResponseHandler has the methods that are used": has_all(
            ResponseHandler, ("connection_lost", "resume_reading", "_drop_timeout")
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


class BodyCheckingHandler(ResponseHandler):
    """aiohttp's protocol, corrected where it misjudges the end of a body."""

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
