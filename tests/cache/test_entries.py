"""Stored entries whose bytes are not what was put."""

import os
from typing import Any

import msgspec
import pytest
from msgspec import structs

from proxy.buffers import SharedBuffer
from proxy.cache.entries import (
    CachedRendition,
    decode_detection,
    decode_original,
    decode_record,
    decode_rendition,
    encode_record,
    encode_rendition,
)
from proxy.cache.freshness import OriginRecord
from proxy.cache.store import Entry
from proxy.geometry import Size
from proxy.imaging.results import Rendition
from proxy.originals import OriginMetadata, Validators


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\x96\xa4jpeg", id="cut"),
        pytest.param(b"\x82\xa4etag\xa1\xff\xa6digest\xa1\xff", id="no UTF-8"),
        pytest.param(b"\x81\xa1a" + b"\x91" * 100_000, id="nested"),
    ],
)
def test_what_cannot_be_decoded_is_a_miss(data: bytes) -> None:
    entry = Entry(data, data)
    assert decode_rendition(entry) is None
    assert decode_original(entry) is None
    assert decode_record(entry) is None
    assert decode_detection(Entry(b"\x81\xa7regions" + data, b"")) is None


RENDITION = CachedRendition(
    Rendition(b"body", "jpeg", Size(4, 3), "face"), '"etag"', ("a",), cost=0.1
)


def test_a_rendition_is_decoded_as_it_was() -> None:
    decoded = decode_rendition(encode_rendition(RENDITION, 0.1))
    assert decoded is not None
    assert structs.replace(decoded, made_at=RENDITION.made_at) == RENDITION


@pytest.mark.parametrize(
    "changes",
    [
        {"etag": '"a"\r\nSet-Cookie: a=b'},
        {"etag": '"\u00e9"'},
        {"etag": "a" * 10_000},
        {"made_at": float("inf")},
        {"made_at": float("nan")},
        {"made_at": -1.0},
    ],
)
def test_a_rendition_that_no_response_could_describe_is_a_miss(changes: dict[str, Any]) -> None:
    entry = encode_rendition(structs.replace(RENDITION, **changes), 0.1)
    assert decode_rendition(entry) is None


@pytest.mark.parametrize("crop_reason", ["face\n", "\u00e9", "a" * 65])
def test_a_crop_reason_that_no_header_could_have_is_a_miss(crop_reason: str) -> None:
    rendition = structs.replace(RENDITION.rendition, crop_reason=crop_reason)
    entry = encode_rendition(structs.replace(RENDITION, rendition=rendition), 0.1)
    assert decode_rendition(entry) is None


def test_a_rendition_whose_file_was_cut_while_it_was_open_is_a_miss() -> None:
    descriptor = os.memfd_create("rendition")
    os.write(descriptor, b"body")
    entry = structs.replace(encode_rendition(RENDITION, 0.1), body=SharedBuffer(descriptor))
    assert decode_rendition(entry) is not None
    os.ftruncate(descriptor, 2)
    assert decode_rendition(entry) is None


RECORD = OriginRecord("a", OriginMetadata(Validators('"a"', "yesterday")), 1000.0, 60.0)


def test_a_record_is_decoded_as_it_was() -> None:
    assert decode_record(encode_record(RECORD, ())) == RECORD


@pytest.mark.parametrize(
    "changes",
    [
        {"ttl": float("inf")},
        {"ttl": float("nan")},
        {"validated_at": 1e300},
        {"changed_at": -1.0},
        {"last_attempt_at": float("inf")},
        {"metadata": OriginMetadata(Validators("", "a\nb: c"))},
        {"metadata": OriginMetadata(Validators("\u00e9", ""))},
    ],
)
def test_a_record_that_no_response_could_use_is_a_miss(changes: dict[str, Any]) -> None:
    head = msgspec.msgpack.encode(structs.replace(RECORD, **changes))
    assert decode_record(Entry(b"", head)) is None
