"""Cloudflare: purge by Cache-Tag.

https://developers.cloudflare.com/api/resources/cache/methods/purge/
"""

from collections.abc import Sequence
from typing import Self

import msgspec
from msgspec import Struct

from proxy.cache.cdn.config import CdnConfig
from proxy.cache.cdn.protocol import CdnError, call_api, chunked
from proxy.compat.msgspec import DECODE_ERRORS
from proxy.sources.net.http_client import HttpClient

_MAX_TAGS = 30  # in one call, on every plan


class _ApiResponse(Struct):
    success: bool = False


class CloudflareCdn:
    """One zone. Cloudflare has no soft purge, so both kinds remove."""

    name = "cloudflare"

    def __init__(self, client: HttpClient, *, zone_id: str, api_token: str, api_url: str) -> None:
        """``api_url`` has no slash at its end."""
        self._client = client
        self._url = f"{api_url}/zones/{zone_id}/purge_cache"
        self._headers = [
            ("authorization", f"Bearer {api_token}"),
            ("content-type", "application/json"),
        ]

    @classmethod
    def from_config(cls, config: CdnConfig, client: HttpClient) -> list[Self]:
        if not config.cloudflare_zone_id:
            return []
        cdn = cls(
            client,
            zone_id=config.cloudflare_zone_id,
            api_token=config.cloudflare_api_token,
            api_url=config.cloudflare_api_url,
        )
        return [cdn]

    async def purge(self, tags: Sequence[str], *, soft: bool) -> None:
        for some in chunked(tags, _MAX_TAGS):
            body = msgspec.json.encode({"tags": some})
            content = await call_api(self._client, "POST", self._url, self._headers, body)
            try:
                success = msgspec.json.decode(content, type=_ApiResponse).success
            except DECODE_ERRORS:
                success = False
            if not success:
                raise CdnError("CDN did not confirm the purge")
