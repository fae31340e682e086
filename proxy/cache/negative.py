"""Negative cache of images: originals that cannot be rendered are not rendered again for a while.

Errors of sources, such as a 404, are cached elsewhere: `NegativeHit` in `proxy.cache.freshness`,
stored by `proxy.cache.origin_cache`.

An error depends on the bytes and on the plan, so it holds under every URL, and ends when the bytes
change. Only errors that these two determine are cached: never a timeout, a crash or a full queue.
Each process has its own.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from msgspec import Struct

from proxy.errors import ImageError, ProxyError
from proxy.originals import digest
from proxy.telemetry.request_context import record_cache

MAX_ENTRIES = 4096


class _NegativeEntry(Struct, frozen=True):
    """An error without its traceback, which would keep an image in memory."""

    error_type: type[ProxyError]
    message: str
    detail: str
    expires_at: float


class NegativeCache:
    """``ttl`` and ``clock`` are in seconds."""

    def __init__(self, ttl: float, clock: Callable[[], float]) -> None:
        self._ttl = ttl
        self._clock = clock
        self._entries: OrderedDict[str, _NegativeEntry] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    @contextmanager
    def guard(
        self,
        task: str,
        originals: Iterable[str],
        errors: tuple[type[ProxyError], ...] = (ImageError,),
    ) -> Iterator[None]:
        """Run the block, and cache an error of these classes that it raises.

        ``task`` names what is done with the originals of these digests. Raises the cached error if
        there is one; then the block does not run.
        """
        key = digest(task.encode(), *(original.encode() for original in originals))
        entry = self._entries.get(key)
        if entry is not None and self._clock() < entry.expires_at:
            record_cache("negative", "hit")
            raise entry.error_type(entry.message, detail=entry.detail)
        try:
            yield
        except errors as error:
            expires_at = self._clock() + self._ttl
            self._entries[key] = _NegativeEntry(type(error), str(error), error.detail, expires_at)
            self._entries.move_to_end(key)
            if len(self._entries) > MAX_ENTRIES:
                self._entries.popitem(last=False)
            raise
