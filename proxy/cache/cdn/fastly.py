"""Fastly: purge by Surrogate-Key over its API."""

from collections.abc import Sequence

import msgspec

from proxy.cache.cdn import batches, tell
from proxy.sources.net.http_client import HttpClient

_AT_ONCE = 256  # keys in one call


class Fastly:
    """One service."""

    name = "fastly"

    def __init__(self, dialer: HttpClient, *, service: str, token: str, url: str) -> None:
        """``url`` is the API's, without a slash at its end."""
        self._dialer = dialer
        self._url = f"{url}/service/{service}/purge"
        self._headers = [
            ("fastly-key", token),
            ("content-type", "application/json"),
            ("accept", "application/json"),
        ]

    async def purge(self, tags: Sequence[str], *, soft: bool) -> None:
        headers = [*self._headers, *([("fastly-soft-purge", "1")] if soft else [])]
        for batch in batches(tags, _AT_ONCE):
            body = msgspec.json.encode({"surrogate_keys": batch})
            await tell(self._dialer, "POST", self._url, headers, body)
