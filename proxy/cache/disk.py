"""The cache on disk: shared by the processes of a machine, and it comes and goes as the disk does.

Whatever is wrong (a full disk; a folder that is read-only, gone or not ours; a broken index), the
server runs without what it cannot have, says so once, and tries again by itself. An index that is
broken is moved out of the way with its files, and begun anew.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, TypeVar

from msgspec import Meta, Struct

from proxy.cache.disk_table import Shelf
from proxy.cache.io_threads import Busy, Threads
from proxy.cache.recovery import Ground, Place
from proxy.cache.sqlite import StorageFailed
from proxy.cache.store import KINDS, Entry, Everything, Kind, Repairs, Selector, Shelved
from proxy.errors import StoreUnavailable

T = TypeVar("T")

_READ_SECONDS = 2.0  # a read that takes longer is a miss: making it anew is faster
_WRITE_SECONDS = 10.0  # after that the caller goes on, and the write by itself

Bytes = Annotated[int, Meta(ge=1024 * 1024, le=2**60)]


class CacheConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """What is kept on disk, and how much of it."""

    dir: Annotated[str, Meta(min_length=1, max_length=4096)] = "~/.cache/framekeep"
    """The folder, on a local disk. It is made when it is not there, and used only when it belongs
    to the server's user and is closed to all others."""

    max_result_bytes: Bytes = 10_000_000_000
    """Most bytes of finished images."""

    max_original_bytes: Bytes = 5_000_000_000
    """Most bytes of originals, from which further sizes are made without fetching again."""

    max_detection_bytes: Bytes = 200_000_000
    """Most bytes of notes on where the eye goes in an original."""

    max_metadata_bytes: Bytes = 500_000_000
    """Most bytes of what sources said about their originals: freshness and validators."""

    max_memory_bytes: Annotated[int, Meta(ge=0, le=2**40)] = 64_000_000
    """Most bytes of finished images that each worker has at hand in memory, beside the disk."""

    disk_backoff_seconds: Annotated[float, Meta(ge=0, le=3600)] = 5.0
    """How long to go without a cache that could not be opened, before the next attempt."""

    def budgets(self) -> dict[Kind, int]:
        return {
            "rendition": self.max_result_bytes,
            "original": self.max_original_bytes,
            "focus": self.max_detection_bytes,
            "record": self.max_metadata_bytes,
        }


class DiskStore:
    """Entries of all kinds below one folder, each kind with a budget of its own.

    Nothing is touched before the first call; ``clock`` is in seconds since the epoch.
    """

    def __init__(self, settings: CacheConfig, *, clock: Callable[[], float] = time.time) -> None:
        self._ground = Ground(Path(settings.dir).expanduser())
        self._places = {
            kind: Place(self._ground, kind, budget, settings.disk_backoff_seconds, clock)
            for kind, budget in settings.budgets().items()
        }
        self._reads = Threads("cache-read", threads=4, waiting=64)
        self._writes = Threads("cache-write", threads=2, waiting=64)

    def watch(self, *places: tuple[Kind, str]) -> Callable[[], bool] | None:
        """Whether what is kept is still the same, whenever asked; None: that cannot be known."""
        return self._ground.watch(*places)

    def touch(self, kind: Kind, key: str) -> None:
        """Say that the entry was of use, though it was not read from here."""
        self._places[kind].touch(key)

    async def get(self, kind: Kind, key: str) -> Entry | None:
        place = self._places[kind]
        call = partial(place.call, "read", partial(Shelf.look, key=key))
        try:
            return await self._reads.run(call, seconds=_READ_SECONDS)
        except StorageFailed:
            return None  # told where it was met
        except Busy as error:
            place.tell("read", str(error))
            return None

    async def put(self, kind: Kind, key: str, entry: Entry, *, begun: float | None = None) -> None:
        await self._write(kind, partial(Shelf.keep, key=key, entry=entry, begun=begun))

    async def remove(self, kind: Kind, key: str) -> None:
        await self._write(kind, partial(Shelf.drop, key=key))

    async def label(self, kind: Kind, key: str, labels: Iterable[str]) -> None:
        await self._write(kind, partial(Shelf.label, key=key, labels=tuple(labels)))

    async def purge(self, selector: Selector, *, soft: bool = False) -> Mapping[Kind, int]:
        if isinstance(selector, Everything) and not soft:
            return await self._everywhere(Place.empty)
        purge = partial(Shelf.purge, selector=selector, soft=soft)
        return await self._everywhere(lambda place: place.insist(purge))

    async def verify(self) -> Mapping[Kind, Repairs]:
        return await self._everywhere(lambda place: place.insist(Shelf.verify))

    async def labels(self, prefix: str, at_most: int) -> Sequence[str]:
        ask = partial(Shelf.labels, prefix=prefix, at_most=at_most)
        found = await self._everywhere(lambda place: place.insist(ask))
        return sorted({label for labels in found.values() for label in labels})[:at_most]

    async def stats(self) -> Mapping[Kind, Shelved]:
        found = {}
        for kind, place in self._places.items():
            try:
                call = partial(place.call, "read", Shelf.stats)
                found[kind] = await self._writes.run(call, seconds=_WRITE_SECONDS)
            except (StorageFailed, Busy) as error:
                found[kind] = Shelved(budget=place.budget, trouble=str(error))
        return found

    async def close(self) -> None:
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._reads.close()
        self._writes.close()
        for place in self._places.values():
            place.close()
        self._ground.close()

    async def _write(self, kind: Kind, work: Callable[[Shelf], None]) -> None:
        place = self._places[kind]
        try:
            await self._writes.run(partial(place.call, "written", work), seconds=_WRITE_SECONDS)
        except StorageFailed:
            pass  # told where it was met
        except Busy as error:
            place.tell("written", str(error))

    async def _everywhere(self, work: Callable[[Place], T]) -> dict[Kind, T]:
        done = {}
        for kind in KINDS:
            try:
                call = partial(work, self._places[kind])
                done[kind] = await self._writes.run(call, seconds=None)
            except (StorageFailed, Busy) as error:
                raise StoreUnavailable(
                    "the cache could not be changed everywhere; ask again", detail=str(error)
                ) from error
        return done
