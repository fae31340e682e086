"""What a source is, and what it is made from. `SOURCES` in `proxy.sources` lists them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Protocol

from msgspec import Struct

from proxy.errors import SourceFailed, SourceTimedOut
from proxy.limits import Limits
from proxy.originals import NotModified, Original, OriginalRef, Validators
from proxy.sources.config import SourceConfig
from proxy.sources.download import DownloadBudget
from proxy.sources.net.http_client import HttpClient
from proxy.sources.options import SourceOptions


class Source(Protocol):
    """Fetches originals from one kind of place; independent of plans, caches and responses."""

    async def fetch(
        self, ref: OriginalRef, validators: Validators | None = None
    ) -> Original | NotModified:
        """Fetch the original, or find out that the one with these validators is still current.

        Raises a SourceError, or InvalidSource for a reference that this source cannot have.
        """
        ...


class SourceContext(Struct, frozen=True):
    """What the source of an alias is made from.

    ``location`` is what the operator set for the alias, such as ``file:///srv/media``, and
    ``options`` too. ``http`` fetches http(s) URLs with them. A source adds what it has to close to
    ``exit_stack``.
    """

    location: str
    config: SourceConfig
    limits: Limits
    downloads: DownloadBudget
    http_client: HttpClient
    http: Source
    exit_stack: AsyncExitStack
    options: SourceOptions = SourceOptions()


SourceFactory = Callable[[SourceContext], Source]
"""Makes the source of an alias. Raises ValueError with the reason for an invalid location."""


def require_body(answer: Original | NotModified) -> Original:
    """The answer to a request without validators. Raises SourceFailed if it has no body."""
    if isinstance(answer, NotModified):
        raise SourceFailed("source responded with not modified to an unconditional request")
    return answer


@asynccontextmanager
async def fetch_timeout(seconds: float) -> AsyncIterator[None]:
    """Limit the time of the block. Raises SourceTimedOut."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError as error:
        raise SourceTimedOut(f"source fetch timeout exceeded after {seconds:g} s") from error
