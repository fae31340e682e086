"""Caches in front of us that can be told of a purge. A file here is a kind of them."""

from collections.abc import Sequence
from typing import Protocol

from proxy.errors import ProxyError
from proxy.sources.net.http_client import HttpClient
from proxy.sources.net.url import parse_url


class CdnFailed(Exception):
    """The CDN could not be told, or said no; the sentence is fit for an operator."""


class Cdn(Protocol):
    name: str

    async def purge(self, tags: Sequence[str], *, soft: bool) -> None:
        """Let go of every answer that carries one of these tags, or mark it as stale.

        Raises CdnFailed.
        """
        ...


async def tell(
    dialer: HttpClient, method: str, url: str, headers: Sequence[tuple[str, str]], body: bytes
) -> bytes:
    """What the CDN answers, 64 kB of it at most. Raises CdnFailed unless it is content."""
    try:
        async with dialer.request(method, parse_url(url), headers, body) as answer:
            said = b""
            async for chunk in answer.chunks():
                said += chunk
                if len(said) > 65_536:
                    break
    except ProxyError as error:
        raise CdnFailed(str(error)) from error
    if not 200 <= answer.status < 300:
        raise CdnFailed(f"it answered with status {answer.status}")
    return said


def batches(tags: Sequence[str], most: int) -> list[Sequence[str]]:
    """As many tags at a time as may be told at once."""
    return [tags[start : start + most] for start in range(0, len(tags), most)]
