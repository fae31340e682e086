"""Wrap entries, so that damage never reaches a client.

An envelope holds the full key and the SHA-256 of the body, and ends with a SHA-256 of itself. A
flipped bit, a truncated file, two files that were swapped, an entry of another key or of another
version: each raises CorruptEntry.
"""

import hashlib
from typing import Annotated, Self

import msgspec
from msgspec import Meta, Struct

from proxy.buffers import SharedBuffer
from proxy.cache.store import Entry, Kind
from proxy.compat.msgspec import DECODE_ERRORS

_DIGEST_BYTES = 32
_LENGTH_BYTES = 4


class CorruptEntry(Exception):
    """The stored bytes are not the entry that was put."""


class Envelope(Struct, frozen=True, array_like=True, tag="entry/2"):
    """All of an entry except its body. ``is_buffer``: the body was put as a SharedBuffer."""

    kind: Kind
    key: str
    size: int
    digest: bytes
    is_buffer: bool
    head: bytes
    tags: tuple[str, ...]
    cost: Annotated[float, Meta(ge=0, le=1_000_000)]

    @classmethod
    def wrap(cls, kind: Kind, key: str, entry: Entry) -> Self:
        body = entry.body
        if isinstance(body, SharedBuffer):
            digest = bytes.fromhex(body.digest)
        else:
            digest = hashlib.sha256(body).digest()
        return cls(
            kind=kind,
            key=key,
            size=len(body),
            digest=digest,
            is_buffer=isinstance(body, SharedBuffer),
            head=entry.head,
            tags=tuple(dict.fromkeys(entry.tags)),
            cost=entry.cost,
        )

    def encode(self) -> bytes:
        """Return length, content and digest of the envelope."""
        content = msgspec.msgpack.encode(self)
        length = len(content).to_bytes(_LENGTH_BYTES, "big")
        return length + content + hashlib.sha256(content).digest()

    @staticmethod
    def length(data: bytes) -> int:
        """How many bytes at the beginning of the data are the envelope, if it is one."""
        return _LENGTH_BYTES + int.from_bytes(data[:_LENGTH_BYTES], "big") + _DIGEST_BYTES

    @staticmethod
    def decode(data: bytes, kind: Kind, key: str) -> "tuple[Envelope, bytes]":
        """Return the envelope of this key, and the bytes that follow it. Raises CorruptEntry."""
        end = _LENGTH_BYTES + int.from_bytes(data[:_LENGTH_BYTES], "big")
        content, digest = data[_LENGTH_BYTES:end], data[end : end + _DIGEST_BYTES]
        if hashlib.sha256(content).digest() != digest:
            raise CorruptEntry("envelope digest differs")
        try:
            envelope = _decoder.decode(content)
        except DECODE_ERRORS as error:
            raise CorruptEntry("envelope has another version") from error
        if (envelope.kind, envelope.key) != (kind, key):
            raise CorruptEntry("envelope has another key")
        return envelope, data[end + _DIGEST_BYTES :]

    def unwrap(
        self, body: bytes | SharedBuffer, *, stored_at: float, soft_purged_at: float = 0.0
    ) -> Entry:
        """Return the entry with this body. Raises CorruptEntry if it is not the wrapped one."""
        if isinstance(body, SharedBuffer) and self.is_buffer:
            digest = body.digest  # hashed in pieces: an original may be large
            intact = body.size == self.size and digest == self.digest.hex()
        else:
            body = body.read() if isinstance(body, SharedBuffer) else body
            intact = hashlib.sha256(body).digest() == self.digest
        if not intact:
            raise CorruptEntry("body digest differs")
        if self.is_buffer and isinstance(body, bytes):
            body = SharedBuffer.from_bytes(body)
        return Entry(
            body=body,
            head=self.head,
            tags=self.tags,
            cost=self.cost,
            stored_at=stored_at,
            soft_purged_at=soft_purged_at,
        )


_decoder = msgspec.msgpack.Decoder(Envelope)
