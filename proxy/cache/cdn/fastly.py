"""Fastly: purge by Surrogate-Key.

https://www.fastly.com/documentation/reference/api/purging/
"""

from collections.abc import Sequence
from typing import Self

import msgspec

from proxy.cache.cdn.config import CdnConfig
from proxy.cache.cdn.protocol import call_api, chunked
from proxy.sources.net.http_client import HttpClient

_MAX_KEYS = 256  # in one call


class FastlyCdn:
    """One service."""

    name = "fastly"

    def __init__(
        self, client: HttpClient, *, service_id: str, api_token: str, api_url: str
    ) -> None:
        """``api_url`` has no slash at its end."""
        self._client = client
        self._url = f"{api_url}/service/{service_id}/purge"
        self._headers = [
            ("fastly-key", api_token),
            ("content-type", "application/json"),
            ("accept", "application/json"),
        ]

    @classmethod
    def from_config(cls, config: CdnConfig, client: HttpClient) -> list[Self]:
        if not config.fastly_service_id:
            return []
        cdn = cls(
            client,
            service_id=config.fastly_service_id,
            api_token=config.fastly_api_token,
            api_url=config.fastly_api_url,
        )
        return [cdn]

    async def purge(self, tags: Sequence[str], *, soft: bool) -> None:
        headers = [*self._headers, *([("fastly-soft-purge", "1")] if soft else [])]
        for some in chunked(tags, _MAX_KEYS):
            body = msgspec.json.encode({"surrogate_keys": some})
            await call_api(self._client, "POST", self._url, headers, body)
