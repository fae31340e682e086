"""Who has no key of the fleet can change, cut, move and make no object."""

import math
import os
import struct

import msgspec
import pytest

from proxy.cache.envelope import CorruptEntry, Envelope
from proxy.cache.purge_objects import (
    PurgeCodec,
    PurgeRow,
    Stamp,
    new_batch_name,
    new_purge_name,
)
from proxy.cache.shared_objects import EntryCodec, NotAuthentic, ObjectSigner, SharedEntry
from proxy.cache.store import All, ByTag, Entry

SIGNER, NO_SIGNER = ObjectSigner(["11" * 32]), ObjectSigner([])
CODEC, UNSIGNED = EntryCodec(SIGNER), EntryCodec(NO_SIGNER)
PURGES, UNSIGNED_PURGES = PurgeCodec(SIGNER), PurgeCodec(NO_SIGNER)
MAC_BYTES = 32
NOW = 1_700_000_000.0
ENTRY = Entry(os.urandom(40), head=b"head", tags=("tag:a",))
OBJECT = CODEC.encode("rendition", "key-1", ENTRY, NOW)
NAME = new_purge_name()
PURGE = [PurgeRow(ByTag("tag:a"), soft=False)]


def decode(data: bytes, codec: EntryCodec = CODEC, key: str = "key-1") -> SharedEntry:
    return codec.decode("rendition", key, data)


def test_an_honest_object_is_the_entry() -> None:
    assert decode(OBJECT) == (ENTRY, NOW)
    assert PURGES.decode(NAME, PURGES.encode(NAME, PURGE)) == PURGE


@pytest.mark.parametrize("codec", [CODEC, UNSIGNED], ids=["signed", "unsigned"])
def test_each_changed_byte_is_noticed(codec: EntryCodec) -> None:
    original = codec.encode("rendition", "key-1", ENTRY, NOW)
    for at in range(0 if codec is CODEC else MAC_BYTES, len(original)):
        changed = bytearray(original)
        changed[at] ^= 1
        with pytest.raises((NotAuthentic, CorruptEntry)):
            decode(bytes(changed), codec)


@pytest.mark.parametrize("codec", [CODEC, UNSIGNED], ids=["signed", "unsigned"])
def test_each_cut_is_noticed(codec: EntryCodec) -> None:
    original = codec.encode("rendition", "key-1", ENTRY, NOW)
    for length in range(len(original)):
        with pytest.raises((NotAuthentic, CorruptEntry)):
            decode(original[:length], codec)
    with pytest.raises((NotAuthentic, CorruptEntry)):
        decode(original + b"x", codec)


def test_the_signature_of_one_entry_is_valid_for_no_other_content() -> None:
    planted = UNSIGNED.encode("rendition", "key-1", Entry(b"planted"), NOW)
    with pytest.raises(NotAuthentic):
        decode(OBJECT[:MAC_BYTES] + planted[MAC_BYTES:])


def test_the_signature_covers_the_body_by_its_digest() -> None:
    planted = bytearray(OBJECT)
    planted[-len(ENTRY.body) :] = bytes(len(ENTRY.body))
    with pytest.raises(CorruptEntry, match="body digest differs"):
        decode(bytes(planted))


def test_a_signature_is_valid_under_its_own_name_only() -> None:
    with pytest.raises(NotAuthentic):
        decode(OBJECT, key="key-2")
    other = new_purge_name()
    with pytest.raises(NotAuthentic):
        PURGES.decode(other, PURGES.encode(NAME, PURGE))


def test_an_unsigned_entry_is_not_believed_under_another_key() -> None:
    with pytest.raises(CorruptEntry, match="envelope has another key"):
        decode(UNSIGNED.encode("rendition", "key-1", ENTRY, NOW), UNSIGNED, "key-2")


def test_the_signature_of_one_purge_is_valid_for_no_other() -> None:
    signed = PURGES.encode(NAME, PURGE)
    everything = UNSIGNED_PURGES.encode(NAME, [PurgeRow(All(), soft=False)])
    with pytest.raises(NotAuthentic):
        PURGES.decode(NAME, signed[:MAC_BYTES] + everything[MAC_BYTES:])


@pytest.mark.parametrize(
    "row",
    [
        PurgeRow(All(), soft=False, stamp=Stamp(int(NOW), ("0",))),
        PurgeRow(ByTag("x" * 10_000), soft=False),
    ],
)
def test_a_purge_has_no_time_of_its_own_and_bounded_text(row: PurgeRow) -> None:
    with pytest.raises(CorruptEntry, match="another name"):
        PURGES.decode(NAME, PURGES.encode(NAME, [row]))


@pytest.mark.parametrize(
    "stamp", [None, Stamp(0, ()), Stamp(-1, ()), Stamp(10**12, ()), Stamp(int(NOW), ("0",) * 65)]
)
def test_each_purge_of_a_batch_has_a_time(stamp: Stamp | None) -> None:
    name = new_batch_name()
    with pytest.raises(CorruptEntry, match="another name"):
        PURGES.decode(name, PURGES.encode(name, [PurgeRow(All(), soft=False, stamp=stamp)]))


@pytest.mark.parametrize("head", [b"", b"1234567", struct.pack(">d", math.nan)])
def test_an_entry_without_a_time_is_damaged(head: bytes) -> None:
    envelope = Envelope.wrap("rendition", "key-1", Entry(b"body", head=head)).encode()
    with pytest.raises(CorruptEntry, match="envelope has no time"):
        decode(bytes(MAC_BYTES) + envelope + b"body", UNSIGNED)


@pytest.mark.parametrize("content", [b"", b"\xc1", msgspec.msgpack.encode({"at": NOW})])
def test_what_is_no_purge_is_damaged(content: bytes) -> None:
    with pytest.raises(CorruptEntry, match="it is no purge"):
        UNSIGNED_PURGES.decode(NAME, bytes(MAC_BYTES) + content)
