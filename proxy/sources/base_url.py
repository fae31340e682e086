"""Originals below an http(s) URL that the operator named: `NAME:path`."""

from urllib.parse import quote

from msgspec.structs import replace

from proxy.errors import BadSource
from proxy.originals import Address, Original, Reference, Unchanged, Validators
from proxy.sources import Source
from proxy.sources.net.url import Url
from proxy.sources.paths import segments


class BaseSource:
    def __init__(self, base: Url, http: Source) -> None:
        """``base`` ends with a slash and has no query; ``http`` fetches what lies below."""
        self._base = base
        self._http = http

    async def fetch(
        self, reference: Reference, validators: Validators | None = None
    ) -> Original | Unchanged:
        if not isinstance(reference, Address) or reference.headers:
            raise BadSource("a source that the operator named takes no body and no headers")
        path = "/".join(quote(part, safe="") for part in segments(reference.text.partition(":")[2]))
        return await self._http.fetch(replace(reference, text=self._base.text + path), validators)
