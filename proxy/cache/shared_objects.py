"""The objects of the shared bucket: names, contents, and who has written them.

    v3/rendition/ab/abcdef…                    an entry: MAC, envelope, body
    v3/purges/19675/1700000000.123456-1f2e3d4c  a purge: MAC, MessagePack; by the day and the time

Each begins with an HMAC-SHA256, with a key of the fleet, over its name and what follows; of a body
over its digest, which the envelope holds. So who can write to the bucket, but has no key, can plant
nothing, and cannot move an object to another name.
"""

import hmac
import re
import secrets
import struct
from collections.abc import Sequence

import msgspec
from msgspec import Struct, structs

from proxy.buffers import SharedBuffer
from proxy.cache.envelope import CorruptEntry, Envelope
from proxy.cache.store import Entry, Kind, Selector
from proxy.compat.msgspec import DECODE_ERRORS

_PREFIX = "v3"  # another version of envelopes or purges gets another prefix
_PURGES = f"{_PREFIX}/purges"
_PURGE_NAME = re.compile(rf"{_PURGES}/[0-9]{{5}}/[0-9]{{10}}\.[0-9]{{6}}-[0-9a-f]{{8}}")

_DAY_SECONDS = 86_400
_MAC_BYTES = 32
_UNSIGNED = bytes(_MAC_BYTES)
_STORED_AT = struct.Struct(">d")


class SharedPurge(Struct, frozen=True):
    """A purge of one machine for all; ``at`` is by its clock, in Unix seconds."""

    at: float
    selector: Selector
    soft: bool


class NotAuthentic(Exception):
    """No machine of the fleet has written the object."""


class ObjectCodec:
    """Encodes and decodes objects. Without ``keys`` it signs nothing, and believes everything."""

    def __init__(self, keys: Sequence[str]) -> None:
        """``keys`` are in hexadecimal; the first signs, every key verifies."""
        self._initialized = tuple(hmac.new(bytes.fromhex(key), digestmod="sha256") for key in keys)

    def encode_entry(self, kind: Kind, key: str, entry: Entry) -> bytes:
        """The entry in its envelope; the time when it was stored precedes its head."""
        dated = structs.replace(entry, head=_STORED_AT.pack(entry.stored_at) + entry.head)
        body = entry.body.read() if isinstance(entry.body, SharedBuffer) else entry.body
        envelope = Envelope.wrap(kind, key, dated).encode()
        return self._sign(entry_name(kind, key), envelope) + envelope + body

    def decode_entry(self, kind: Kind, key: str, data: bytes) -> Entry:
        """Raise NotAuthentic, or CorruptEntry if it is not what was stored under this key."""
        signed = data[_MAC_BYTES:]
        length = Envelope.length(signed)
        self._verify(entry_name(kind, key), data[:_MAC_BYTES], signed[:length])
        envelope, body = Envelope.decode(signed, kind, key)
        if len(envelope.head) < _STORED_AT.size:
            raise CorruptEntry("envelope has no time")
        (stored_at,) = _STORED_AT.unpack_from(envelope.head)
        entry = envelope.unwrap(body, stored_at=stored_at)
        return structs.replace(entry, head=entry.head[_STORED_AT.size :])

    def encode_purge(self, name: str, purge: SharedPurge) -> bytes:
        content = msgspec.msgpack.encode(purge)
        return self._sign(name, content) + content

    def decode_purge(self, name: str, data: bytes) -> SharedPurge:
        """Raise NotAuthentic, or CorruptEntry if it is no purge of this name."""
        self._verify(name, data[:_MAC_BYTES], data[_MAC_BYTES:])
        try:
            purge = msgspec.msgpack.decode(data[_MAC_BYTES:], type=SharedPurge)
        except DECODE_ERRORS as error:
            raise CorruptEntry("it is no purge") from error
        if not _is_time(purge.at) or not name.startswith(f"{purges_from(purge.at)}-"):
            raise CorruptEntry("it is a purge of another name")
        return purge

    def _sign(self, name: str, content: bytes) -> bytes:
        return _mac(self._initialized[0], name, content) if self._initialized else _UNSIGNED

    def _verify(self, name: str, mac: bytes, content: bytes) -> None:
        if not self._initialized:
            return
        valid = False
        for initialized in self._initialized:
            valid |= hmac.compare_digest(_mac(initialized, name, content), mac)
        if not valid:
            raise NotAuthentic("it is not signed with a key of FRAMEKEEP_SHARED_CACHE_KEYS")


def entry_name(kind: Kind, key: str) -> str:
    return f"{_PREFIX}/{kind}/{key[:2]}/{key}"


def new_purge_name(at: float) -> str:
    return f"{purges_from(at)}-{secrets.token_hex(4)}"


def is_purge_name(name: str) -> bool:
    return _PURGE_NAME.fullmatch(name) is not None


def purges_from(at: float) -> str:
    """How the names of purges at that Unix time start; names sort by time."""
    return f"{purge_folder(at)}/{at:017.6f}"


def purge_folder(at: float) -> str:
    """The folder of that day: an object that breaks a listing breaks that of one day only."""
    return f"{_PURGES}/{int(at // _DAY_SECONDS):05}"


def purge_folders(since: float, until: float) -> list[str]:
    """The folders of the days from one Unix time to another."""
    days = range(int(since // _DAY_SECONDS), int(until // _DAY_SECONDS) + 1)
    return [purge_folder(day * _DAY_SECONDS) for day in days]


def purge_time(name: str) -> float:
    """The time in the name of a purge."""
    return float(name.rpartition("/")[2].partition("-")[0])


def _is_time(at: float) -> bool:
    return 0 <= at < 10_000_000_000  # also false for what is no number


def _mac(initialized: hmac.HMAC, name: str, content: bytes) -> bytes:
    mac = initialized.copy()
    encoded = name.encode()
    mac.update(len(encoded).to_bytes(4, "big") + encoded + content)
    return mac.digest()
