"""The purges in the shared bucket: one object for each request, and batches of older ones.

    v4/purges/0f1e2d3c4b5a69788796a5b4c3d2e1f0          MAC, MessagePack
    v4/purges/batch-0f1e2d3c4b5a69788796a5b4c3d2e1f0    the same, of many purges with their stamps

The first kind has no time of its own: it counts from when the bucket stored it. The second, into
which old ones are joined once a day, and what machines send each other, say when that was.
"""

import re
import secrets
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, NamedTuple

import msgspec
from msgspec import Meta, Struct

from proxy.cache.envelope import CorruptEntry
from proxy.cache.shared_objects import PREFIX, ObjectSigner
from proxy.cache.store import ByTag, ByTagPrefix, Selector
from proxy.compat.msgspec import DECODE_ERRORS

PURGE_FOLDER = f"{PREFIX}/purges"
_BATCH = f"{PURGE_FOLDER}/batch-"
_NAME = re.compile(rf"{PURGE_FOLDER}/(batch-)?[0-9a-f]{{32}}")

MAX_ROWS = 20_000
"""Of one object."""

_MAX_OBJECT_BYTES = 16 * 1024 * 1024
_MAX_TEXT = 9_000  # characters: a URL of 8,192, and the name of its kind
_MAX_IDS = 64  # purges of the same tag in one second


class Stamp(NamedTuple):
    """When the bucket stored the latest purges of something, and the names of those objects.

    ``second`` is in Unix seconds, 0 for never.
    """

    second: int
    ids: tuple[str, ...]

    def join(self, other: "Stamp") -> "Stamp":
        """Return the later one, with all names of its second. The order makes no difference."""
        if self.second != other.second:
            return max(self, other)
        return Stamp(self.second, tuple(sorted({*self.ids, *other.ids})[-_MAX_IDS:]))


class PurgeRow(Struct, frozen=True, array_like=True):
    """A purge; ``stamp`` is None where the object that holds it was made by the purge itself."""

    selector: Selector
    soft: bool
    stamp: Stamp | None = None


_Rows = Annotated[list[PurgeRow], Meta(max_length=MAX_ROWS)]
_decoder = msgspec.msgpack.Decoder(_Rows)


class PurgeCodec:
    """Signs and verifies objects with purges."""

    def __init__(self, signer: ObjectSigner) -> None:
        self._signer = signer

    def encode(self, name: str, rows: Sequence[PurgeRow]) -> bytes:
        content = msgspec.msgpack.encode(rows)
        return self._signer.sign(name, content) + content

    def decode(self, name: str, data: bytes) -> list[PurgeRow]:
        """Raise NotAuthentic, or CorruptEntry if it is no purge of this name."""
        mac, content = data[: ObjectSigner.MAC_BYTES], data[ObjectSigner.MAC_BYTES :]
        self._signer.verify(name, mac, content)
        try:
            rows = _decoder.decode(content)
        except DECODE_ERRORS as error:
            raise CorruptEntry("it is no purge") from error
        is_batch = name.startswith(_BATCH)
        if not all(_is_plausible(row, is_batch=is_batch) for row in rows):
            raise CorruptEntry("it is a purge of another name")
        return rows


def new_purge_name() -> str:
    return f"{PURGE_FOLDER}/{secrets.token_hex(16)}"


def new_batch_name() -> str:
    return f"{_BATCH}{secrets.token_hex(16)}"


def object_id(name: str) -> str:
    """The name of an object without its folder."""
    return name.rpartition("/")[2]


def is_purge_name(name: str) -> bool:
    return _NAME.fullmatch(name) is not None


def is_batch_name(name: str) -> bool:
    return name.startswith(_BATCH)


def split_rows(
    rows: Iterable[PurgeRow], max_bytes: int = _MAX_OBJECT_BYTES
) -> Iterator[list[PurgeRow]]:
    """Split purges into as many as fit one object of about ``max_bytes``."""
    some: list[PurgeRow] = []
    size = 0
    for row in rows:
        row_bytes = len(msgspec.msgpack.encode(row))
        if some and (len(some) == MAX_ROWS or size + row_bytes > max_bytes):
            yield some
            some, size = [], 0
        some.append(row)
        size += row_bytes
    if some:
        yield some


def _is_plausible(row: PurgeRow, *, is_batch: bool) -> bool:
    match row.selector:
        case ByTag(text) | ByTagPrefix(text) if len(text) > _MAX_TEXT:
            return False
    if row.stamp is None:
        return not is_batch
    return is_batch and 0 < row.stamp.second < 10**11 and len(row.stamp.ids) <= _MAX_IDS
