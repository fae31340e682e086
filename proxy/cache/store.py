"""The store protocol: where renditions, originals, detections and records are cached.

A store is one class in one file with the five methods of `Store`. It may lose entries, but it never
fails: errors of a disk or a network are logged where they happen and look like a miss. Only `purge`
reports failure, because its caller must know whether old images are gone. `proxy.cache.factory`
opens the store of this package; `Extensions.store` in `proxy.app` replaces it.

What a store can do beyond that is optional, one small protocol for each ability. `Cache` is a store
with all of them; `MemoryCacheLayer` makes one of any store.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Literal, NamedTuple, Protocol, get_args, runtime_checkable

from msgspec import Struct, field

from proxy.buffers import SharedBuffer
from proxy.cache.circuit_breaker import Breaker

Kind = Literal["rendition", "original", "detection", "record"]
KINDS: tuple[Kind, ...] = get_args(Kind)

ChangeToken = Callable[[], bool]
"""True as long as the entries that it was made for are unchanged."""


class Entry(Struct, frozen=True):
    """A cached body with its metadata.

    ``body`` comes back as the type that was put: bytes, or a `SharedBuffer`. ``head`` is a small
    header that only the owner of the entry reads. ``tags`` are what it can be purged by:
    ``source:URL``, ``tag:TEXT``, ``preset:NAME``. ``cost`` is the seconds that it took to make.

    The store sets ``stored_at`` and ``soft_purged_at`` (0.0: never), both in Unix seconds. Values
    that are put there are ignored.
    """

    body: bytes | SharedBuffer
    head: bytes = b""
    tags: tuple[str, ...] = ()
    cost: float = 0.0
    stored_at: float = 0.0
    soft_purged_at: float = 0.0


class ByTag(Struct, frozen=True, tag="tag"):
    """Select the entries with exactly this tag."""

    tag: str


class ByTagPrefix(Struct, frozen=True, tag="prefix"):
    """Select the entries with a tag that starts so: ``source:https://a.example/u/``."""

    prefix: str


class All(Struct, frozen=True, tag="all"):
    """Select every entry."""


Selector = ByTag | ByTagPrefix | All


PrepareLatePurge = Callable[[Sequence[Selector], bool], Awaitable[Callable[[], Awaitable[None]]]]
"""Called with selectors and whether the purge is soft before it is applied to this machine; what it
returns is called afterwards."""


def selects(selector: Selector, entry: Entry) -> bool:
    match selector:
        case All():
            return True
        case ByTag(tag):
            return tag in entry.tags
        case ByTagPrefix(prefix):
            return any(tag.startswith(prefix) for tag in entry.tags)


class Store(Protocol):
    async def get(self, kind: Kind, key: str) -> Entry | None:
        """Return the entry under exactly this key: intact, and not stored in the future."""
        ...

    async def put(
        self, kind: Kind, key: str, entry: Entry, *, started_at: float | None = None
    ) -> None:
        """Replace the entry under this key. The store may drop it, or write it later.

        ``started_at`` is when the work on the entry started, in Unix seconds. If a purge since then
        selects it, it is dropped (hard purge) or stored as stale (soft purge).
        """
        ...

    async def add_tags(self, kind: Kind, key: str, tags: Iterable[str]) -> None:
        """Add tags to the entry, if there is one."""
        ...

    async def purge(self, selector: Selector, *, soft: bool = False) -> Mapping[Kind, int]:
        """Remove the selected entries, or mark them as stale; return how many of each kind.

        Raises StoreUnavailable if some of them may be left.
        """
        ...

    async def close(self) -> None:
        """Release threads, files and connections. No method is called afterwards."""
        ...


@runtime_checkable
class SupportsChangeTokens(Protocol):
    """A store that notices changes immediately, also those made by other processes.

    Without it no entry is copied to memory, and hits do not take the fast path.
    """

    def change_token(self, *keys: tuple[Kind, str]) -> ChangeToken | None:
        """Watch these entries from now on; None while that is not possible.

        The token is called for every hit, so it takes microseconds and never blocks.
        """
        ...

    def mark_used(self, kind: Kind, key: str) -> None:
        """Count a use of the entry that the store did not see, because a copy was served."""
        ...


@runtime_checkable
class SupportsWriteBehind(Protocol):
    """A store whose `put` may return before other processes find the entry."""

    def written(self) -> "asyncio.Future[None] | None":
        """Return what is done when they find everything that was put so far; None: they do.

        It is done after a moment in any case.
        """
        ...

    async def flush(self) -> None:
        """Wait for that."""
        ...


@runtime_checkable
class SupportsTagListing(Protocol):
    """A store that can list tags. Without it a purge by prefix does not reach CDNs."""

    async def tags_with_prefix(self, prefix: str, limit: int) -> Sequence[str] | None:
        """Return up to ``limit`` tags with this prefix that entries have; None: not supported.

        Raises StoreUnavailable.
        """
        ...


class CacheStats(Struct, frozen=True):
    """Size of one kind in bytes (bodies and heads), its budget, and its hits and misses.

    ``error`` is why no entry of this kind can be stored at the moment; empty if all is well. In
    JSON it is ``trouble``.
    """

    entries: int = 0
    bytes: int = 0
    budget: int = 0
    hits: int = 0
    misses: int = 0
    error: str = field(default="", name="trouble")


@runtime_checkable
class SupportsStats(Protocol):
    """A store that knows its size. Without it metrics and `framekeep cache stats` are empty."""

    async def stats(self) -> Mapping[Kind, CacheStats]: ...


class VerifyReport(Struct, frozen=True):
    """What a check of one kind found and repaired.

    ``damaged``: entries that are not what was stored, removed. ``missing``: entries without their
    file, removed. ``orphans``: files without an entry, removed. ``retagged``: entries whose tags
    were not in the index.
    """

    entries: int = 0
    damaged: int = 0
    missing: int = 0
    orphans: int = 0
    retagged: int = 0


@runtime_checkable
class SupportsVerify(Protocol):
    """A store that can check itself. Without it `framekeep cache verify` does nothing."""

    async def verify(self) -> Mapping[Kind, VerifyReport]:
        """Read every entry and repair what is damaged. Raises StoreUnavailable."""
        ...


@runtime_checkable
class HasCircuitBreakers(Protocol):
    """A store that stops using a disk or a network that does not answer."""

    @property
    def breakers(self) -> Sequence[Breaker]: ...


class SupportsLocalReads(Protocol):
    """A store that may have a second, slower level."""

    async def get_local(self, kind: Kind, key: str) -> Entry | None:
        """Return the entry as `get` does, but do not look for it in the second level."""
        ...


class LayeredStore(Store, SupportsLocalReads, Protocol):
    """A store with these two abilities."""


class SharedCounts(NamedTuple):
    """What a shared cache has done since the start.

    ``lost_writes`` by reason, ``hedged_reads`` and ``peer_purges`` by outcome; ``pending_writes``
    wait now, and ``peers`` were known at the last purge.
    """

    lost_writes: Mapping[str, int]
    pending_writes: int
    hedged_reads: Mapping[str, int]
    peers: int
    peer_purges: Mapping[str, int]


@runtime_checkable
class HasSharedCounts(Protocol):
    """A cache with a second level that machines share."""

    @property
    def shared_counts(self) -> SharedCounts: ...


@runtime_checkable
class ReceivesPurges(Protocol):
    """A cache that other machines tell of purges directly."""

    async def receive_purges(self, object_id: str, data: bytes) -> bool:
        """Apply purges that a peer sends; return whether they come from this fleet.

        Raises StoreUnavailable.
        """
        ...


@runtime_checkable
class SharesPurges(Protocol):
    """A cache whose purges reach other machines, too, some time later."""

    @property
    def purges_known_after_seconds(self) -> float:
        """When every machine that can be reached knows a purge."""
        ...

    async def purge_all_of(
        self, selectors: Sequence[Selector], *, soft: bool = False
    ) -> Mapping[Kind, int]:
        """Purge what any of the selectors selects, as `Store.purge` does for one."""
        ...

    def on_late_purges(self, prepare: PrepareLatePurge) -> None:
        """Call ``prepare`` where this machine learns purges later than that.

        Until then it may have given old images to CDNs.
        """
        ...


class Cache(
    Store,
    SupportsChangeTokens,
    SupportsWriteBehind,
    SupportsTagListing,
    SupportsStats,
    SupportsVerify,
    HasCircuitBreakers,
    SupportsLocalReads,
    Protocol,
):
    """A store with all abilities."""
