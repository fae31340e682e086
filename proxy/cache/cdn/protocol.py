"""What a CDN is to us: a cache in front of this server that can be purged by tag."""

from collections.abc import Sequence
from typing import Protocol

from proxy.errors import ProxyError
from proxy.sources.net.http_client import HttpClient
from proxy.sources.net.url import parse_url

_MAX_RESPONSE_BYTES = 65_536


class CdnError(Exception):
    """The CDN could not be reached, or rejected the purge; the message is for operators."""


class CDN(Protocol):
    name: str
    """How purge results call it."""

    async def purge(self, tags: Sequence[str], *, soft: bool) -> None:
        """Remove all responses with one of these tags, or mark them as stale.

        Raises CdnError.
        """
        ...


async def call_api(
    client: HttpClient, method: str, url: str, headers: Sequence[tuple[str, str]], body: bytes
) -> bytes:
    """Return the body of a successful response, about 64 kB of it. Raises CdnError."""
    try:
        async with client.request(method, parse_url(url), headers, body) as response:
            content = b""
            async for chunk in response.chunks():
                content += chunk
                if len(content) > _MAX_RESPONSE_BYTES:
                    break
    except ProxyError as error:
        raise CdnError(str(error)) from error
    if not 200 <= response.status < 300:
        raise CdnError(f"CDN responded with status {response.status}")
    return content


def chunked(tags: Sequence[str], size: int) -> list[Sequence[str]]:
    return [tags[start : start + size] for start in range(0, len(tags), size)]
