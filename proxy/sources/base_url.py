"""Originals below an http(s) URL that the operator named: `NAME:path`."""

from urllib.parse import quote

from msgspec.structs import replace

from proxy.errors import InvalidSource
from proxy.originals import NotModified, Original, OriginalRef, SourceRef, Validators
from proxy.sources import Source
from proxy.sources.net.url import Url
from proxy.sources.paths import split_path


class BaseUrlSource:
    def __init__(self, base: Url, http: Source) -> None:
        """``base`` ends with a slash and has no query; ``http`` fetches what lies below."""
        self._base = base
        self._http = http

    async def fetch(
        self, reference: OriginalRef, validators: Validators | None = None
    ) -> Original | NotModified:
        if not isinstance(reference, SourceRef) or reference.headers:
            raise InvalidSource("a source that the operator named takes no body and no headers")
        path = "/".join(quote(part, safe="") for part in split_path(reference.text.partition(":")[2]))
        return await self._http.fetch(replace(reference, text=self._base.text + path), validators)
