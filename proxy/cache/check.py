"""Look at the cache folder again and again, whether or not requests need it."""

from proxy.cache.store import HasCircuitBreakers, Kind, SupportsStats
from proxy.runtime.components import OK, Components, ComponentStatus

CHECK_SECONDS = 5.0


class CacheCheck:
    """The component ``cache``, as it was found last.

    The check also writes which entries were used, so that eviction knows it soon even where nothing
    is stored.
    """

    def __init__(self, cache: SupportsStats) -> None:
        self._cache = cache
        self._status = OK

    @property
    def components(self) -> Components:
        return {"cache": self._look}

    def _look(self) -> ComponentStatus:
        breakers = self._cache.breakers if isinstance(self._cache, HasCircuitBreakers) else ()
        hanging = [
            f"{breaker.store} not used: {error}" for breaker in breakers if (error := breaker.error)
        ]
        return ComponentStatus("degraded", "; ".join(hanging)) if hanging else self._status

    async def check(self) -> None:
        errors = {
            kind: stats.error for kind, stats in (await self._cache.stats()).items() if stats.error
        }
        self._status = OK if not errors else ComponentStatus("degraded", _describe(errors))


def _describe(errors: dict[Kind, str]) -> str:
    first = next(iter(errors.values()))
    kinds = ", ".join(errors)
    return f"cache is off, every request is rendered again: {first} (kinds: {kinds})"
