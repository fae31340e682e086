"""The images endpoint: an image URL in, an image with its caching headers out.

The one API that is written by hand instead of with Starlette's routes and responses, which would
cost a hit more than everything else together.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from typing import Protocol

from msgspec.structs import replace
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from proxy.api.http.cache_control import StaleConfig
from proxy.api.http.cors import CorsPolicy
from proxy.api.http.disconnect import ClientDisconnected, cancel_on_disconnect
from proxy.api.http.error_page import error_body
from proxy.api.http.headers import combine_headers
from proxy.api.http.problems import Headers, status_of, without_descriptors
from proxy.api.http.request_id import request_id
from proxy.api.image_responses import ImageResponses, age_header
from proxy.api.response_cache import (
    CachedResponse,
    ResponseCache,
    ResponseHead,
    ResponseKey,
    response_head,
)
from proxy.cache.cache_tags import DEFAULT_TAG_HEADERS, TagHeader
from proxy.cache.freshness import OriginRecord
from proxy.cache.origin_cache import url_tags
from proxy.errors import ImageError, InvalidLink, ProxyError, SourceError
from proxy.geometry import Size
from proxy.image_request import ImageRequest
from proxy.imaging.results import ImageInfo
from proxy.links.dialect import Dialect, parse_link
from proxy.links.fallback import Fallbacks
from proxy.originals import OriginalRef, SourceRef
from proxy.render.scheduling import Priority
from proxy.runtime.caller import Caller, Deadline, serving
from proxy.server.request_target import EMPTY_QUERY
from proxy.service import ImageResult
from proxy.sources.net.via import has_own_via
from proxy.telemetry.request_context import (
    enable_timing,
    record_cache,
    set_dialect,
    set_error,
    set_request_id,
    set_source,
    stage,
)

_log = logging.getLogger(__name__)

SECURITY_HEADERS: Headers = [
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; sandbox"),
    # Images are made to be shown on other sites, and without this, pages that are isolated (COEP)
    # could not show them. It gives nobody more: no response depends on cookies.
    (b"cross-origin-resource-policy", b"cross-origin"),
]


class ImageRenderer(Protocol):
    """Raises a ProxyError where there can be no result."""

    async def get_or_render(
        self, request: ImageRequest, priority: Priority = "interactive"
    ) -> ImageResult: ...

    async def info(
        self, source: OriginalRef, aspect_ratios: tuple[Size, ...] = ()
    ) -> tuple[ImageInfo, OriginRecord]: ...


class ImagesEndpoint:
    def __init__(
        self,
        dialect: Dialect,
        service: ImageRenderer,
        *,
        deadline_seconds: float = 30.0,
        stale: StaleConfig | None = None,
        cache: ResponseCache | None = None,
        fallbacks: Fallbacks | None = None,
        cors: CorsPolicy | None = None,
        path_prefix: str = "",
        tag_headers: Sequence[TagHeader] = DEFAULT_TAG_HEADERS,
        now: Callable[[], float] = time.time,
    ) -> None:
        """``path_prefix`` is that of the server; `CorsMiddleware` with ``cors`` is around this."""
        self._dialect = dialect
        self._service = service
        self._deadline_seconds = deadline_seconds
        self._cache = cache or ResponseCache(0)
        self._fallbacks = fallbacks
        self._cors = cors or CorsPolicy()
        self._path_prefix = path_prefix
        self._responses = ImageResponses(stale or StaleConfig(), tag_headers, now)
        self._now = now

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = combine_headers(scope["headers"])
        id = request_id(headers)
        set_request_id(id)
        try:
            status, response_headers, body = await self._respond(scope, headers, receive)
        except ClientDisconnected:
            return
        except Exception as error:  # noqa: BLE001 - whatever happened gets a response
            error = without_descriptors(error)
            set_error(error)
            if not isinstance(error, ProxyError | HTTPException):
                _log.error("unexpected error (request_id=%s)", id, exc_info=error)
            query = scope["query_string"]
            status, response_headers, body = error_body(
                error,
                id,
                headers,
                scope["raw_path"] + (b"?" + query if query else b""),
                path_prefix=self._path_prefix,
            )
            response_headers.append((b"content-length", str(len(body)).encode()))
        names = {name for name, _ in response_headers}
        response_headers += (header for header in SECURITY_HEADERS if header[0] not in names)
        response_headers.append((b"x-request-id", id.encode()))
        await send(
            {"type": "http.response.start", "status": int(status), "headers": response_headers}
        )
        await send(
            {"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body}
        )

    async def _respond(
        self, scope: Scope, headers: Mapping[bytes, bytes], receive: Receive
    ) -> tuple[int, Headers, bytes]:
        if scope["method"] not in ("GET", "HEAD"):
            raise HTTPException(
                HTTPStatus.METHOD_NOT_ALLOWED,
                "method not allowed: image URLs accept GET and HEAD",
                {"allow": "GET, HEAD"},
            )
        if has_own_via(headers):
            raise HTTPException(
                HTTPStatus.LOOP_DETECTED, "request loop: the Via header names this server"
            )
        path, query = scope["raw_path"], scope["query_string"]
        target = path + b"?" + query if query else path
        if EMPTY_QUERY in scope.get("extensions", ()):
            # It would be a second entry in the cache of a CDN, and one more for each such spelling.
            raise InvalidLink("link ends with an empty query; remove the ? at its end")
        key = self._cache.key_of(target, headers)
        cached = self._cache.get(key)
        if cached is not None and b"range" not in headers and cached.is_current():
            return self._cached_response(headers, cached)
        request = cached.request if cached is not None else self._parse(key, headers)
        set_dialect(request.response_options.dialect)
        with serving(self._caller(scope, request)), _naming_source(request):
            if request.info is not None:
                image_info, record = await cancel_on_disconnect(
                    receive, self._service.info(request.source, request.info.aspect_ratios)
                )
                return self._responses.description(headers, request, image_info, record)
            try:
                result = await cancel_on_disconnect(
                    receive, self._service.get_or_render(request, _priority(headers))
                )
            except (SourceError, ImageError) as error:
                return await self._fallback_response(scope, headers, receive, request, error)
        choice = request.response_options.hint_choice
        self._remember(self._cache.key_of(target, headers, choice), request, result)
        status, response_headers, body = self._responses.rendition(
            scope["method"], headers, request, result
        )
        response_headers.append(age_header(result.age))
        return status, response_headers, body

    def _parse(self, key: ResponseKey, headers: Mapping[bytes, bytes]) -> ImageRequest:
        target, formats, _ = key
        with stage("parse"):
            request = parse_link(self._dialect, target, headers)
        if request.response_options.debug:
            enable_timing()
        if request.info is None and request.plan.negotiates_format:
            plan = request.plan.with_accepted_formats(formats)
            return ImageRequest(request.source, plan, request.response_options)
        return request

    async def _fallback_response(
        self,
        scope: Scope,
        headers: Mapping[bytes, bytes],
        receive: Receive,
        request: ImageRequest,
        error: SourceError | ImageError,
    ) -> tuple[int, Headers, bytes]:
        """Answer with the fallback image of the request; without one, raise its error.

        The response is never stored as that of the request, and a purge of either source reaches
        it at CDNs.
        """
        fallback = self._fallbacks.request_for(request) if self._fallbacks is not None else None
        if self._fallbacks is None or fallback is None:
            raise error
        set_error(error)
        try:
            found = await cancel_on_disconnect(
                receive, self._service.get_or_render(fallback, _priority(headers))
            )
        except ProxyError as failure:
            _log.warning("fallback image failed: %s (source=%s)", failure, fallback.source)
            raise error from failure
        finally:
            set_source(request.source)
        failed_tags = (tag for source in request.sources for tag in url_tags(source))
        result = replace(
            found,
            age=0.0,
            ttl=float(self._fallbacks.ttl),
            # That of another image: an unchanged date would not mean an unchanged image.
            last_modified="",
            tags=tuple(dict.fromkeys((*failed_tags, *found.tags))),
        )
        status = self._fallbacks.status or int(status_of(type(error)))
        is_ok = status == HTTPStatus.OK  # only then conditions and ranges apply
        built_status, response_headers, body = self._responses.rendition(
            scope["method"], headers if is_ok else {}, request, result, StaleConfig(0, 0)
        )
        response_headers += (age_header(0), (b"x-fallback", error.problem_type.encode()))
        return built_status if is_ok else status, response_headers, body

    def _caller(self, scope: Scope, request: ImageRequest) -> Caller:
        """Behind one address (a CDN's) there are many clients, so the host of the source counts."""
        source = request.source
        host = source.host if isinstance(source, SourceRef) else ""
        address = scope["client"][0] if scope.get("client") else ""
        return Caller(f"link {address} {host}", Deadline(self._deadline_seconds))

    def _remember(self, key: ResponseKey, request: ImageRequest, result: ImageResult) -> None:
        """Cache the response if the same one may be sent again."""
        options = request.response_options
        if result.is_current is None or options.expires is not None or options.debug:
            self._cache.remove(key)
            return
        _, full, _ = self._responses.rendition("GET", {}, request, result)
        _, unchanged, _ = self._responses.rendition(
            "GET", {b"if-none-match": b"*"}, request, result
        )
        response = CachedResponse(
            request=request,
            result=result,
            is_current=result.is_current,
            full_head=self._complete_head(full),
            not_modified_head=self._complete_head(unchanged),
            validated_at=self._now() - result.age,
        )
        self._cache.put(key, response)

    def _complete_head(self, headers: Headers) -> ResponseHead:
        return response_head([*self._cors.add_headers(headers), *SECURITY_HEADERS])

    def _cached_response(
        self, headers: Mapping[bytes, bytes], cached: CachedResponse
    ) -> tuple[int, Headers, bytes]:
        set_dialect(cached.request.response_options.dialect)
        set_source(cached.request.source)
        record_cache("rendition", "hit")
        status, head, body = cached.response_for(headers)
        return status, [*head.headers, (b"age", cached.age(self._now()))], body


@contextmanager
def _naming_source(request: ImageRequest) -> Iterator[None]:
    """Name the source in errors that are about one, where the request has no other."""
    try:
        yield
    except (SourceError, ImageError) as error:
        if len(request.sources) == 1 and isinstance(request.source, SourceRef):
            error.source = request.source.text
        raise


def _priority(headers: Mapping[bytes, bytes]) -> Priority:
    """Return "background" for the lowest urgency of the ``Priority`` header (RFC 9218)."""
    parameters = headers.get(b"priority", b"").replace(b" ", b"").split(b",")
    return "background" if b"u=7" in parameters else "interactive"
