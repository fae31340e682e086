"""Purge everywhere: our cache first, then the CDNs in front of it.

In this order: a CDN that was purged requests the image immediately, and must not get an old one.
"""

import asyncio
from collections.abc import Mapping, Sequence

from msgspec import Struct

from proxy.cache.cache_tags import ALL_TAG, cdn_tag
from proxy.cache.cdn.protocol import CDN, CdnError
from proxy.cache.store import KINDS, All, ByTag, ByTagPrefix, Cache, Kind, Selector

_MAX_CDN_TAGS = 10_000


class PurgeResult(Struct, frozen=True):
    """How many entries of each kind were purged, and the error of each CDN ("": none)."""

    entries: Mapping[Kind, int]
    cdn_errors: Mapping[str, str]

    @property
    def complete(self) -> bool:
        return not any(self.cdn_errors.values())


class PurgeService:
    def __init__(
        self,
        cache: Cache,
        cdns: Sequence[CDN] = (),
        *,
        max_attempts: int = 3,
        backoff_seconds: float = 0.5,
    ) -> None:
        """``backoff_seconds``: until a CDN is called again; doubled each time."""
        self._cache = cache
        self._cdns = cdns
        self._max_attempts = max_attempts
        self._backoff_seconds = backoff_seconds

    async def purge(self, selectors: Sequence[Selector], *, soft: bool = False) -> PurgeResult:
        """Purge what any of the selectors selects.

        Raises StoreUnavailable if our cache could not be purged; then no CDN was called.
        """
        # Before the purge: afterwards a prefix would find nothing.
        tags = await self._find_cdn_tags(selectors)
        counts: dict[Kind, int] = dict.fromkeys(KINDS, 0)
        for selector in selectors:
            for kind, count in (await self._cache.purge(selector, soft=soft)).items():
                counts[kind] += count
        errors = await asyncio.gather(
            *(self._purge_cdn(cdn, tags, soft=soft) for cdn in self._cdns)
        )
        names = (cdn.name for cdn in self._cdns)
        return PurgeResult(counts, dict(zip(names, errors, strict=True)))

    async def _find_cdn_tags(self, selectors: Sequence[Selector]) -> list[str] | None:
        """Return the tags to purge at CDNs; None if they are too many or cannot be listed."""
        if All() in selectors:
            return [ALL_TAG]
        tags: list[str] = []
        for selector in selectors:
            match selector:
                case ByTag(tag):
                    tags.append(tag)
                case ByTagPrefix(prefix) if self._cdns:
                    # A CDN knows no prefixes, so it gets the tag of each source that we know.
                    found = await self._cache.tags_with_prefix(prefix, _MAX_CDN_TAGS)
                    if found is None:
                        return None
                    tags += found
        unique = [tag for tag in dict.fromkeys(map(cdn_tag, tags)) if tag]
        return unique if len(unique) < _MAX_CDN_TAGS else None

    async def _purge_cdn(self, cdn: CDN, tags: Sequence[str] | None, *, soft: bool) -> str:
        """Return the error of the last attempt, empty after a success."""
        if tags is None:
            return (
                f"not purged: {_MAX_CDN_TAGS} tags or more, or a store that cannot list its tags;"
                " purge everything there"
            )
        error_message = ""
        for attempt in range(self._max_attempts):
            if attempt:
                await asyncio.sleep(self._backoff_seconds * 2 ** (attempt - 1))
            try:
                await cdn.purge(tags, soft=soft)
            except CdnError as error:
                error_message = str(error)
            else:
                return ""
        return error_message
