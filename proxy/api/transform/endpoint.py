"""Iteration Layer's Image Transformation API: a file and up to 30 operations in, base64 out."""

import asyncio
import logging
from base64 import b64encode
from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Any, Protocol

from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.types import Receive, Scope, Send

from proxy import errors
from proxy.api.http import request_body
from proxy.api.http.api_keys import Keys, bearer
from proxy.api.http.disconnect import CallerLeft, unless_left
from proxy.api.http.loop_detection import refuse_loops
from proxy.api.http.problems import Headers, Problem, json_bytes, retry_after
from proxy.api.http.rate_limit import Rates
from proxy.api.http.request_id import request_id
from proxy.api.http.upload_budget import Room
from proxy.api.transform.request import BadColour, BadWish, Reader
from proxy.api.transform.webhooks import Order
from proxy.formats import FORMATS
from proxy.image_request import ImageRequest
from proxy.service import ImageResult
from proxy.telemetry import metrics

_log = logging.getLogger(__name__)

PREFIX = "/image-transformation/"
PATH = "/image-transformation/v1/transform"

# Below this much a body is read faster than a thread is asked to.
_IN_A_THREAD = 262_144

ACCEPTED = {
    "success": True,
    "async": True,
    "message": "Request accepted. Results will be delivered to the provided webhook URL.",
}

_STATUS: Mapping[type[Exception], tuple[int, str]] = {
    Exception: (500, "INTERNAL_ERROR"),
    errors.RequestError: (400, "VALIDATION_ERROR"),
    BadColour: (422, "VALIDATION_ERROR"),
    errors.SourceError: (422, "FILE_UNREACHABLE"),
    errors.SourceTooLarge: (413, "FILE_TOO_LARGE"),
    errors.ImageError: (422, "PROCESSING_ERROR"),
    errors.NotAnImage: (400, "UNSUPPORTED_FORMAT"),
    errors.CapacityError: (503, "SERVER_BUSY"),
    errors.DeadlineExceeded: (504, "TIMEOUT"),
    errors.RenderFailed: (500, "INTERNAL_ERROR"),
}
_CODES = {
    HTTPStatus.UNAUTHORIZED: "INVALID_API_KEY",
    HTTPStatus.NOT_FOUND: "NOT_FOUND",
    HTTPStatus.TOO_MANY_REQUESTS: "RATE_LIMITED",
}


class TransformConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """The Iteration Layer face."""

    allow_http: bool = False
    """Whether files may lie at `http://` URLs, and not only at `https://`."""

    webhook_allow_http: bool = False
    """Whether results may be sent to `http://` URLs, and not only to `https://`."""

    max_body_bytes: Annotated[int, Meta(ge=1)] = 75_497_472
    """Largest request body, in bytes: a 50 MB file is a third larger in base64."""

    rate_limit_per_minute_per_worker: Annotated[int, Meta(ge=0)] = 0
    """How often a key may ask each worker in a minute; 0 is as often as it likes."""

    webhook_allow_hosts: tuple[str, ...] = ()
    """When set, the only hosts that results are sent to; written as the hosts of sources are."""

    webhook_max_attempts: Annotated[int, Meta(ge=1, le=10)] = 5
    """How often a receiver is tried."""

    webhook_backoff_seconds: Annotated[float, Meta(ge=0, le=3600)] = 1.0
    """The pause after the first try; five times as long after each further one."""


class Service(Protocol):
    async def get_or_render(self, job: ImageRequest) -> ImageResult: ...


class Desk(Protocol):
    """Takes orders whose results are sent later."""

    async def accept(self, order: Order) -> None: ...


class TransformFace:
    def __init__(
        self,
        service: Service,
        desk: Desk,
        keys: Keys,
        reader: Reader,
        settings: TransformConfig,
        *,
        room: Room,
    ) -> None:
        self._room = room
        self._service = service
        self._desk = desk
        self._keys = keys
        self._reader = reader
        self._most = settings.max_body_bytes
        limited = settings.rate_limit_per_minute_per_worker > 0
        self._rates = Rates(settings.rate_limit_per_minute_per_worker) if limited else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        heard = request_body.Heard(receive)
        asked = dict(scope["headers"])
        name = request_id(asked)
        metrics.named(name)
        headers: Headers = [
            (b"content-type", b"application/json"),
            (b"x-content-type-options", b"nosniff"),
            (b"x-request-id", name.encode()),
        ]
        try:
            status, body = await self._answer(Request(scope, heard), asked, headers)
        except CallerLeft:
            return
        except Exception as error:  # noqa: BLE001 - the border: whatever happened gets an answer
            metrics.failed(error)
            if not isinstance(error, errors.ProxyError | Problem):
                _log.error("%s: unforeseen", name, exc_info=error)
            status, told, more = refusal(error)
            body = json_bytes(told)
            headers += (*more, *heard.parting(), (b"cache-control", b"no-store"))
        headers.append((b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send(
            {"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body}
        )

    async def _answer(
        self, request: Request, asked: Mapping[bytes, bytes], headers: Headers
    ) -> tuple[int, bytes]:
        refuse_loops(asked)
        if "/" + "/".join(filter(None, request.scope["path"].split("/"))) != PATH:
            raise Problem(HTTPStatus.NOT_FOUND, "Not found")
        if request.method != "POST":
            allowed = (b"allow", b"POST")
            raise Problem(HTTPStatus.METHOD_NOT_ALLOWED, "Method not allowed", [allowed])
        key = bearer(request.headers.get("authorization"))
        if not self._keys.admit(key):
            raise Problem(HTTPStatus.UNAUTHORIZED, "Invalid API key")
        self._take_turn(key or "", headers)
        async with self._room.taken(request, self._most):
            return await self._transformed(request)

    async def _transformed(self, request: Request) -> tuple[int, bytes]:
        body = await request_body.read(request, self._most)
        if len(body) > _IN_A_THREAD:
            wish = await asyncio.to_thread(self._reader.read, body)
        else:
            wish = self._reader.read(body)
        if wish.webhook:
            await self._desk.accept(Order(wish.job, wish.webhook))
            return 201, json_bytes(ACCEPTED)
        del body  # it may be large, and rendering may take a while
        answer = await unless_left(request.receive, self._service.get_or_render(wish.job))
        return 200, await asyncio.to_thread(_success, answer, b"")

    def _take_turn(self, key: str, headers: Headers) -> None:
        if self._rates is None:
            return
        turn = self._rates.take(key)
        headers += (
            (b"x-ratelimit-limit", str(self._rates.per_minute).encode()),
            (b"x-ratelimit-remaining", str(turn.remaining).encode()),
            (b"x-ratelimit-reset", str(turn.reset).encode()),
        )
        if not turn.granted:
            wait = (b"retry-after", str(turn.wait).encode())
            raise Problem(HTTPStatus.TOO_MANY_REQUESTS, "Rate limited", [wait])


def delivery(outcome: ImageResult | errors.ProxyError | None) -> bytes:
    """The body that a webhook is sent."""
    if isinstance(outcome, ImageResult):
        return _success(outcome, b'"api":"image_transformation",')
    message = "Internal server error" if outcome is None else str(outcome)
    return json_bytes(
        {"success": False, "api": "image_transformation", "error": {"message": message}}
    )


def _success(answer: ImageResult, extra: bytes) -> bytes:
    """Written by hand, since a general writer would copy the picture twice more."""
    media_type = FORMATS[answer.rendition.format].media_type.encode()
    return b"".join(
        (
            b'{"success":true,' + extra + b'"data":{"buffer":"',
            b64encode(answer.rendition.body),
            b'","mime_type":"' + media_type + b'"}}',
        )
    )


def refusal(error: Exception) -> tuple[int, dict[str, Any], Headers]:
    """Status, body and further headers; ``error`` in the body is a string, as clients read it."""
    if isinstance(error, Problem):
        code = _CODES.get(error.status, error.status.phrase.upper().replace(" ", "_"))
        return error.status, {"success": False, "error": str(error), "code": code}, error.headers
    status, code = next(_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS)
    sentence = str(error) if isinstance(error, errors.ProxyError) else "Internal server error"
    body: dict[str, Any] = {"success": False, "error": sentence, "code": code}
    match error:
        case errors.InvalidOperation(operation=int(at), field=field):
            body["details"] = {"operation_index": at, "field": field}
        case BadWish(field=str(field)) if field:
            body["details"] = {"field": field}
    return status, body, retry_after(error)
