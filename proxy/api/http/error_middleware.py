"""Turn every exception of an API into a response in that API's own format."""

import logging
from collections.abc import Callable, Mapping

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from proxy.api.http.disconnect import ClientDisconnected
from proxy.api.http.headers import combine_headers
from proxy.api.http.problems import without_descriptors
from proxy.api.http.request_id import request_id
from proxy.errors import ProxyError
from proxy.telemetry.request_context import set_error, set_request_id

_log = logging.getLogger(__name__)

ErrorResponse = Callable[[Request, Exception], Response]
"""Makes an API's response to an exception: a ProxyError, an HTTPException, or a fault of ours."""

NewRequestId = Callable[[Mapping[bytes, bytes]], str]
"""Makes the id of a request with these headers."""


class ErrorMiddleware:
    """The only place where exceptions become responses, but for the images endpoint.

    Also gives each request its id: ``request.state.request_id``.
    """

    def __init__(
        self, app: ASGIApp, error_response: ErrorResponse, new_request_id: NewRequestId = request_id
    ) -> None:
        self._app = app
        self._error_response = error_response
        self._new_request_id = new_request_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        headers = combine_headers(scope["headers"])
        request.state.request_id = self._new_request_id(headers)
        set_request_id(request.state.request_id)
        # With an app, Starlette's router raises its 404 and 405; without, it sends plain text.
        scope["app"] = self
        body_complete = not _has_body(headers)
        response_started = False

        async def tracked_receive() -> Message:
            nonlocal body_complete
            message = await receive()
            if message["type"] == "http.request" and not message.get("more_body", False):
                body_complete = True
            return message

        async def tracked_send(message: Message) -> None:
            nonlocal response_started
            response_started = True
            await send(message)

        try:
            await self._app(scope, tracked_receive, tracked_send)
        except ClientDisconnected:
            return
        except Exception as error:
            if response_started:
                raise
            error = without_descriptors(error)
            set_error(error)
            if not isinstance(error, ProxyError | HTTPException):
                _log.exception("unexpected error (request_id=%s)", request.state.request_id)
            response = self._error_response(request, error)
            if not body_complete:  # nobody reads the rest: the connection cannot be used again
                response.headers["connection"] = "close"
            await response(scope, receive, send)


def _has_body(headers: Mapping[bytes, bytes]) -> bool:
    return b"transfer-encoding" in headers or headers.get(b"content-length", b"0") != b"0"
