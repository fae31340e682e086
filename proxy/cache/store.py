"""Where results are kept. A file here is a store.

A store may forget but never fail: whatever goes wrong on disk is logged there and looks like a
miss. The one exception is a purge: who asks for one must know whether it was done.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal, Protocol, get_args

from msgspec import Struct

from proxy.buffers import SharedBuffer

Kind = Literal["rendition", "original", "focus", "record"]
KINDS: tuple[Kind, ...] = get_args(Kind)


class Entry(Struct, frozen=True):
    """One thing kept.

    ``body`` comes back as it was given: bytes as bytes, a blob as a blob.
    ``head`` is small and opaque to the store (what the service needs to know of the body);
    ``labels`` are the words it can be purged by (``source:URL``, ``tag:TEXT``, ``preset:NAME``);
    ``cost`` is the seconds it took to make: what is cheap to remake goes first.

    The store itself says, in seconds since the epoch, when the entry was ``stored`` and whether it
    was softly purged (``stale_since``, else 0.0): what was put there is not looked at.
    """

    body: bytes | SharedBuffer
    head: bytes = b""
    labels: tuple[str, ...] = ()
    cost: float = 0.0
    stored: float = 0.0
    stale_since: float = 0.0


class Labelled(Struct, frozen=True, tag=True):
    """Every entry that carries exactly this label."""

    label: str


class Prefixed(Struct, frozen=True, tag=True):
    """Every entry that carries a label which begins so: ``source:https://a.example/u/``."""

    prefix: str


class Everything(Struct, frozen=True, tag=True):
    """Every entry there is."""


Selector = Labelled | Prefixed | Everything


class Shelved(Struct, frozen=True):
    """What is kept of one kind: bytes of bodies and heads, the budget, and how reads went.

    ``trouble`` says why nothing of this kind can be kept at the moment; empty when all is well.
    """

    entries: int = 0
    bytes: int = 0
    budget: int = 0
    hits: int = 0
    misses: int = 0
    trouble: str = ""


class Repairs(Struct, frozen=True):
    """What a check of one kind found and put right.

    ``damaged``: bodies or heads that are not what was stored, removed. ``missing``: entries whose
    file is gone, forgotten. ``stray``: files that belong to no entry, removed. ``relabelled``:
    entries whose labels were not in the index.
    """

    entries: int = 0
    damaged: int = 0
    missing: int = 0
    stray: int = 0
    relabelled: int = 0


class Store(Protocol):
    def watch(self, *places: tuple[Kind, str]) -> Callable[[], bool] | None:
        """Tells, whenever it is asked, whether all that is kept under these keys is still the same.

        None: nothing can be known of changes.
        """
        ...

    def touch(self, kind: Kind, key: str) -> None:
        """Hear that the entry was of use, though it was not read from there."""
        ...

    async def get(self, kind: Kind, key: str) -> Entry | None:
        """The entry under exactly this key, undamaged; else None."""
        ...

    async def put(self, kind: Kind, key: str, entry: Entry, *, begun: float | None = None) -> None:
        """Keep the entry, in place of what was kept under this key; or forget about it.

        ``begun`` is when the work on it began, in seconds since the epoch: what was purged since
        then is not kept (or is stale from the start, where the purge was a soft one).
        """
        ...

    async def remove(self, kind: Kind, key: str) -> None:
        """Forget the entry, if it is there."""
        ...

    async def label(self, kind: Kind, key: str, labels: Iterable[str]) -> None:
        """Add labels to the entry, if it is there."""
        ...

    async def purge(self, selector: Selector, *, soft: bool = False) -> Mapping[Kind, int]:
        """Forget what is selected, or mark it as stale; how many entries of each kind that hit.

        Raises StoreUnavailable when it could not be done everywhere.
        """
        ...

    async def labels(self, prefix: str, at_most: int) -> Sequence[str]:
        """Labels that begin so and are carried by something, as many as asked for.

        Raises StoreUnavailable.
        """
        ...

    async def stats(self) -> Mapping[Kind, Shelved]:
        """What is kept."""
        ...

    async def verify(self) -> Mapping[Kind, Repairs]:
        """Look at every entry and put right what is not. Raises StoreUnavailable."""
        ...

    async def close(self) -> None:
        """Give back threads and files. Nothing may be asked afterwards."""
        ...
