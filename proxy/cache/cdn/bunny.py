"""bunny.net: purge by tag.

https://docs.bunny.net/cdn/purge-cache
"""

from collections.abc import Sequence
from typing import Self

import msgspec

from proxy.cache.cdn.config import CdnConfig
from proxy.cache.cdn.protocol import call_api
from proxy.sources.net.http_client import HttpClient


class BunnyCdn:
    """One pull zone. bunny.net has no soft purge, so both kinds remove."""

    name = "bunny"

    def __init__(
        self, client: HttpClient, *, pull_zone_id: str, api_key: str, api_url: str
    ) -> None:
        """``api_url`` has no slash at its end."""
        self._client = client
        self._url = f"{api_url}/pullzone/{pull_zone_id}/purgeCache"
        self._headers = [("accesskey", api_key), ("content-type", "application/json")]

    @classmethod
    def from_config(cls, config: CdnConfig, client: HttpClient) -> list[Self]:
        if not config.bunny_pull_zone_id:
            return []
        cdn = cls(
            client,
            pull_zone_id=config.bunny_pull_zone_id,
            api_key=config.bunny_api_key,
            api_url=config.bunny_api_url,
        )
        return [cdn]

    async def purge(self, tags: Sequence[str], *, soft: bool) -> None:
        for tag in tags:
            # The header is compared as a whole, so the tag is looked for inside it. That may reach
            # an image more, whose tag contains this one, and never one less.
            body = msgspec.json.encode({"CacheTag": f"*{tag}*"})
            await call_api(self._client, "POST", self._url, self._headers, body)
