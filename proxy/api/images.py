"""The images face: a link in, a picture out, and everything a CDN wants to know of it."""

import logging
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Protocol

from msgspec import Struct
from starlette.types import Receive, Scope, Send

from proxy.api import info
from proxy.api.http.accept import offer
from proxy.api.http.conditional import byte_range, not_modified
from proxy.api.http.content_disposition import inline
from proxy.api.http.disconnect import CallerLeft, unless_left
from proxy.api.http.loop_detection import refuse_loops
from proxy.api.http.problems import Headers, Problem, problem
from proxy.api.http.request_id import request_id
from proxy.api.response_cache import Key, Ready, Recent, head
from proxy.cache.cache_tags import tags_of
from proxy.cache.freshness import Record
from proxy.errors import ProxyError
from proxy.formats import FORMATS
from proxy.image_request import ImageRequest
from proxy.imaging.info_model import Description
from proxy.links import Dialect
from proxy.originals import OriginalRef, digest
from proxy.render.protocol import Lane
from proxy.service import ImageResult
from proxy.telemetry import metrics

_log = logging.getLogger(__name__)

GUARDS: Headers = [
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; sandbox"),
]


class ImageRenderer(Protocol):
    async def get_or_render(self, job: ImageRequest, lane: Lane = "live") -> ImageResult:
        """The rendition. Raises a ProxyError where there can be none."""
        ...

    async def info(self, source: OriginalRef) -> tuple[Description, Record]:
        """All there is to know of an original. Raises a ProxyError where nothing can be."""
        ...


class StaleConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """How long an old answer may still be served by a CDN, in seconds."""

    while_revalidate: int = 86_400
    """While a new one is fetched behind it."""

    if_error: int = 86_400
    """While there is no new one to be had."""


class Images:
    """An ASGI app that is no more than a function, since a hit costs little else."""

    def __init__(
        self,
        dialect: Dialect,
        service: ImageRenderer,
        *,
        grace: StaleConfig | None = None,
        recent: Recent | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._dialect = dialect
        self._service = service
        self._grace = grace or StaleConfig()
        self._recent = recent or Recent(0)
        self._now = now

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = dict(scope["headers"])
        name = request_id(asked)
        metrics.named(name)
        try:
            status, headers, body = await self._answer(scope, asked, receive)
        except CallerLeft:
            return
        except Exception as error:  # noqa: BLE001 - the border: whatever happened gets an answer
            metrics.failed(error)
            if not isinstance(error, ProxyError | Problem):
                _log.error("%s: unforeseen", name, exc_info=error)
            status, headers, body = problem(error, name)
            headers.append((b"content-length", str(len(body)).encode()))
        headers += (*GUARDS, (b"x-request-id", name.encode()))
        await send({"type": "http.response.start", "status": int(status), "headers": headers})
        await send(
            {"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body}
        )

    async def _answer(
        self, scope: Scope, asked: Mapping[bytes, bytes], receive: Receive
    ) -> tuple[int, Headers, bytes]:
        if scope["method"] not in ("GET", "HEAD"):
            raise Problem(
                HTTPStatus.METHOD_NOT_ALLOWED,
                "links are read with GET and HEAD",
                [(b"allow", b"GET, HEAD")],
            )
        refuse_loops(asked)
        path, query = scope["raw_path"], scope["query_string"]
        target = path + b"?" + query if query else path
        key = (target, offer(asked.get(b"accept", b"")))
        ready = self._recent.get(key)
        if ready is not None and ready.still() and b"range" not in asked:
            return self._again(asked, ready)
        job = ready.job if ready is not None else self._read(key)
        if job.info is not None:
            description, record = await unless_left(receive, self._service.info(job.source))
            return self._described(asked, job, description, record)
        answer = await unless_left(receive, self._service.get_or_render(job, _lane(asked)))
        self._note(key, job, answer)
        status, headers, body = self._told(scope["method"], asked, job, answer)
        headers.append(_age(answer.age))
        return status, headers, body

    def _read(self, key: Key) -> ImageRequest:
        target, formats = key
        with metrics.stage("parse"):
            job = self._dialect.parse(target)
        if job.response_options.debug:
            metrics.timed()
        if job.info is None and job.plan.negotiates:
            return ImageRequest(job.source, job.plan.offered(formats), job.response_options)
        return job

    def _note(self, key: Key, job: ImageRequest, answer: ImageResult) -> None:
        """Have the answer at hand for the next who asks, if it may be given again."""
        if answer.is_current is None or job.response_options.expires is not None or job.response_options.debug:
            self._recent.forget(key)
            return
        _, whole, _ = self._told("GET", {}, job, answer)
        _, unchanged, _ = self._told("GET", {b"if-none-match": b"*"}, job, answer)
        asked_at = self._now() - answer.age
        ready = Ready(job, answer, answer.is_current, head(whole), head(unchanged), asked_at)
        self._recent.put(key, ready)

    def _again(self, asked: Mapping[bytes, bytes], ready: Ready) -> tuple[int, Headers, bytes]:
        metrics.wanted(ready.job.source)
        metrics.tell("rendition", "hit")
        status, told, body = ready.given(asked)
        return status, [*told.fields, (b"age", ready.age(self._now()))], body

    def _told(
        self, method: str, asked: Mapping[bytes, bytes], job: ImageRequest, answer: ImageResult
    ) -> tuple[int, Headers, bytes]:
        """The answer as its asker wants it: whole, in part, or the word that nothing changed."""
        headers: Headers = [
            (b"cache-control", self._cache_control(job, answer.ttl, answer.age)),
            (b"etag", answer.etag.encode()),
            (b"x-cache", answer.state.encode()),
        ]
        tags = tags_of(answer.labels)
        headers += (
            (b"cache-tag", ",".join(tags).encode()),
            (b"surrogate-key", " ".join(tags).encode()),
        )
        if answer.last_modified:
            headers.append((b"last-modified", answer.last_modified.encode("latin-1")))
        if job.plan.negotiates:
            headers.append((b"vary", b"Accept"))
        if not_modified(asked, answer.etag, answer.last_modified):
            return 304, headers, b""

        rendition = answer.rendition
        headers += (
            (b"content-type", FORMATS[rendition.format].media_type.encode()),
            (b"accept-ranges", b"bytes"),
        )
        if rendition.decided:
            headers.append((b"x-focus", rendition.decided.encode()))
        if job.response_options.filename:
            headers.append(
                (b"content-disposition", inline(job.response_options.filename, rendition.format))
            )
        status, body = 200, rendition.body
        if method == "GET" and b"range" in asked:
            part = byte_range(asked, len(body), answer.etag, answer.last_modified)
            if part is not None:
                first, last = part
                headers.append(
                    (b"content-range", f"bytes {first}-{last}/{len(body)}".encode()),
                )
                status, body = 206, body[first : last + 1]
        headers.append((b"content-length", str(len(body)).encode()))
        return status, headers, body

    def _described(
        self,
        asked: Mapping[bytes, bytes],
        job: ImageRequest,
        description: Description,
        record: Record,
    ) -> tuple[int, Headers, bytes]:
        """The answer to a question about an original."""
        body = info.body(description, job.info.aspect_ratios if job.info else ())
        etag = f'"{digest(body)[:32]}"'
        age = max(0.0, self._now() - record.asked_at)
        headers: Headers = [
            (b"cache-control", self._cache_control(job, record.lifetime, age)),
            _age(age),
            (b"etag", etag.encode()),
        ]
        if not_modified(asked, etag, ""):
            return 304, headers, b""
        headers += (
            (b"content-type", info.MEDIA_TYPE),
            (b"content-length", str(len(body)).encode()),
        )
        return 200, headers, body

    def _cache_control(self, job: ImageRequest, lifetime: float, age: float) -> bytes:
        """Lifetimes counted, as ``Age`` says, from when the source was asked; none outlives a link.

        An expired link must not be served from anybody's cache, neither fresh nor stale. What a
        debug link tells is true once.
        """
        if job.response_options.debug:
            return b"no-store"
        fresh, stale, failing = (
            int(min(lifetime, _LONGEST)),
            self._grace.while_revalidate,
            self._grace.if_error,
        )
        if job.response_options.expires is not None:
            left = max(0, int(age) + int(job.response_options.expires - self._now()))
            fresh = min(fresh, left)
            stale, failing = min(stale, left - fresh), min(failing, left - fresh)
        return (
            f"public, max-age={fresh}, stale-while-revalidate={stale}, stale-if-error={failing}"
        ).encode()


def _age(seconds: float) -> tuple[bytes, bytes]:
    return b"age", str(max(0, int(seconds))).encode()


def _lane(asked: Mapping[bytes, bytes]) -> Lane:
    """Who says that nothing is urgent (RFC 9218) is served after all others."""
    words = asked.get(b"priority", b"").replace(b" ", b"").split(b",")
    return "background" if b"u=7" in words else "live"


_LONGEST = 31_536_000.0  # a year: what RFC 9111 readers take for ever
