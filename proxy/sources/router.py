"""Picks the source that an original comes from."""

from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path

from proxy.errors import InvalidSource
from proxy.limits import Limits
from proxy.originals import NotModified, Original, OriginalRef, Validators
from proxy.sources import Source
from proxy.sources.base_url import BaseSource
from proxy.sources.config import SourceSettings
from proxy.sources.download import Arrivals
from proxy.sources.file import FileSource
from proxy.sources.http import HttpSource
from proxy.sources.net import object_store
from proxy.sources.net.dns import Lookup
from proxy.sources.net.http_client import Dialer
from proxy.sources.net.url import read
from proxy.sources.object_storage import ObjectSource
from proxy.sources.upload import InlineSource


class Sources:
    """All sources behind one, by the scheme of a reference."""

    def __init__(self, by_scheme: Mapping[str, Source]) -> None:
        self._by_scheme = by_scheme
        self._closing = AsyncExitStack()

    @classmethod
    def configured(
        cls, settings: SourceSettings, limits: Limits, lookup: Lookup | None = None
    ) -> "Sources":
        """What the settings say; `close` gives back what was opened for it.

        Raises ValueError for a bucket that cannot be opened.
        """
        dialer = Dialer(settings.reach(), settings, lookup)
        arrivals = Arrivals(limits.source_bytes, max(settings.held_bytes, limits.source_bytes))
        http = HttpSource(
            dialer,
            limits,
            retries=settings.retries,
            retry_seconds=settings.retry_seconds,
            arrivals=arrivals,
        )
        by_scheme: dict[str, Source] = {
            "http": http,
            "https": http,
            "upload": InlineSource(limits),
        }
        sources = cls(by_scheme)
        sources._closing.push_async_callback(dialer.close)
        for name, place in settings.named.items():
            scheme, _, rest = place.partition("://")
            if scheme == "file":
                folder = FileSource(Path(rest), limits, arrivals=arrivals)
                sources._closing.push_async_callback(folder.close)
                by_scheme[name] = folder
            elif scheme in object_store.SCHEMES:
                by_scheme[name] = ObjectSource(
                    place, limits, connect_seconds=settings.connect_seconds, arrivals=arrivals
                )
            else:
                by_scheme[name] = BaseSource(read(place), http)
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
