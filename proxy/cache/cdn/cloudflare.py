"""Cloudflare: purge by Cache-Tag over its API."""

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from proxy.cache.cdn import CdnFailed, batches, tell
from proxy.sources.net.http_client import HttpClient

_AT_ONCE = 30  # tags that every plan takes in one call


class _Said(Struct):
    success: bool = False


class Cloudflare:
    """One zone. Cloudflare has no soft purge: both kinds let go."""

    name = "cloudflare"

    def __init__(self, dialer: HttpClient, *, zone: str, token: str, url: str) -> None:
        """``url`` is the API's, without a slash at its end."""
        self._dialer = dialer
        self._url = f"{url}/zones/{zone}/purge_cache"
        self._headers = [("authorization", f"Bearer {token}"), ("content-type", "application/json")]

    async def purge(self, tags: Sequence[str], *, soft: bool) -> None:
        for batch in batches(tags, _AT_ONCE):
            body = msgspec.json.encode({"tags": batch})
            said = await tell(self._dialer, "POST", self._url, self._headers, body)
            try:
                done = msgspec.json.decode(said, type=_Said).success
            except msgspec.DecodeError:
                done = False
            if not done:
                raise CdnFailed("it did not say that it was done")
