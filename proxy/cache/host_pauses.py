"""Cache the pauses that servers ask for, so that all workers of a machine keep to them."""

import time
from collections.abc import Callable

from proxy.cache import entries
from proxy.cache.freshness import CachedError, OriginRecord
from proxy.cache.origin_cache import restore_error
from proxy.cache.store import Cache
from proxy.errors import SourceUnavailable
from proxy.originals import OriginMetadata, digest


class CachedHostPauses:
    """``clock`` is in Unix seconds. A purge of everything ends all pauses."""

    def __init__(self, store: Cache, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._clock = clock

    async def get(self, server: str) -> SourceUnavailable | None:
        record = entries.decode_record(await self._store.get_local("record", _key(server)))
        now = self._clock()
        if record is None or record.error is None or not _is_current(record, now):
            return None
        error = restore_error(record.error, now)
        return error if isinstance(error, SourceUnavailable) else None

    async def put(self, server: str, error: SourceUnavailable) -> None:
        now = self._clock()
        record = OriginRecord(
            "",
            OriginMetadata(),
            validated_at=now,
            ttl=error.retry_after,
            error=CachedError(type(error).__name__, str(error), now + error.retry_after),
        )
        await self._store.put("record", _key(server), entries.encode_record(record, ()))


def _is_current(record: OriginRecord, now: float) -> bool:
    return record.validated_at - record.ttl <= now < record.validated_at + record.ttl


def _key(server: str) -> str:
    return digest(b"pause", server.encode())
