"""What is written beside a body, so that nothing but that very body is ever answered.

A frame holds the full key and the SHA-256 of the body, and is itself closed by a SHA-256. A bit
that flipped, a file that was cut, two files that changed places, an entry of another key or of
another release: each is seen here, and is Damaged.
"""

import hashlib

import msgspec
from msgspec import Struct

from proxy.buffers import SharedBuffer
from proxy.cache.store import Entry, Kind

_DIGEST = 32
_LENGTH = 4


class Damaged(Exception):
    """What lies there is not what was put there."""


class Frame(Struct, frozen=True, array_like=True, tag="entry/1"):
    """All of an entry but its body. ``blob``: the body was given as a blob."""

    kind: Kind
    key: str
    size: int
    digest: bytes
    blob: bool
    head: bytes
    labels: tuple[str, ...]
    cost: float


def frame(kind: Kind, key: str, entry: Entry, digest: bytes) -> Frame:
    return Frame(
        kind=kind,
        key=key,
        size=len(entry.body),
        digest=digest,
        blob=isinstance(entry.body, SharedBuffer),
        head=entry.head,
        labels=tuple(dict.fromkeys(entry.labels)),
        cost=entry.cost,
    )


def seal(frame: Frame) -> bytes:
    """The frame as bytes that know their own length and digest."""
    text = msgspec.msgpack.encode(frame)
    return len(text).to_bytes(_LENGTH, "big") + text + hashlib.sha256(text).digest()


def unseal(data: bytes, kind: Kind, key: str) -> tuple[Frame, bytes]:
    """The frame of this key, and the bytes that follow it. Raises Damaged."""
    end = _LENGTH + int.from_bytes(data[:_LENGTH], "big")
    text, check = data[_LENGTH:end], data[end : end + _DIGEST]
    if hashlib.sha256(text).digest() != check:
        raise Damaged("the head is not what was stored")
    try:
        frame = _decoder.decode(text)
    except msgspec.DecodeError as error:
        raise Damaged("the head is of another release") from error
    if (frame.kind, frame.key) != (kind, key):
        raise Damaged("the entry belongs to another key")
    return frame, data[end + _DIGEST :]


def check(frame: Frame, body: bytes) -> None:
    """Raise Damaged unless these bytes are the body."""
    if len(body) != frame.size or hashlib.sha256(body).digest() != frame.digest:
        raise Damaged("the body is not what was stored")


def check_file(frame: Frame, body: SharedBuffer) -> None:
    """Raise Damaged unless the body is all there is in the file."""
    if body.size != frame.size or body.digest != frame.digest.hex():
        raise Damaged("the body is not what was stored")


def hashed(body: bytes | SharedBuffer) -> bytes:
    """SHA-256 of the body."""
    return (
        bytes.fromhex(body.digest)
        if isinstance(body, SharedBuffer)
        else hashlib.sha256(body).digest()
    )


_decoder = msgspec.msgpack.Decoder(Frame)
