"""Purge everywhere: our cache first, then the CDNs in front of it.

In this order: a CDN that was purged requests the image immediately, and must not get an old one.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence

from msgspec import Struct

from proxy.cache.cache_tags import ALL_TAG, cdn_tag
from proxy.cache.cdn.protocol import CDN, CdnError
from proxy.cache.store import (
    KINDS,
    All,
    ByTag,
    ByTagPrefix,
    Cache,
    Kind,
    Selector,
    SharesPurges,
)
from proxy.runtime.background import BackgroundTasks, TaskFailed

_MAX_CDN_TAGS = 10_000


class PurgeResult(Struct, frozen=True):
    """How many entries of each kind were purged, and the error of each CDN ("": none)."""

    entries: Mapping[Kind, int]
    cdn_errors: Mapping[str, str]

    @property
    def complete(self) -> bool:
        return not any(self.cdn_errors.values())


class PurgeService:
    """Where machines share purges, a CDN may fetch an old image from one that does not know yet.

    So CDNs are purged a second time when all machines must know. `close` does at once what is
    left of that.
    """

    def __init__(
        self,
        cache: Cache,
        cdns: Sequence[CDN] = (),
        *,
        background: BackgroundTasks | None = None,
        max_attempts: int = 3,
        backoff_seconds: float = 0.5,
    ) -> None:
        """``backoff_seconds``: until a CDN is called again; doubled each time."""
        self._cache = cache
        self._shares = cache if isinstance(cache, SharesPurges) else None
        self._cdns = cdns
        self._background = background or BackgroundTasks()
        self._repeats: set[asyncio.Task[None]] = set()
        self._closing = asyncio.Event()
        self._max_attempts = max_attempts
        self._backoff_seconds = backoff_seconds
        if self._shares is not None and cdns:
            self._shares.on_late_purges(self._prepare_late_purge)

    async def purge(self, selectors: Sequence[Selector], *, soft: bool = False) -> PurgeResult:
        """Purge what any of the selectors selects.

        Raises StoreUnavailable if our cache could not be purged; then no CDN was called.
        """
        # Before the purge: afterwards a prefix would find nothing.
        tags = await self._find_cdn_tags(selectors)
        counts: Counter[Kind] = Counter(dict.fromkeys(KINDS, 0))
        if self._shares is not None:
            counts.update(await self._shares.purge_all_of(selectors, soft=soft))
        else:
            for selector in selectors:
                counts.update(await self._cache.purge(selector, soft=soft))
        errors = await self._purge_cdns(tags, soft=soft)
        if self._shares is not None and self._cdns and tags is not None:
            self._repeat(tags, self._shares.purges_known_after_seconds, soft=soft)
        return PurgeResult(counts, errors)

    async def wait_repeated(self) -> None:
        """Wait until CDNs were purged for the second time."""
        await asyncio.gather(*self._repeats)

    async def close(self) -> None:
        """Purge CDNs at once where that was to be done later."""
        self._closing.set()
        await self.wait_repeated()

    def _repeat(self, tags: Sequence[str], seconds: float, *, soft: bool) -> None:
        async def purge_again() -> None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._closing.wait()
            await self._purge_cdns_or_fail(tags, soft=soft)

        task = self._background.run("cdn_purge", purge_again())
        self._repeats.add(task)
        task.add_done_callback(self._repeats.discard)

    async def _prepare_late_purge(
        self, selectors: Sequence[Selector], soft: bool
    ) -> Callable[[], Awaitable[None]]:
        """Find the tags of a purge that was learned late; return what purges CDNs by them."""
        tags = await self._find_cdn_tags(selectors)

        async def purge() -> None:
            self._repeat([ALL_TAG] if tags is None else tags, 0.0, soft=soft)

        return purge

    async def _purge_cdns(self, tags: Sequence[str] | None, *, soft: bool) -> dict[str, str]:
        """Return the error of each CDN."""
        errors = await asyncio.gather(
            *(self._purge_cdn(cdn, tags, soft=soft) for cdn in self._cdns)
        )
        names = (cdn.name for cdn in self._cdns)
        return dict(zip(names, errors, strict=True))

    async def _purge_cdns_or_fail(self, tags: Sequence[str], *, soft: bool) -> None:
        errors = await self._purge_cdns(tags, soft=soft)
        if failed := [f"{name}: {error}" for name, error in errors.items() if error]:
            raise TaskFailed(f"CDN not purged again: {'; '.join(failed)}")

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
