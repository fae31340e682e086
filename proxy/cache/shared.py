"""A second level behind the machine's own cache: a bucket that a fleet shares.

- Read through: what is not here is looked for there, for a moment. Written behind: nobody waits.
- A bucket that fails or is slow is left alone for a while; the server does without.
- A purge is an object, too. Every machine looks for new ones every few seconds and applies them
  here; what lies in the bucket from before a purge is not taken any more.
- An object is a sealed entry: its key and digest are compared on every read.
"""

import asyncio
import contextlib
import logging
import secrets
import struct
import time
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta, Struct, structs

from proxy.buffers import SharedBuffer
from proxy.cache.envelope import Damaged, check, frame, hashed, seal, unseal
from proxy.cache.memory import selects
from proxy.cache.store import Entry, Kind, Repairs, Selector, Shelved, Store
from proxy.errors import StoreUnavailable
from proxy.sources.net.object_store import check_location as check_place
from proxy.sources.net.object_store import open_bucket

if TYPE_CHECKING:
    from obstore.store import ObjectStore

logger = logging.getLogger(__name__)

_SHARED: frozenset[Kind] = frozenset(("rendition", "record", "focus"))
_OLDEST = 30 * 86_400.0  # seconds; what is older is not taken, so that purges need not be kept
_LARGEST = 32 * 1024 * 1024  # bytes of an entry that is shared
_SLACK = 5.0  # seconds by which the clocks of a fleet may differ
_WRITERS = 4
_SEEN = "purges of the fleet"


class SharedCacheConfig(Struct, frozen=True, forbid_unknown_fields=True):
    """A bucket that the caches of several machines share."""

    url: Annotated[str, Meta(max_length=2048)] = ""
    """``s3://bucket/prefix``, ``gs://…`` or ``az://…`` as for sources; empty for none."""

    read_timeout_seconds: Annotated[float, Meta(gt=0, le=10)] = 0.3
    """Longest wait for the bucket before an image is made here."""

    write_timeout_seconds: Annotated[float, Meta(gt=0, le=300)] = 30.0
    """Longest time to write an entry behind an answer."""

    backoff_seconds: Annotated[float, Meta(ge=0, le=3600)] = 10.0
    """How long a bucket that failed is left alone."""

    purge_poll_seconds: Annotated[float, Meta(ge=0.1, le=3600)] = 5.0
    """How often purges of other machines are looked for."""

    max_write_queue: Annotated[int, Meta(ge=1, le=100_000)] = 1000
    """Most entries that wait to be written; what comes beyond that is kept here alone."""

    def complaint(self) -> str:
        """Why the bucket cannot be opened, empty where all is well."""
        try:
            if self.url:
                check_place(self.url)
        except ValueError as error:
            return f"FRAMEKEEP_SHARED_CACHE_URL: {error}"
        return ""


class _Purge(Struct, frozen=True):
    at: float
    selector: Selector
    soft: bool


class SharedStore:
    """The store ``near`` with the bucket behind it. ``clock`` is in seconds since the epoch."""

    def __init__(
        self, near: Store, settings: SharedCacheConfig, *, clock: Callable[[], float] = time.time
    ) -> None:
        """Raise ValueError where the bucket cannot be opened."""
        self._near = near
        self._settings = settings
        self._clock = clock
        self._bucket: ObjectStore = open_bucket(
            settings.url, seconds=settings.write_timeout_seconds, connect_seconds=2.0
        )
        self._shut_until = 0.0
        # What is done to one object is done in order: it always waits in the same queue.
        self._waiting: list[asyncio.Queue[tuple[str, Callable[[], bytes] | None]]] = [
            asyncio.Queue(max(1, settings.max_write_queue // _WRITERS)) for _ in range(_WRITERS)
        ]
        self._purges: dict[str, _Purge] = {}
        self._current = False
        self._tasks: list[asyncio.Task[None]] = []

    def begin(self) -> None:
        """Begin to write behind, and to look for purges; the first use does it by itself."""
        if self._tasks:
            return
        work = [self._write_behind(queue) for queue in self._waiting]
        self._tasks = [asyncio.create_task(one) for one in (*work, self._poll())]

    def watch(self, *places: tuple[Kind, str]) -> Callable[[], bool] | None:
        return self._near.watch(*places)

    def touch(self, kind: Kind, key: str) -> None:
        self._near.touch(kind, key)

    async def get(self, kind: Kind, key: str) -> Entry | None:
        self.begin()
        entry = await self._near.get(kind, key)
        if entry is not None or kind not in _SHARED or not self._usable():
            return entry
        begun = self._clock()
        far = await self._far(kind, key)
        if far is not None:
            await self._near.put(kind, key, far, begun=begun)
        return far

    async def put(self, kind: Kind, key: str, entry: Entry, *, begun: float | None = None) -> None:
        self.begin()
        await self._near.put(kind, key, entry, begun=begun)
        now = self._clock()
        if kind in _SHARED and not self._purged(entry, now if begun is None else begun):
            self._write(kind, key, structs.replace(entry, stored=now))

    async def remove(self, kind: Kind, key: str) -> None:
        await self._near.remove(kind, key)
        if kind in _SHARED:
            self._queue(_name(kind, key), None)

    async def label(self, kind: Kind, key: str, labels: Iterable[str]) -> None:
        await self._near.label(kind, key, labels)
        entry = await self._near.get(kind, key)
        if entry is not None and kind in _SHARED:
            self._write(kind, key, entry)

    async def purge(self, selector: Selector, *, soft: bool = False) -> Mapping[Kind, int]:
        counts = await self._near.purge(selector, soft=soft)
        purge = _Purge(self._clock(), selector, soft)
        name = f"purges/{purge.at:017.6f}-{secrets.token_hex(4)}"
        self._purges[name] = purge
        try:
            async with asyncio.timeout(self._settings.write_timeout_seconds):
                await _put(self._bucket, name, msgspec.msgpack.encode(purge))
        except (TimeoutError, Failed) as error:
            raise StoreUnavailable(
                "the other machines could not be told; ask again", detail=str(error)
            ) from error
        return counts

    async def labels(self, prefix: str, at_most: int) -> Sequence[str]:
        return await self._near.labels(prefix, at_most)

    async def stats(self) -> Mapping[Kind, Shelved]:
        return await self._near.stats()

    async def verify(self) -> Mapping[Kind, Repairs]:
        return await self._near.verify()

    async def close(self) -> None:
        """Give what waits a moment to be written, then end."""
        if self._tasks:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(2.0):
                    await asyncio.gather(*(queue.join() for queue in self._waiting))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._near.close()

    def _usable(self) -> bool:
        return self._current and time.monotonic() >= self._shut_until

    def _failed(self, error: Exception) -> None:
        if time.monotonic() >= self._shut_until:
            logger.warning("cache: the shared bucket is left alone for a while: %s", error)
        self._shut_until = time.monotonic() + self._settings.backoff_seconds

    async def _far(self, kind: Kind, key: str) -> Entry | None:
        try:
            async with asyncio.timeout(self._settings.read_timeout_seconds):
                data = await _get(self._bucket, _name(kind, key))
        except (TimeoutError, Failed) as error:
            self._failed(error)
            return None
        if data is None:
            return None
        try:
            entry = await asyncio.to_thread(_opened, kind, key, data)
        except Damaged as error:
            logger.warning("cache: a shared %s is not taken: %s", kind, error)
            return None
        age = self._clock() - entry.stored
        if not -_SLACK <= age <= _OLDEST:
            return None
        return None if self._purged(entry, entry.stored - _SLACK) else entry

    def _purged(self, entry: Entry, since: float) -> bool:
        """Whether a purge since then means this entry; a soft one has it made anew, too."""
        return any(
            purge.at >= since and selects(purge.selector, entry) for purge in self._purges.values()
        )

    def _write(self, kind: Kind, key: str, entry: Entry) -> None:
        if len(entry.body) <= _LARGEST:
            self._queue(_name(kind, key), lambda: _closed(kind, key, entry))

    def _queue(self, name: str, content: Callable[[], bytes] | None) -> None:
        with contextlib.suppress(asyncio.QueueFull):
            self._waiting[zlib.crc32(name.encode()) % _WRITERS].put_nowait((name, content))

    async def _write_behind(
        self, queue: "asyncio.Queue[tuple[str, Callable[[], bytes] | None]]"
    ) -> None:
        while True:
            name, content = await queue.get()
            try:
                if time.monotonic() >= self._shut_until:
                    async with asyncio.timeout(self._settings.write_timeout_seconds):
                        if content is None:
                            await _delete(self._bucket, name)
                        else:
                            await _put(self._bucket, name, await asyncio.to_thread(content))
            except (TimeoutError, Failed) as error:
                self._failed(error)
            finally:
                queue.task_done()

    async def _poll(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self._settings.write_timeout_seconds):
                    await self._learn()
                self._current = True
            except (TimeoutError, Failed, StoreUnavailable) as error:
                # Who does not know of purges must not take what they may have meant.
                self._current = False
                self._failed(error)
            await asyncio.sleep(self._settings.purge_poll_seconds)

    async def _learn(self) -> None:
        """Learn of the fleet's purges, and apply here those that this machine has not seen."""
        horizon = max(0.0, self._clock() - _OLDEST)
        mark = await self._near.get("record", _SEEN)
        seen = mark.head.decode() if mark is not None else ""
        last = max(self._purges, default=f"purges/{horizon:017.6f}")
        # Clocks differ: a purge may appear behind one that was seen already.
        since = f"purges/{max(0.0, float(last[7:24]) - 60):017.6f}"
        for name in await _list(self._bucket, since):
            if name in self._purges:
                continue
            data = await _get(self._bucket, name)
            try:
                purge = msgspec.msgpack.decode(data or b"", type=_Purge)
            except msgspec.DecodeError:
                logger.warning("cache: %s in the shared bucket is no purge", name)
                continue
            if name > seen:
                await self._near.purge(purge.selector, soft=purge.soft)
            self._purges[name] = purge
        self._purges = {name: one for name, one in self._purges.items() if one.at > horizon}
        newest = max(self._purges, default="")
        if newest > seen:
            await self._near.put("record", _SEEN, Entry(b"", newest.encode()))


class Failed(Exception):
    """The bucket could not be read or written."""


def _name(kind: Kind, key: str) -> str:
    return f"{kind}/{key[:2]}/{key}"


def _closed(kind: Kind, key: str, entry: Entry) -> bytes:
    """The entry as an object: sealed, with the time when it was stored in front of its head."""
    dated = structs.replace(entry, head=struct.pack(">d", entry.stored) + entry.head)
    body = entry.body.read() if isinstance(entry.body, SharedBuffer) else entry.body
    return seal(frame(kind, key, dated, hashed(entry.body))) + body


def _opened(kind: Kind, key: str, data: bytes) -> Entry:
    """Raises Damaged."""
    sealed, body = unseal(data, kind, key)
    check(sealed, body)
    (stored,) = struct.unpack(">d", sealed.head[:8])
    return Entry(
        SharedBuffer.of(body) if sealed.blob else body,
        sealed.head[8:],
        sealed.labels,
        sealed.cost,
        stored=stored,
    )


async def _get(bucket: "ObjectStore", name: str) -> bytes | None:
    import obstore  # noqa: PLC0415 - an extra

    try:
        found = await obstore.get_async(bucket, name)
        if found.meta["size"] > 2 * _LARGEST:
            return None
        return bytes(await found.bytes_async())
    except FileNotFoundError:
        return None
    except obstore.exceptions.BaseError as error:
        raise _said(error) from error


async def _put(bucket: "ObjectStore", name: str, data: bytes) -> None:
    import obstore  # noqa: PLC0415 - an extra

    try:
        await obstore.put_async(bucket, name, data)
    except (OSError, obstore.exceptions.BaseError) as error:
        raise _said(error) from error


async def _delete(bucket: "ObjectStore", name: str) -> None:
    import obstore  # noqa: PLC0415 - an extra

    try:
        await obstore.delete_async(bucket, name)
    except FileNotFoundError:
        return
    except obstore.exceptions.BaseError as error:
        raise _said(error) from error


async def _list(bucket: "ObjectStore", since: str) -> list[str]:
    import obstore  # noqa: PLC0415 - an extra

    names: list[str] = []
    try:
        listed: Any = obstore.list(bucket, "purges", offset=since)
        async for page in listed:
            names.extend(one["path"] for one in page)
    except (OSError, obstore.exceptions.BaseError) as error:
        raise _said(error) from error
    return sorted(names)


def _said(error: Exception) -> Failed:
    return Failed(str(error).partition("\n")[0])
