"""What is kept beside the bytes, and how it is written into the head of a store's entry.

A *record* says how things stand at a source; it is one for all sizes of an original, so that one
question to the source renews them all. A rendition is right as long as it was made of the original
that the record names.
"""

import time
from typing import TypeVar

import msgspec
from msgspec import Struct, field

from proxy.buffers import SharedBuffer
from proxy.cache.freshness import Record
from proxy.cache.store import Entry
from proxy.formats import Name
from proxy.geometry import Size
from proxy.imaging.image import Rendition
from proxy.originals import Original, OriginMetadata, digest
from proxy.smartcrop.subject import Focus

T = TypeVar("T")


class _RenditionHead(Struct, frozen=True):
    format: Name
    size: Size
    decided: str
    etag: str
    originals: tuple[str, ...]
    made_at: float


class KeptRendition(Struct, frozen=True):
    """A rendition as it lies in the store.

    ``originals`` are the digests of what it was made of, the picture's own first; ``marked`` is
    when it was softly purged.
    """

    rendition: Rendition
    etag: str
    originals: tuple[str, ...]
    made_at: float = field(default_factory=time.time)
    labels: tuple[str, ...] = ()
    marked: float = 0.0


class _OriginalHead(Struct, frozen=True):
    digest: str
    facts: OriginMetadata


def finished(
    rendition: Rendition, originals: tuple[str, ...], labels: tuple[str, ...]
) -> KeptRendition:
    """A rendition just made of the originals with these digests."""
    etag = f'"{digest(rendition.body)[:32]}"'
    return KeptRendition(rendition, etag, originals, labels=labels)


def rendition_entry(kept: KeptRendition, cost: float) -> Entry:
    made = kept.rendition
    head = _RenditionHead(
        made.format, made.size, made.decided, kept.etag, kept.originals, kept.made_at
    )
    return Entry(made.body, msgspec.msgpack.encode(head), kept.labels, cost)


def kept_rendition(entry: Entry | None) -> KeptRendition | None:
    if entry is None or (head := _decoded(entry.head, _RenditionHead)) is None:
        return None
    body = entry.body.read() if isinstance(entry.body, SharedBuffer) else entry.body
    rendition = Rendition(body, head.format, head.size, head.decided)
    return KeptRendition(
        rendition, head.etag, head.originals, head.made_at, entry.labels, entry.stale_since
    )


def original_entry(original: Original, labels: tuple[str, ...], cost: float) -> Entry:
    head = _OriginalHead(original.digest, original.metadata)
    return Entry(original.body, msgspec.msgpack.encode(head), labels, cost)


def kept_original(entry: Entry | None) -> Original | None:
    if entry is None or (head := _decoded(entry.head, _OriginalHead)) is None:
        return None
    body = entry.body if isinstance(entry.body, SharedBuffer) else SharedBuffer.of(entry.body)
    return Original(body, head.digest, head.facts)


def record_entry(record: Record, labels: tuple[str, ...]) -> Entry:
    return Entry(b"", msgspec.msgpack.encode(record), labels)


def kept_record(entry: Entry | None) -> Record | None:
    return None if entry is None else _decoded(entry.head, Record)


def focus_entry(focus: Focus, labels: tuple[str, ...], cost: float) -> Entry:
    return Entry(msgspec.msgpack.encode(focus), b"", labels, cost)


def kept_focus(entry: Entry | None) -> Focus | None:
    if entry is None:
        return None
    body = entry.body.read() if isinstance(entry.body, SharedBuffer) else entry.body
    return _decoded(body, Focus)


def _decoded(data: bytes, kind: type[T]) -> T | None:
    """None for what an older version wrote in another form: it is simply not there."""
    try:
        return msgspec.msgpack.decode(data, type=kind)
    except msgspec.MsgspecError:
        return None
