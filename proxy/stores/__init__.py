"""Where results are kept. A file here is a store.

A store may forget but never fail: what goes wrong on disk is logged there and looks like a miss.
"""

from typing import Literal, Protocol

from msgspec import Struct

from proxy.blob import Blob

Kind = Literal["rendition", "original", "focus", "record"]


class Entry(Struct, frozen=True):
    """One thing kept.

    ``head`` is small and opaque to the store (what the service needs to know of the body);
    ``labels`` are the words it can be purged by (``source:URL``, ``tag:TEXT``);
    ``cost`` is the seconds it took to make: what is cheap to remake goes first.
    """

    body: bytes | Blob
    head: bytes = b""
    labels: tuple[str, ...] = ()
    cost: float = 0.0


class Store(Protocol):
    async def get(self, kind: Kind, key: str) -> Entry | None:
        """The entry under exactly this key, undamaged; else None."""
        ...

    async def put(self, kind: Kind, key: str, entry: Entry) -> None:
        """Keep the entry, in place of what was kept under this key; or forget about it."""
        ...

    async def remove(self, kind: Kind, key: str) -> None:
        """Forget the entry, if it is there."""
        ...
