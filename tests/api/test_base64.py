"""Base64 in all its variants."""

import base64
import os
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.api.http.base64 import decode_base64
from proxy.errors import InvalidUpload


@given(st.binary(max_size=300))
def test_every_variant_decodes_to_the_same_bytes(data: bytes) -> None:
    plain = base64.b64encode(data)
    lines = "\r\n".join(textwrap.wrap(plain.decode(), 76)).encode()
    for variant in (
        plain,
        plain.rstrip(b"="),
        base64.urlsafe_b64encode(data),
        base64.urlsafe_b64encode(data).rstrip(b"="),
        lines + b"\n",
        b"data:image/png;base64," + plain,
        b"data:image/svg+xml;charset=utf-8;base64," + lines,
        b" DATA:;BASE64," + plain,
    ):
        assert decode_base64(variant) == data


@pytest.mark.parametrize(
    "text", [b"a", b"ab*c", b"data:image/png,abcd", b"ab=cd", "ä".encode(), b"abcde"]
)
def test_other_text_is_rejected(text: bytes) -> None:
    with pytest.raises(InvalidUpload):
        decode_base64(text)


@pytest.mark.parametrize("size", [524_288 // 4 * 3, 524_288 // 4 * 3 + 1, 2_000_000])
def test_large_bodies_are_decoded_in_pieces(size: int) -> None:
    data = os.urandom(size)
    text = base64.b64encode(data)
    assert decode_base64(text) == data
    assert decode_base64(text.rstrip(b"=")) == data
    assert decode_base64(base64.urlsafe_b64encode(data)) == data


@pytest.mark.parametrize("at", [1, 524_284, 524_286, 524_287, 524_288, 524_289])
def test_padding_inside_of_a_large_body_is_no_base64(at: int) -> None:
    text = bytearray(b"A" * 1_048_576)
    text[at : at + 2] = b"=="
    with pytest.raises(InvalidUpload):
        decode_base64(bytes(text))
