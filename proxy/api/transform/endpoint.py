"""Iteration Layer's Image Transformation API: a file and up to 30 operations in, base64 out."""

import asyncio
from base64 import b64encode
from collections.abc import Mapping
from http import HTTPStatus
from io import BytesIO
from typing import Any, Protocol

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from proxy import errors
from proxy.api.context import ApiContext
from proxy.api.http.api_keys import ApiConfig, ApiKeys, bearer_token
from proxy.api.http.disconnect import cancel_on_disconnect
from proxy.api.http.headers import combine_headers
from proxy.api.http.problems import error_headers, html_safe_json
from proxy.api.http.rate_limit import RateLimiter
from proxy.api.http.routing import api_router, collapse_slashes
from proxy.api.http.source_policy import ApiSourcePolicy
from proxy.api.http.uploads import UploadRoom, Uploads
from proxy.api.transform.config import TransformConfig
from proxy.api.transform.queue import DurableQueue
from proxy.api.transform.request import (
    InvalidColor,
    InvalidTransformRequest,
    TransformRequest,
    TransformRequestParser,
)
from proxy.api.transform.webhook_signature import WebhookSigner
from proxy.api.transform.webhooks import Renderer, WebhookDeliveries, WebhookDelivery
from proxy.cache.config import CacheConfig
from proxy.formats import FORMATS
from proxy.image_request import ImageRequest
from proxy.limits import Limits
from proxy.originals import Upload
from proxy.service import ImageResult
from proxy.sources.config import SourceConfig
from proxy.sources.net.http_client import HttpClient
from proxy.sources.net.via import has_own_via

PATH = "/image-transformation/v1/transform"

# A smaller body is parsed faster than a thread starts to.
_THREAD_BYTES = 262_144

_CHUNK_BYTES = 393_216
"""A multiple of 3; it is encoded in about a millisecond."""

_MAX_LARGE_BODIES = 2
"""Bodies above that size which are parsed at the same time, in memory."""

ACCEPTED = {
    "success": True,
    "async": True,
    "message": "Request accepted. Results will be delivered to the provided webhook URL.",
}

_ERRORS: Mapping[type[Exception], tuple[int, str]] = {
    Exception: (500, "INTERNAL_ERROR"),
    errors.RequestError: (400, "VALIDATION_ERROR"),
    InvalidColor: (422, "VALIDATION_ERROR"),
    errors.SourceError: (422, "FILE_UNREACHABLE"),
    errors.SourceTooLarge: (413, "FILE_TOO_LARGE"),
    errors.ImageError: (422, "PROCESSING_ERROR"),
    errors.NotAnImage: (400, "UNSUPPORTED_FORMAT"),
    errors.CapacityError: (503, "SERVER_BUSY"),
    errors.DeadlineExceeded: (504, "TIMEOUT"),
    errors.RenderFailed: (500, "INTERNAL_ERROR"),
}
_HTTP_ERRORS = {
    HTTPStatus.UNAUTHORIZED: ("INVALID_API_KEY", "Invalid API key"),
    HTTPStatus.NOT_FOUND: ("NOT_FOUND", "Not found"),
    HTTPStatus.METHOD_NOT_ALLOWED: ("METHOD_NOT_ALLOWED", "Method not allowed"),
    HTTPStatus.TOO_MANY_REQUESTS: ("RATE_LIMITED", "Rate limited"),
    HTTPStatus.LOOP_DETECTED: (
        "LOOP_DETECTED",
        "Request loop: the Via header names this server",
    ),
}


class WebhookQueue(Protocol):
    async def enqueue(self, delivery: WebhookDelivery) -> None:
        """Store a delivery that will be rendered and sent later.

        Raises SourceForbidden where its URL is not allowed, Overloaded where there is no room.
        """
        ...


def create_api(context: ApiContext) -> ASGIApp:
    config = context.section(TransformConfig)
    webhooks = _webhook_deliveries(context, config)
    context.open_with_app(webhooks)
    parser = TransformRequestParser(
        context.operations,
        max_file_bytes=context.section(Limits).max_source_bytes,
        source_policy=ApiSourcePolicy(
            context.section(ApiConfig).allow_aliases, allow_http=config.allow_http
        ),
        webhook_allow_http=config.webhook_allow_http,
    )
    return transform_api(
        context.service,
        webhooks,
        context.keys,
        parser,
        config,
        uploads=context.uploads,
    )


def _webhook_deliveries(context: ApiContext, config: TransformConfig) -> WebhookDeliveries:
    """Receivers are requested like sources, but have a policy of their own."""
    return WebhookDeliveries(
        context.service,
        HttpClient(config.webhook_policy(), context.section(SourceConfig)),
        DurableQueue(
            context.section(CacheConfig).directory() / "webhooks",
            max_items=config.webhook_max_queued_deliveries,
            max_bytes=config.webhook_max_queued_bytes,
        ),
        context.operations,
        webhook_body,
        background=context.background,
        max_attempts=config.webhook_max_attempts,
        backoff_seconds=config.webhook_backoff_seconds,
        attempt_timeout_seconds=config.webhook_timeout_seconds,
        signer=WebhookSigner(config.webhook_secrets),
    )


def transform_api(
    service: Renderer,
    webhooks: WebhookQueue,
    keys: ApiKeys,
    parser: TransformRequestParser,
    config: TransformConfig,
    *,
    uploads: Uploads,
) -> ASGIApp:
    endpoint = _TransformEndpoint(service, webhooks, keys, parser, config, uploads=uploads)
    return api_router(
        [Route(PATH, endpoint.transform, methods=["POST"])],
        _error_response,
        normalize_path=collapse_slashes,
    )


class _TransformEndpoint:
    def __init__(
        self,
        service: Renderer,
        webhooks: WebhookQueue,
        keys: ApiKeys,
        parser: TransformRequestParser,
        config: TransformConfig,
        *,
        uploads: Uploads,
    ) -> None:
        self._service = service
        self._webhooks = webhooks
        self._keys = keys
        self._parser = parser
        self._uploads = uploads
        self._max_body_bytes = config.max_body_bytes
        self._large_bodies = asyncio.Semaphore(_MAX_LARGE_BODIES)
        per_minute = config.rate_limit_per_minute_per_worker
        self._rate_limiter = RateLimiter(per_minute) if per_minute > 0 else None

    async def transform(self, request: Request) -> Response:
        if has_own_via(combine_headers(request.headers.raw)):
            raise HTTPException(HTTPStatus.LOOP_DETECTED)
        key = bearer_token(request.headers.get("authorization"))
        if not self._keys.verify(key):
            raise HTTPException(HTTPStatus.UNAUTHORIZED)
        self._check_rate(request, key or "")
        client = self._keys.client(key, request.client.host if request.client else "")
        async with self._uploads.accept(request, client, self._max_body_bytes) as room:
            image_request, webhook_url = await self._parse(request, room)
            if webhook_url:
                await self._enqueue(WebhookDelivery(image_request, webhook_url, client))
                return _respond(request, html_safe_json(ACCEPTED), HTTPStatus.CREATED)
            result = await cancel_on_disconnect(
                request.receive, self._service.get_or_render(image_request)
            )
            return _respond(request, await asyncio.to_thread(_success_body, result))

    async def _enqueue(self, delivery: WebhookDelivery) -> None:
        try:
            await self._webhooks.enqueue(delivery)
        except errors.SourceForbidden as error:
            message = f"webhook_url is not allowed ({error})"
            raise InvalidTransformRequest(message, "webhook_url") from error

    async def _parse(self, request: Request, room: UploadRoom) -> tuple[ImageRequest, str]:
        """Read and parse the body; return the image request and the URL of the webhook, or ""."""
        body = await room.receive(request, self._max_body_bytes)
        if body.size <= _THREAD_BYTES:
            return await _store_file(self._parser.parse(body.view()), room)
        async with self._large_bodies:
            parsed = await asyncio.to_thread(self._parser.parse, body.view())
            return await _store_file(parsed, room)

    def _check_rate(self, request: Request, key: str) -> None:
        """Count the request, for the headers of its response. Raises HTTPException (429)."""
        if self._rate_limiter is None:
            return
        result = self._rate_limiter.acquire(key)
        request.state.rate_limit_headers = {
            "x-ratelimit-limit": str(self._rate_limiter.per_minute),
            "x-ratelimit-remaining": str(result.remaining),
            "x-ratelimit-reset": str(result.reset_at),
        }
        if not result.allowed:
            headers = {"retry-after": str(result.retry_after)}
            raise HTTPException(HTTPStatus.TOO_MANY_REQUESTS, headers=headers)


async def _store_file(parsed: TransformRequest, room: UploadRoom) -> tuple[ImageRequest, str]:
    file = parsed.file
    source = Upload(await room.store(file)) if isinstance(file, bytes) else file
    return ImageRequest(source, parsed.plan), parsed.webhook_url


def webhook_body(outcome: ImageResult | errors.ProxyError | None) -> bytes:
    """Make the body that a webhook receives; None stands for an unexpected error."""
    if isinstance(outcome, ImageResult):
        return _success_body(outcome, b'"api":"image_transformation",')
    message = "Internal server error" if outcome is None else str(outcome)
    return html_safe_json(
        {"success": False, "api": "image_transformation", "error": {"message": message}}
    )


def _success_body(result: ImageResult, extra_members: bytes = b"") -> bytes:
    """Encode without a JSON encoder, which would copy the image twice more.

    Call it in a thread. base64 is encoded in chunks, since no other thread runs meanwhile.
    """
    media_type = FORMATS[result.rendition.format].media_type.encode()
    body, image = BytesIO(), memoryview(result.rendition.body)
    body.write(b'{"success":true,' + extra_members + b'"data":{"buffer":"')
    for start in range(0, len(image), _CHUNK_BYTES):
        body.write(b64encode(image[start : start + _CHUNK_BYTES]))
    body.write(b'","mime_type":"' + media_type + b'"}}')
    return body.getvalue()


def _respond(
    request: Request, body: bytes, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Build a response with the headers that every response of this API has."""
    common = {
        "content-type": "application/json",
        "x-content-type-options": "nosniff",
        "x-request-id": request.state.request_id,
        **getattr(request.state, "rate_limit_headers", {}),
    }
    return Response(body, status, common | dict(headers or {}))


def _error_response(request: Request, error: Exception) -> Response:
    """Respond with the published shape, in which ``error`` is a string."""
    status, body = _error_body(error)
    headers = error_headers(error) | {"cache-control": "no-store"}
    return _respond(request, html_safe_json(body), status, headers)


def _error_body(error: Exception) -> tuple[int, dict[str, Any]]:
    if isinstance(error, HTTPException):
        code, message = _HTTP_ERRORS[HTTPStatus(error.status_code)]
        return error.status_code, {"success": False, "error": message, "code": code}
    status, code = next(_ERRORS[kind] for kind in type(error).__mro__ if kind in _ERRORS)
    message = str(error) if isinstance(error, errors.ProxyError) else "Internal server error"
    body: dict[str, Any] = {"success": False, "error": message, "code": code}
    match error:
        case errors.InvalidOperation(operation=int(index), field=field):
            body["details"] = {"operation_index": index, "field": field}
        case InvalidTransformRequest(field=str(field)) if field:
            body["details"] = {"field": field}
    return status, body
