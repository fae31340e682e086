"""A cache of your own in front of this server, such as nginx or Varnish, purged over HTTP."""

import re
from collections.abc import Sequence
from typing import Literal, Self

from proxy.cache.cdn.config import CdnConfig
from proxy.cache.cdn.protocol import call_api, chunked
from proxy.sources.net.http_client import HttpClient

_MAX_TAGS = 20  # in one header


class HttpPurgeCdn:
    """One server.

    PURGE sends tags in the header ``xkey``, separated by spaces, as Varnish's module of that name
    reads them; ``xkey-soft`` is a soft purge. BAN sends a regular expression in the header
    ``x-ban-tags``, which the server matches with the ``Surrogate-Key`` of its responses.
    """

    def __init__(self, client: HttpClient, url: str, method: Literal["PURGE", "BAN"]) -> None:
        self.name = f"front {url}"
        self._client = client
        self._url = url
        self._method = method

    @classmethod
    def from_config(cls, config: CdnConfig, client: HttpClient) -> list[Self]:
        return [cls(client, url, config.purge_method) for url in config.purge_urls]

    async def purge(self, tags: Sequence[str], *, soft: bool) -> None:
        for some in chunked(tags, _MAX_TAGS):
            if self._method == "BAN":
                # Varnish ends an expression at a space, so there is none.
                tags_of_response = "|".join(map(re.escape, some))
                header = "x-ban-tags", rf"(^|\s)({tags_of_response})(\s|$)"
            else:
                header = ("xkey-soft" if soft else "xkey"), " ".join(some)
            await call_api(self._client, self._method, self._url, [header], b"")
