"""Originals at http(s) URLs.

One deadline lies over everything: redirects, further tries, the last byte. Redirects are followed
here, each hop anew through the dialer's policy. What arrives is the whole original or an error,
never a part.
"""

import asyncio
import random
from datetime import UTC, datetime
from http import HTTPStatus

from msgspec.structs import replace

from proxy.errors import (
    InvalidSource,
    SourceDenied,
    SourceFailed,
    SourceForbidden,
    SourceNotFound,
    SourceTimedOut,
)
from proxy.limits import Limits
from proxy.originals import (
    NotModified,
    Original,
    OriginalRef,
    OriginMetadata,
    SourceRef,
    Validators,
)
from proxy.sources.cache_headers import parse_cache_headers
from proxy.sources.download import DownloadBudget
from proxy.sources.net.http_client import HttpResponse, HttpClient
from proxy.sources.net.request_headers import forwardable_headers
from proxy.sources.net.url import Url, resolve_redirect, parse_url

_REDIRECTS = frozenset((301, 302, 303, 307, 308))
_BUSY = frozenset((502, 503, 504))
_LATER = frozenset((408, 421, 425, 429))  # these do not speak of the original


class HttpSource:
    def __init__(
        self,
        dialer: HttpClient,
        limits: Limits,
        *,
        retries: int = 2,
        retry_seconds: float = 0.1,
        arrivals: DownloadBudget | None = None,
    ) -> None:
        """Make up to ``retries`` further tries for what may be over in a moment.

        The first comes after ``retry_seconds`` at most, each one after it waits twice as long.
        """
        self._dialer = dialer
        self._limits = limits
        self._retries = retries
        self._retry_seconds = retry_seconds
        self._arrivals = arrivals or DownloadBudget(limits.max_source_bytes)

    async def fetch(
        self, reference: OriginalRef, validators: Validators | None = None
    ) -> Original | NotModified:
        if not isinstance(reference, SourceRef):
            raise InvalidSource("an upload cannot be asked for at a URL")
        url = parse_url(reference.text)
        along = forwardable_headers(reference.headers)
        seconds = min(reference.timeout_seconds or self._limits.fetch_timeout_seconds, self._limits.fetch_timeout_seconds)
        try:
            async with asyncio.timeout(seconds):
                return await self._persist(url, along, validators)
        except TimeoutError as error:
            raise SourceTimedOut(f"the source took longer than {seconds:g} seconds") from error

    async def _persist(
        self, url: Url, along: tuple[tuple[str, str], ...], validators: Validators | None
    ) -> Original | NotModified:
        for tried in range(self._retries):
            try:
                return await self._follow(url, along, validators)
            except SourceFailed as error:
                if not error.transient:
                    raise
            # Many who fail together should not come back together.
            await asyncio.sleep(self._retry_seconds * 2**tried * random.uniform(0.5, 1))  # noqa: S311
        return await self._follow(url, along, validators)

    async def _follow(
        self, url: Url, along: tuple[tuple[str, str], ...], validators: Validators | None
    ) -> Original | NotModified:
        seen = {url}
        while True:
            async with self._dialer.request("GET", url, (*along, *_conditions(validators))) as answer:
                if answer.status not in _REDIRECTS:
                    return await self._take(answer, validators)
                location = answer.location()
            before, url = url, _next(url, location)
            if url in seen:
                raise SourceFailed("the source redirects in a circle")
            if len(seen) > self._limits.max_redirects:
                raise SourceFailed(
                    f"the source redirects more than {self._limits.max_redirects} times"
                )
            seen.add(url)
            if url.origin != before.origin:
                along = ()  # meant for the first server alone, also when a redirect leads back

    async def _take(self, answer: HttpResponse, validators: Validators | None) -> Original | NotModified:
        if answer.status == HTTPStatus.NOT_MODIFIED and _conditions(validators):
            return NotModified(_facts(answer, validators))
        _require_success(answer)
        for name, plain in (("Content-Encoding", "identity"), ("Transfer-Encoding", "chunked")):
            if answer.header(name).strip().lower() not in ("", plain):
                raise SourceFailed("the source encoded its answer, though asked not to")
        with self._arrivals.start() as arrival:
            length = answer.header("Content-Length")
            arrival.check_size(int(length) if length.isdigit() else 0)
            async for chunk in answer.chunks():
                arrival.write(chunk)
            return arrival.finish(_facts(answer, None))


def _conditions(validators: Validators | None) -> tuple[tuple[str, str], ...]:
    if validators is None:
        return ()
    conditions = (
        ("If-None-Match", validators.etag),
        ("If-Modified-Since", validators.last_modified),
    )
    return tuple((name, value) for name, value in conditions if value)


def _next(url: Url, location: str) -> Url:
    try:
        found = resolve_redirect(url, location)
    except InvalidSource as error:
        raise SourceFailed(
            "the source redirects to what is no http(s) URL we would ask", detail=str(error)
        ) from error
    if url.scheme == "https" and found.scheme == "http":
        # Whoever wrote https:// wanted the bytes to come unread and unchanged.
        raise SourceForbidden("the source redirects from https:// to http://")
    return found


def _require_success(answer: HttpResponse) -> None:
    match answer.status:
        case 200 | 203:
            return
        case 404 | 410:
            raise SourceNotFound(f"the source says that nothing is there ({answer.status})")
        case 401 | 403:
            raise SourceDenied(f"the source does not let us have the original ({answer.status})")
        case status if 400 <= status < 500 and status not in _LATER:
            raise SourceDenied(f"the source answered with status {status}")
        case status:
            busy = status in _BUSY and not answer.header("Retry-After")
            raise SourceFailed(f"the source answered with status {status}", transient=busy)


def _facts(answer: HttpResponse, known: Validators | None) -> OriginMetadata:
    """What the answer says; a 304 need not repeat the validators it confirms."""
    said = parse_cache_headers(answer.header, datetime.now(UTC))
    if known is not None and said.validators == Validators():
        return replace(said, validators=known)
    return said
