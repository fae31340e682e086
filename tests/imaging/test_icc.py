"""Profiles that are damaged or made up never do more than say that they are not sRGB."""

import pyvips
from hypothesis import given
from hypothesis import strategies as st

from proxy.imaging import icc

SRGB: bytes = pyvips.Operation.call("profile_load", "srgb")


@given(st.binary(max_size=600))
def test_any_bytes_may_be_asked(body: bytes) -> None:
    assert not icc.says_srgb(body)
    assert len(icc.model(body)) <= 8


@given(
    at=st.integers(0, len(SRGB) - 1), value=st.integers(0, 255), length=st.integers(0, len(SRGB))
)
def test_a_damaged_profile_is_no_failure(at: int, value: int, length: int) -> None:
    body = bytearray(SRGB)
    body[at] = value
    assert icc.says_srgb(bytes(body[:length])) in (True, False)
