"""Originals at http(s) URLs.

One timeout covers everything: redirects, retries, the last byte. Redirects are followed here, and
the SSRF policy checks each hop again. The result is the complete original or an error.
"""

import asyncio
import copy
import random
from collections.abc import Callable
from datetime import UTC, datetime
from http import HTTPStatus

from msgspec.structs import replace

from proxy.errors import InvalidSource, SourceDenied, SourceFailed, SourceForbidden, SourceNotFound
from proxy.limits import Limits
from proxy.originals import (
    NotModified,
    Original,
    OriginalRef,
    OriginMetadata,
    SourceRef,
    Validators,
)
from proxy.sources.cache_headers import override_cache_control, parse_cache_headers, parse_date
from proxy.sources.content_encoding import BodyDecoder, open_decoder
from proxy.sources.download import Download, DownloadBudget
from proxy.sources.host_pauses import HostPauses, make_unavailable, retry_after_seconds
from proxy.sources.net.http_client import HttpClient, HttpResponse
from proxy.sources.net.request_headers import forwardable_headers
from proxy.sources.net.url import Url, parse_url, resolve_redirect
from proxy.sources.options import RequestSettings
from proxy.sources.source import fetch_timeout
from proxy.telemetry.request_context import trace_headers

Headers = tuple[tuple[str, str], ...]

_REDIRECTS = frozenset((301, 302, 303, 307, 308))
_RETRIED = frozenset((502, 503, 504))
_MAY_BE_UNAVAILABLE = frozenset((429, 503))
_MAX_LENGTH_DIGITS = 18
_NOT_ABOUT_THE_ORIGINAL = frozenset((408, 421, 425, 429))  # the only 4xx that are no denial


class HttpSource:
    def __init__(
        self,
        client: HttpClient,
        limits: Limits,
        *,
        max_retries: int = 2,
        retry_backoff_seconds: float = 0.1,
        downloads: DownloadBudget | None = None,
        pauses: HostPauses | None = None,
        max_retry_after_seconds: float = 600.0,
        find_settings: Callable[[Url], RequestSettings] = lambda _: RequestSettings(),
    ) -> None:
        """Retry transient failures up to ``max_retries`` times.

        ``pauses`` keeps those of servers with a ``Retry-After``, of which at most
        ``max_retry_after_seconds`` count. ``find_settings`` returns the operator's for a URL.

        The first retry comes after at most ``retry_backoff_seconds``; each further one waits twice
        as long.
        """
        self._client = client
        self._limits = limits
        self._max_retries = max_retries
        self._retry_backoff_seconds = retry_backoff_seconds
        self._pauses = pauses
        self.find_settings = find_settings
        self._max_retry_after_seconds = max_retry_after_seconds
        self._downloads = downloads or DownloadBudget(limits.max_source_bytes)

    def with_settings(self, settings: RequestSettings) -> "HttpSource":
        """Return a source with these settings for all URLs, which shares everything else."""
        other = copy.copy(self)
        other.find_settings = lambda _: settings
        return other

    async def fetch(
        self, ref: OriginalRef, validators: Validators | None = None
    ) -> Original | NotModified:
        if not isinstance(ref, SourceRef):
            raise InvalidSource("an uploaded original has no URL")
        url = parse_url(ref.text)
        settings = self.find_settings(url)
        # Those of the operator go first, and are for this server alone.
        headers = tuple((dict(forwardable_headers(ref.headers)) | dict(settings.headers)).items())
        timeout_seconds = self._limits.fetch_timeout_seconds
        await self._downloads.wait_for_room(url.host)
        async with fetch_timeout(min(ref.timeout_seconds or timeout_seconds, timeout_seconds)):
            answer = await self._fetch_with_retries(url, headers, validators)
        if not settings.cache_control:
            return answer
        caching = override_cache_control(answer.metadata, settings.cache_control)
        return replace(answer, metadata=caching)

    async def _fetch_with_retries(
        self, url: Url, headers: Headers, validators: Validators | None
    ) -> Original | NotModified:
        for attempt in range(self._max_retries):
            try:
                return await self._follow_redirects(url, headers, validators)
            except SourceFailed as error:
                if not error.transient:
                    raise
            # With jitter: requests that failed together should not be repeated together.
            backoff_seconds = self._retry_backoff_seconds * 2**attempt
            await asyncio.sleep(backoff_seconds * random.uniform(0.5, 1))  # noqa: S311
        return await self._follow_redirects(url, headers, validators)

    async def _follow_redirects(
        self, url: Url, headers: Headers, validators: Validators | None
    ) -> Original | NotModified:
        visited = {url}
        while True:
            sent = (*headers, *trace_headers(), *_conditions(validators))
            await self._check_pause(url)
            async with self._client.request("GET", url, sent) as response:
                await self._obey_retry_after(url, response)
                if response.status not in _REDIRECTS:
                    return await self._receive(response, url.host, validators)
                location = response.location()
            previous, url = url, _next_hop(url, location)
            if url in visited:
                raise SourceFailed("redirect loop at the source")
            if len(visited) > self._limits.max_redirects:
                raise SourceFailed(
                    f"redirect limit exceeded: more than {self._limits.max_redirects} redirects at "
                    "the source (FRAMEKEEP_LIMITS_MAX_REDIRECTS)"
                )
            visited.add(url)
            if url.origin != previous.origin:
                headers = ()  # meant for the first server alone, also if a redirect leads back

    async def _check_pause(self, url: Url) -> None:
        """Raise the error of a server that asked for a pause, instead of a request."""
        error = await self._pauses.get(url.server) if self._pauses is not None else None
        if error is not None:
            raise error

    async def _obey_retry_after(self, url: Url, response: HttpResponse) -> None:
        """Raise SourceUnavailable where the server says when to ask again."""
        if response.status not in _MAY_BE_UNAVAILABLE:
            return
        sent_at = parse_date(response.header("Date")) or datetime.now(UTC)
        seconds = retry_after_seconds(
            response.header("Retry-After"), sent_at, self._max_retry_after_seconds
        )
        if not seconds:
            return
        error = make_unavailable(response.status, seconds, url.server)
        if self._pauses is not None:
            await self._pauses.put(url.server, error)
        raise error

    async def _receive(
        self, response: HttpResponse, host: str, validators: Validators | None
    ) -> Original | NotModified:
        if response.status == HTTPStatus.NOT_MODIFIED and _conditions(validators):
            return NotModified(_metadata(response, validators))
        _require_success(response)
        if response.header("Transfer-Encoding").strip().lower() not in ("", "chunked"):
            raise SourceFailed("source sent an encoded body, which the request ruled out")
        decoder = open_decoder(response.header("Content-Encoding"))
        with self._downloads.start(host) as download:
            length = response.header("Content-Length")
            is_number = length.isdigit() and len(length) <= _MAX_LENGTH_DIGITS
            announced = int(length) if is_number else 0
            if decoder is None:
                await download.expect(announced)
                async for chunk in response.chunks():
                    await download.add(chunk)
            else:
                self._downloads.check_size(announced)
                await self._decode(response, decoder, download)
            return download.finish(_metadata(response, None))

    async def _decode(
        self, response: HttpResponse, decoder: BodyDecoder, download: Download
    ) -> None:
        """Write the decoded body. Both it and what arrives may have the size of one original."""
        received = 0
        async for chunk in response.chunks():
            received += len(chunk)
            self._downloads.check_size(received)
            for piece in decoder.decode(chunk):
                await download.add(piece)
                await asyncio.sleep(0)  # a few bytes may become many pieces
        for piece in decoder.finish():
            await download.add(piece)


def _conditions(validators: Validators | None) -> Headers:
    if validators is None:
        return ()
    conditions = (
        ("If-None-Match", validators.etag),
        ("If-Modified-Since", validators.last_modified),
    )
    return tuple((name, value) for name, value in conditions if value)


def _next_hop(url: Url, location: str) -> Url:
    try:
        target = resolve_redirect(url, location)
    except InvalidSource as error:
        raise SourceFailed(
            "source redirects to an invalid http(s) URL", detail=str(error)
        ) from error
    if url.scheme == "https" and target.scheme == "http":
        # Who wrote https:// wants a transfer that nobody can read or change.
        raise SourceForbidden("source redirects from https:// to http://")
    return target


def _require_success(response: HttpResponse) -> None:
    match response.status:
        case 200 | 203:
            return
        case 404 | 410 as status:
            raise SourceNotFound(f"source has no such original (status {status})")
        case 401 | 403 as status:
            raise SourceDenied(f"source denied access (status {status})")
        case status if 400 <= status < 500 and status not in _NOT_ABOUT_THE_ORIGINAL:
            raise SourceDenied(f"source responded with status {status}")
        case status:
            transient = status in _RETRIED and not response.header("Retry-After")
            raise SourceFailed(f"source responded with status {status}", transient=transient)


def _metadata(response: HttpResponse, known: Validators | None) -> OriginMetadata:
    """The metadata in the headers; a 304 need not repeat the validators that it confirms."""
    metadata = parse_cache_headers(response.header, datetime.now(UTC))
    if known is not None and metadata.validators == Validators():
        return replace(metadata, validators=known)
    return metadata
