"""Encode what is cached to store entries, and decode it.

Each decoder returns None for an entry that is missing or that another version wrote.
"""

import time
from typing import Annotated, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct, field

from proxy.buffers import SharedBuffer
from proxy.cache.freshness import OriginRecord
from proxy.cache.store import Entry
from proxy.compat.msgspec import DECODE_ERRORS
from proxy.formats import FormatName
from proxy.geometry import Size
from proxy.imaging.results import Rendition
from proxy.originals import Original, OriginMetadata, digest
from proxy.smartcrop.subject import Subject

T = TypeVar("T")

_PRINTABLE = r"^[\x20-\x7e]*\Z"
_MAX_TIME = 100_000_000_000.0


Optimization = Literal["", "done", "useless"]
"""What `proxy.imaging.optimize` made of a rendition: nothing yet, a smaller one, or the same."""


class CachedRendition(Struct, frozen=True):
    """A rendition with its cache metadata.

    ``originals`` are the digests of the originals that it was made of, the main one first.
    ``tags`` are those of all links to it and of its sources, ``source_tags`` only the latter.
    ``cost`` is the seconds that it took to make. ``made_at`` and ``soft_purged_at`` (0.0: never)
    are in Unix seconds.
    """

    rendition: Rendition
    etag: str
    originals: tuple[str, ...]
    made_at: float = field(default_factory=time.time)
    tags: tuple[str, ...] = ()
    source_tags: tuple[str, ...] = ()
    soft_purged_at: float = 0.0
    optimization: Optimization = ""
    cost: float = 0.0

    def is_still(self, first: "CachedRendition") -> bool:
        """Whether nothing has taken the place of the first rendition, and no purge marked it."""
        return (self.etag, self.made_at) == (first.etag, first.made_at) and not (
            self.optimization or self.soft_purged_at
        )


def weak_etag(
    key: str, originals: tuple[str, ...], detector_version: str, optimization: Optimization = ""
) -> str:
    """The ETag of the rendition with this key, the same on every machine.

    It is weak: bytes may differ where nobody sees it, by processor, by versions of codecs, and by
    what else was requested at the time.
    """
    parts = (key, detector_version, *originals, *((optimization,) if optimization else ()))
    return f'W/"{digest(*map(str.encode, parts))[:32]}"'


class _RenditionHead(Struct, frozen=True):
    """Bounded by what can be sent in the headers of a response."""

    format: FormatName
    size: Size
    crop_reason: Annotated[str, Meta(max_length=64, pattern=_PRINTABLE)]
    etag: Annotated[str, Meta(max_length=128, pattern=_PRINTABLE)]
    originals: tuple[str, ...]
    made_at: Annotated[float, Meta(ge=0, le=_MAX_TIME)]
    source_tags: tuple[str, ...] = ()
    optimization: Optimization = ""


def encode_rendition(cached: CachedRendition, cost: float) -> Entry:
    rendition = cached.rendition
    head = _RenditionHead(
        format=rendition.format,
        size=rendition.size,
        crop_reason=rendition.crop_reason,
        etag=cached.etag,
        originals=cached.originals,
        made_at=cached.made_at,
        source_tags=cached.source_tags,
        optimization=cached.optimization,
    )
    return Entry(rendition.body, msgspec.msgpack.encode(head), cached.tags, cost)


def decode_rendition(entry: Entry | None) -> CachedRendition | None:
    if entry is None or (head := _decode(entry.head, _RenditionHead)) is None:
        return None
    body = _read_body(entry)
    if len(body) != len(entry.body):  # the file was cut after it had been opened
        return None
    return CachedRendition(
        rendition=Rendition(body, head.format, head.size, head.crop_reason),
        etag=head.etag,
        originals=head.originals,
        made_at=head.made_at,
        tags=entry.tags,
        source_tags=head.source_tags,
        soft_purged_at=entry.soft_purged_at,
        optimization=head.optimization,
        cost=entry.cost,
    )


class _OriginalHead(Struct, frozen=True):
    digest: str
    metadata: OriginMetadata


def encode_original(original: Original, tags: tuple[str, ...], cost: float) -> Entry:
    head = _OriginalHead(original.digest, original.metadata)
    return Entry(original.body, msgspec.msgpack.encode(head), tags, cost)


def decode_original(entry: Entry | None) -> Original | None:
    if entry is None or (head := _decode(entry.head, _OriginalHead)) is None:
        return None
    body = entry.body
    if not isinstance(body, SharedBuffer):
        body = SharedBuffer.from_bytes(body)
    return Original(body, head.digest, head.metadata)


def encode_record(record: OriginRecord, tags: tuple[str, ...]) -> Entry:
    return Entry(b"", msgspec.msgpack.encode(record), tags)


def decode_record(entry: Entry | None) -> OriginRecord | None:
    record = None if entry is None else _decode(entry.head, OriginRecord)
    return record if record is not None and _is_plausible(record) else None


def _is_plausible(record: OriginRecord) -> bool:
    """Whether answers can be made of the record: it may come from a bucket that others write to."""
    times = record.validated_at, record.ttl, record.changed_at, record.last_attempt_at
    validators = record.metadata.validators
    return all(0 <= time <= _MAX_TIME for time in times) and all(
        text.isascii() and text.isprintable()
        for text in (validators.etag, validators.last_modified)
    )


def encode_detection(subject: Subject, tags: tuple[str, ...], cost: float) -> Entry:
    return Entry(msgspec.msgpack.encode(subject), b"", tags, cost)


def decode_detection(entry: Entry | None) -> Subject | None:
    return None if entry is None else _decode(_read_body(entry), Subject)


def _read_body(entry: Entry) -> bytes:
    return entry.body.read() if isinstance(entry.body, SharedBuffer) else entry.body


def _decode(data: bytes, kind: type[T]) -> T | None:
    try:
        return msgspec.msgpack.decode(data, type=kind)
    except DECODE_ERRORS:
        return None
