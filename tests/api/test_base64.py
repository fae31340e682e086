"""Base64 in all its variants."""

import base64
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
