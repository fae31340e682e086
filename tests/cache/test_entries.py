"""Stored entries whose bytes are not what was put."""

import pytest

from proxy.cache.entries import (
    decode_detection,
    decode_original,
    decode_record,
    decode_rendition,
)
from proxy.cache.store import Entry


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
