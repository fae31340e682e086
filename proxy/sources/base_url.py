"""Originals below an http(s) URL that the operator named by an alias."""

from typing import Self
from urllib.parse import quote

from msgspec.structs import replace

from proxy.errors import InvalidSource
from proxy.originals import NotModified, Original, OriginalRef, Validators
from proxy.sources.net.url import Url, parse_url
from proxy.sources.paths import require_alias, split_path
from proxy.sources.source import Source, SourceContext


class BaseUrlSource:
    def __init__(self, base: Url, http: Source) -> None:
        """``base`` ends with a slash and has no query; ``http`` fetches the URLs below it."""
        self._base = base
        self._http = http

    @classmethod
    def from_context(cls, context: SourceContext) -> Self:
        try:
            base = parse_url(context.location)
        except InvalidSource as error:
            raise ValueError(str(error)) from error
        if "?" in base.target or not base.target.endswith("/"):
            raise ValueError("a base URL ends with a slash and has no query")
        return cls(base, context.http)

    async def fetch(
        self, ref: OriginalRef, validators: Validators | None = None
    ) -> Original | NotModified:
        alias = require_alias(ref)
        path = "/".join(quote(segment, safe="") for segment in split_path(alias.path))
        return await self._http.fetch(replace(alias, text=self._base.text + path), validators)
