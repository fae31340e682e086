"""How long prepared originals are fresh whose source does not say it.

They are treated as if the source had sent ``max-age=86400, s-maxage=31536000``: caches keep them
for long, because a purge reaches them, and browsers for as long as other originals.
"""

from msgspec.structs import replace

from proxy.cache.freshness import FreshnessConfig
from proxy.originals import NotModified, Original, OriginalRef, Validators
from proxy.sources.cache_headers import override_cache_control
from proxy.sources.source import Source


def lifetime_header(seconds: float, config: FreshnessConfig) -> str:
    """The ``Cache-Control`` that stands in for that of the source."""
    return (
        f"max-age={int(min(config.ttl_default, seconds))}, s-maxage={int(seconds)}, "
        f"stale-while-revalidate={int(config.stale_while_revalidate)}, "
        f"stale-if-error={int(config.stale_if_error)}"
    )


class LastingSource:
    """Gives this ``Cache-Control`` to originals that come with none."""

    def __init__(self, source: Source, cache_control: str) -> None:
        self._source = source
        self._cache_control = cache_control

    async def fetch(
        self, ref: OriginalRef, validators: Validators | None = None
    ) -> Original | NotModified:
        answer = await self._source.fetch(ref, validators)
        metadata = answer.metadata
        if not isinstance(answer, Original) or not metadata.is_silent:
            return answer  # without a limit in a 304, what was known before holds
        return replace(answer, metadata=override_cache_control(metadata, self._cache_control))
