"""Read and write the entries of the shared bucket, with the purges that they are subject to."""

import asyncio
from collections.abc import Callable
from functools import partial

from msgspec import structs

from proxy.cache.bucket import ObjectBucket
from proxy.cache.envelope import CorruptEntry
from proxy.cache.purge_sync import PurgeSync
from proxy.cache.shared_objects import EntryCodec, NotAuthentic, SharedEntry, entry_name
from proxy.cache.store import Cache, Entry, Kind
from proxy.cache.write_behind import LossReason, PendingWrite


class SharedEntries:
    """The entries of the bucket; what is not signed with a key of the fleet, or odd, is none."""

    def __init__(
        self,
        local: Cache,
        bucket: ObjectBucket,
        codec: EntryCodec,
        purges: PurgeSync,
        *,
        ignore: Callable[[str, str], None],
    ) -> None:
        """``ignore`` is called with the name of each odd object, and what is wrong with it."""
        self._local = local
        self._bucket = bucket
        self._codec = codec
        self._purges = purges
        self._ignore = ignore

    async def fetch(self, kind: Kind, key: str) -> bytes | None:
        """Return the object of this entry. Raises BucketError."""
        found = await self._bucket.get(entry_name(kind, key))
        return None if found is None else found.data

    async def decode(self, kind: Kind, key: str, data: bytes) -> Entry | None:
        """Return the entry, unless it is damaged or purged. Raises StorageError."""
        found = await self._decode(kind, key, data)
        if found is None or await self._purges.selects(found.entry.tags, found.started):
            return None
        return found.entry

    async def write(self, write: PendingWrite) -> LossReason | None:
        """Write an entry, unless it is purged; return why that is not possible.

        Raises BucketError or StorageError.
        """
        if write.only_tags:
            await self._write_tags(write)
            return None
        started = 0.0
        if write.began is not None:
            started = await self._purges.known_until(write.began)
            if await self._purges.selects(write.tags, started):
                return None
        entry = write.entry or await self._local.get_local(write.kind, write.key)
        if entry is None or (write.entry is None and entry.stored_at < write.stored_at):
            return "evicted"
        if not entry.soft_purged_at:
            await self._put(write, structs.replace(entry, tags=write.tags), started)
        return None

    async def _write_tags(self, write: PendingWrite) -> None:
        """Add tags to what the bucket has, which another machine may have made."""
        data = await self.fetch(write.kind, write.key)
        found = data and await self._decode(write.kind, write.key, data)
        if not found or set(write.tags) <= set(found.entry.tags):
            return
        union = tuple(dict.fromkeys((*found.entry.tags, *write.tags)))
        await self._put(write, structs.replace(found.entry, tags=union), found.started)

    async def _put(self, write: PendingWrite, entry: Entry, started: float) -> None:
        encode = partial(self._codec.encode, write.kind, write.key, entry, started)
        await self._bucket.put(entry_name(write.kind, write.key), await asyncio.to_thread(encode))

    async def _decode(self, kind: Kind, key: str, data: bytes) -> SharedEntry | None:
        try:
            return await asyncio.to_thread(self._codec.decode, kind, key, data)
        except (CorruptEntry, NotAuthentic) as error:
            self._ignore(entry_name(kind, key), str(error))
            return None
