"""Picks the source that an original comes from."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path

from proxy.errors import InvalidSource
from proxy.limits import Limits
from proxy.originals import NotModified, Original, OriginalRef, Validators
from proxy.sources import Source
from proxy.sources.base_url import BaseUrlSource
from proxy.sources.config import SourceConfig
from proxy.sources.download import DownloadBudget
from proxy.sources.file import FileSource
from proxy.sources.http import HttpSource
from proxy.sources.net import object_store
from proxy.sources.net.dns import Resolver
from proxy.sources.net.http_client import HttpClient
from proxy.sources.net.url import parse_url
from proxy.sources.object_storage import ObjectStorageSource
from proxy.sources.upload import UploadSource


class SourceRouter:
    """All sources behind one, by the scheme of a reference."""

    def __init__(self, by_scheme: Mapping[str, Source]) -> None:
        self._by_scheme = by_scheme
        self._closing = AsyncExitStack()

    @classmethod
    def from_config(
        cls, settings: SourceConfig, limits: Limits, lookup: Resolver | None = None
    ) -> "SourceRouter":
        """What the settings say; `close` gives back what was opened for it.

        Raises ValueError for a bucket that cannot be opened.
        """
        dialer = HttpClient(settings.ssrf_policy(), settings, lookup)
        arrivals = DownloadBudget(limits.max_source_bytes, max(settings.max_inflight_bytes, limits.max_source_bytes))
        http = HttpSource(
            dialer,
            limits,
            retries=settings.max_retries,
            retry_seconds=settings.retry_backoff_seconds,
            arrivals=arrivals,
        )
        by_scheme: dict[str, Source] = {
            "http": http,
            "https": http,
            "upload": UploadSource(limits),
        }
        sources = cls(by_scheme)
        sources._closing.push_async_callback(dialer.close)
        for name, place in settings.aliases.items():
            scheme, _, rest = place.partition("://")
            if scheme == "file":
                folder = FileSource(Path(rest), limits, arrivals=arrivals)
                sources._closing.push_async_callback(folder.close)
                by_scheme[name] = folder
            elif scheme in object_store.SCHEMES:
                by_scheme[name] = ObjectStorageSource(
                    place, limits, connect_seconds=settings.connect_timeout_seconds, arrivals=arrivals
                )
            else:
                by_scheme[name] = BaseUrlSource(parse_url(place), http)
        return sources

    async def fetch(
        self, reference: OriginalRef, validators: Validators | None = None
    ) -> Original | NotModified:
        source = self._by_scheme.get(reference.scheme)
        if source is None:
            names = ", ".join(sorted(self._by_scheme.keys() - {"upload"}))
            raise InvalidSource(f"{reference.scheme[:64]!r} is none of the sources here: {names}")
        return await source.fetch(reference, validators)

    async def close(self) -> None:
        await self._closing.aclose()
