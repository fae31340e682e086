"""The objects of the shared bucket: names, signatures, and the contents of entries.

    v4/rendition/ab/abcdef…    an entry: MAC, envelope, body

Each object begins with an HMAC-SHA256, with a key of the fleet, over its name and what follows; of
a body over its digest, which the envelope holds. So who can write to the bucket, but has no key,
can plant nothing, and cannot move an object to another name. Purges are in
`proxy.cache.purge_objects`.
"""

import hmac
import math
import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

from msgspec import structs

from proxy.buffers import SharedBuffer
from proxy.cache.envelope import CorruptEntry, Envelope
from proxy.cache.store import Entry, Kind

PREFIX = "v4"  # another version of envelopes or purges gets another prefix

_STARTED = struct.Struct(">d")


class NotAuthentic(Exception):
    """No machine of the fleet has written the object."""


class ObjectSigner:
    """Signs objects, and verifies them. Without keys it signs nothing, and believes everything."""

    MAC_BYTES: Final = 32

    def __init__(self, keys: Sequence[str]) -> None:
        """``keys`` are in hexadecimal; the first signs, every key verifies."""
        self._initialized = tuple(hmac.new(bytes.fromhex(key), digestmod="sha256") for key in keys)

    def sign(self, name: str, content: bytes) -> bytes:
        if not self._initialized:
            return bytes(self.MAC_BYTES)
        return _mac(self._initialized[0], name, content)

    def verify(self, name: str, mac: bytes, content: bytes) -> None:
        """Raise NotAuthentic."""
        if not self._initialized:
            return
        valid = False
        for initialized in self._initialized:
            valid |= hmac.compare_digest(_mac(initialized, name, content), mac)
        if not valid:
            raise NotAuthentic("it is not signed with a key of FRAMEKEEP_SHARED_CACHE_KEYS")


class SharedEntry(NamedTuple):
    """``started`` is a lower bound of the bucket's clock when the work on the entry began."""

    entry: Entry
    started: float


class EntryCodec:
    """Encodes and decodes entries."""

    def __init__(self, signer: ObjectSigner) -> None:
        self._signer = signer

    def encode(self, kind: Kind, key: str, entry: Entry, started: float) -> bytes:
        """The entry in its envelope; when the work on it began precedes its head."""
        dated = structs.replace(entry, head=_STARTED.pack(started) + entry.head)
        body = entry.body.read() if isinstance(entry.body, SharedBuffer) else entry.body
        envelope = Envelope.wrap(kind, key, dated).encode()
        return self._signer.sign(entry_name(kind, key), envelope) + envelope + body

    def decode(self, kind: Kind, key: str, data: bytes) -> SharedEntry:
        """Raise NotAuthentic, or CorruptEntry if it is not what was stored under this key."""
        mac, signed = data[: ObjectSigner.MAC_BYTES], data[ObjectSigner.MAC_BYTES :]
        self._signer.verify(entry_name(kind, key), mac, signed[: Envelope.length(signed)])
        envelope, body = Envelope.decode(signed, kind, key)
        if len(envelope.head) < _STARTED.size:
            raise CorruptEntry("envelope has no time")
        (started,) = _STARTED.unpack_from(envelope.head)
        if not math.isfinite(started):
            raise CorruptEntry("envelope has no time")
        entry = envelope.unwrap(body, stored_at=0.0)
        return SharedEntry(structs.replace(entry, head=entry.head[_STARTED.size :]), started)


def entry_name(kind: Kind, key: str) -> str:
    return f"{PREFIX}/{kind}/{key[:2]}/{key}"


def _mac(initialized: hmac.HMAC, name: str, content: bytes) -> bytes:
    mac = initialized.copy()
    encoded = name.encode()
    mac.update(len(encoded).to_bytes(4, "big") + encoded + content)
    return mac.digest()
