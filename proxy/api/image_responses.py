"""Responses with renditions and descriptions of images: their headers, conditions and ranges."""

from collections.abc import Callable, Mapping, Sequence

from proxy.api import info, thumbor_meta
from proxy.api.http.cache_control import StaleConfig, cache_control
from proxy.api.http.conditional import byte_range, not_modified
from proxy.api.http.content_disposition import attachment, inline
from proxy.api.http.problems import Headers
from proxy.cache.cache_tags import TagHeader, tag_headers
from proxy.cache.freshness import OriginRecord
from proxy.formats import FORMATS
from proxy.image_request import ImageRequest, InfoRequest
from proxy.imaging.results import ImageInfo
from proxy.originals import CacheDirectives, SourceRef, digest
from proxy.service import ImageResult


class ImageResponses:
    """``now`` is in Unix seconds."""

    def __init__(
        self,
        stale: StaleConfig,
        tag_headers: Sequence[TagHeader],
        now: Callable[[], float],
    ) -> None:
        self._stale = stale
        self._tag_headers = tag_headers
        self._now = now

    def rendition(
        self,
        method: str,
        headers: Mapping[bytes, bytes],
        request: ImageRequest,
        result: ImageResult,
        stale: StaleConfig | None = None,
    ) -> tuple[int, Headers, bytes]:
        """Return a 200, a 206 for a range, or a 304; without ``Age``."""
        control = self._cache_control(request, result.directives, result.ttl, result.age, stale)
        response_headers: Headers = [
            (b"cache-control", control),
            (b"etag", result.etag.encode()),
            (b"x-cache", result.state.encode()),
        ]
        if result.optimization:
            response_headers.append((b"x-optimization", result.optimization.encode()))
        response_headers += tag_headers(self._tag_headers, result.tags)
        if result.last_modified:
            response_headers.append((b"last-modified", result.last_modified.encode("latin-1")))
        response_headers += _selection_headers(request)
        if not_modified(headers, result.etag, result.last_modified):
            return 304, response_headers, b""

        rendition = result.rendition
        response_headers += (
            (b"content-type", FORMATS[rendition.format].media_type.encode()),
            (b"accept-ranges", b"bytes"),
        )
        if rendition.crop_reason:
            response_headers.append((b"x-focus", rendition.crop_reason.encode()))
        options = request.response_options
        if options.filename or options.is_attachment:
            disposition = attachment if options.is_attachment else inline
            value = disposition(options.filename, rendition.format)
            response_headers.append((b"content-disposition", value))
        status, body = 200, rendition.body
        if method == "GET" and b"range" in headers:
            requested = byte_range(headers, len(body), result.etag, result.last_modified)
            if requested is not None:
                first, last = requested
                content_range = f"bytes {first}-{last}/{len(body)}".encode()
                response_headers.append((b"content-range", content_range))
                status, body = 206, body[first : last + 1]
        response_headers.append((b"content-length", str(len(body)).encode()))
        return status, response_headers, body

    def description(
        self,
        headers: Mapping[bytes, bytes],
        request: ImageRequest,
        image_info: ImageInfo,
        record: OriginRecord,
    ) -> tuple[int, Headers, bytes]:
        asked = request.info or InfoRequest()
        if asked.plan is not None and isinstance(request.source, SourceRef):
            body = thumbor_meta.body(image_info, request.source.text, asked.plan)
        else:
            body = info.body(image_info, asked.aspect_ratios)
        etag = f'"{digest(body)[:32]}"'
        age = max(0.0, self._now() - record.validated_at)
        control = self._cache_control(request, record.metadata.directives, record.ttl, age)
        response_headers: Headers = [
            (b"cache-control", control),
            age_header(age),
            (b"etag", etag.encode()),
        ]
        if not_modified(headers, etag, ""):
            return 304, response_headers, b""
        response_headers += (
            (b"content-type", info.MEDIA_TYPE),
            (b"content-length", str(len(body)).encode()),
        )
        return 200, response_headers, body

    def _cache_control(
        self,
        request: ImageRequest,
        directives: CacheDirectives,
        ttl: float,
        age: float,
        stale: StaleConfig | None = None,
    ) -> bytes:
        """Return the header's value. Timings in a debug response are true only once."""
        options = request.response_options
        if options.debug:
            return b"no-store"
        expires_in = None
        if options.expires is not None:
            expires_in = max(0, int(age) + int(options.expires - self._now()))
        if options.max_age is not None:
            ttl = min(ttl, age + options.max_age)
        return cache_control(directives, ttl, stale or self._stale, expires_in)


def _selection_headers(request: ImageRequest) -> Headers:
    """Say which request headers chose the response, and what they chose."""
    varying = ["Accept"] if request.plan.negotiates_format else []
    headers: Headers = []
    rule = request.response_options.hint_rule
    if rule is not None:
        varying += rule.header_names
        headers.append((b"x-choice", request.response_options.hint_choice.encode()))
        if requested := rule.requested_headers:
            headers.append((b"accept-ch", ", ".join(requested).encode()))
    if varying:
        headers.append((b"vary", ", ".join(varying).encode()))
    return headers


def age_header(seconds: float) -> tuple[bytes, bytes]:
    return b"age", str(max(0, int(seconds))).encode()
