"""Who has no key of the fleet can change, cut, move and make no object."""

import os

import msgspec
import pytest

from proxy.cache.envelope import CorruptEntry, Envelope
from proxy.cache.shared_objects import (
    NotAuthentic,
    ObjectCodec,
    SharedPurge,
    new_purge_name,
    purges_from,
)
from proxy.cache.store import All, ByTag, Entry

CODEC, UNSIGNED = ObjectCodec(["11" * 32]), ObjectCodec([])
MAC_BYTES = 32
NOW = 1_700_000_000.0
ENTRY = Entry(os.urandom(40), head=b"head", tags=("tag:a",), stored_at=NOW)
OBJECT = CODEC.encode_entry("rendition", "key-1", ENTRY)
NAME = new_purge_name(NOW)
PURGE = SharedPurge(NOW, ByTag("tag:a"), soft=False)


def decode(data: bytes, codec: ObjectCodec = CODEC, key: str = "key-1") -> Entry:
    return codec.decode_entry("rendition", key, data)


def test_an_honest_object_is_the_entry() -> None:
    assert decode(OBJECT) == ENTRY
    assert CODEC.decode_purge(NAME, CODEC.encode_purge(NAME, PURGE)) == PURGE


@pytest.mark.parametrize("codec", [CODEC, UNSIGNED], ids=["signed", "unsigned"])
def test_each_changed_byte_is_noticed(codec: ObjectCodec) -> None:
    original = codec.encode_entry("rendition", "key-1", ENTRY)
    for at in range(0 if codec is CODEC else MAC_BYTES, len(original)):
        changed = bytearray(original)
        changed[at] ^= 1
        with pytest.raises((NotAuthentic, CorruptEntry)):
            decode(bytes(changed), codec)


@pytest.mark.parametrize("codec", [CODEC, UNSIGNED], ids=["signed", "unsigned"])
def test_each_cut_is_noticed(codec: ObjectCodec) -> None:
    original = codec.encode_entry("rendition", "key-1", ENTRY)
    for length in range(len(original)):
        with pytest.raises((NotAuthentic, CorruptEntry)):
            decode(original[:length], codec)
    with pytest.raises((NotAuthentic, CorruptEntry)):
        decode(original + b"x", codec)


def test_the_signature_of_one_entry_is_valid_for_no_other_content() -> None:
    planted = UNSIGNED.encode_entry("rendition", "key-1", Entry(b"planted", stored_at=NOW))
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
    other = new_purge_name(NOW)
    with pytest.raises(NotAuthentic):
        CODEC.decode_purge(other, CODEC.encode_purge(NAME, PURGE))


def test_an_unsigned_entry_is_not_believed_under_another_key() -> None:
    with pytest.raises(CorruptEntry, match="envelope has another key"):
        decode(UNSIGNED.encode_entry("rendition", "key-1", ENTRY), UNSIGNED, "key-2")


def test_the_signature_of_one_purge_is_valid_for_no_other() -> None:
    signed = CODEC.encode_purge(NAME, PURGE)
    everything = UNSIGNED.encode_purge(NAME, SharedPurge(NOW, All(), soft=False))
    with pytest.raises(NotAuthentic):
        CODEC.decode_purge(NAME, signed[:MAC_BYTES] + everything[MAC_BYTES:])


@pytest.mark.parametrize("at", [NOW + 1, -1.0, 1e10, 1e300, float("inf"), float("nan")])
def test_a_purge_is_of_the_time_in_its_name(at: float) -> None:
    purge = SharedPurge(at, All(), soft=False)
    with pytest.raises(CorruptEntry, match="another name"):
        CODEC.decode_purge(NAME, CODEC.encode_purge(NAME, purge))


def test_a_time_beyond_all_names_is_no_purge() -> None:
    at = 1e10
    name = f"{purges_from(at)}-00000000"
    with pytest.raises(CorruptEntry, match="another name"):
        UNSIGNED.decode_purge(name, UNSIGNED.encode_purge(name, SharedPurge(at, All(), soft=False)))


@pytest.mark.parametrize("head", [b"", b"1234567"])
def test_an_entry_without_a_time_is_damaged(head: bytes) -> None:
    envelope = Envelope.wrap("rendition", "key-1", Entry(b"body", head=head)).encode()
    with pytest.raises(CorruptEntry, match="envelope has no time"):
        decode(bytes(MAC_BYTES) + envelope + b"body", UNSIGNED)


@pytest.mark.parametrize("content", [b"", b"\xc1", msgspec.msgpack.encode({"at": NOW})])
def test_what_is_no_purge_is_damaged(content: bytes) -> None:
    with pytest.raises(CorruptEntry, match="it is no purge"):
        UNSIGNED.decode_purge(NAME, bytes(MAC_BYTES) + content)
