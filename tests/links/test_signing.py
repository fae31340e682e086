"""The keyring: newest signs, any verifies, one spelling per signature."""

import base64
import hmac
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.links.signing import Keyring

OLD, NEW = b"o" * 16, b"n" * 32
MESSAGE = b"/resize:200:200/https://images.example/a.jpg"

messages = st.binary(max_size=200)


def mac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")


def text(raw: bytes) -> bytes:
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


@given(messages)
def test_what_is_signed_is_verified(message: bytes) -> None:
    ring = Keyring([NEW, OLD])
    assert ring.verify(ring.sign(message).encode(), message)


@given(messages)
def test_the_newest_key_signs_with_sixteen_bytes(message: bytes) -> None:
    assert Keyring([NEW, OLD]).sign(message).encode() == text(mac(NEW, message)[:16])


@pytest.mark.parametrize("key", [NEW, OLD])
@pytest.mark.parametrize("taken", [16, 32])
def test_any_key_verifies_in_both_lengths(key: bytes, taken: int) -> None:
    assert Keyring([NEW, OLD]).verify(text(mac(key, MESSAGE)[:taken]), MESSAGE)


def test_another_key_does_not_verify() -> None:
    assert not Keyring([NEW, OLD]).verify(text(mac(b"x" * 16, MESSAGE)), MESSAGE)


def test_without_keys_nothing_verifies() -> None:
    assert not Keyring([]).verify(b"", b"")


@pytest.mark.parametrize("taken", [*range(16), *range(17, 32)])
def test_no_other_length_verifies(taken: int) -> None:
    assert not Keyring([NEW]).verify(text(mac(NEW, MESSAGE)[:taken]), MESSAGE)


@pytest.mark.parametrize("taken", [16, 32])
def test_only_the_canonical_last_character_verifies(taken: int) -> None:
    """Other last characters decode to the same bytes: they would be second addresses."""
    good = text(mac(NEW, MESSAGE)[:taken])
    alphabet = (string.ascii_letters + string.digits + "-_").encode()
    verified = [
        last for last in alphabet if Keyring([NEW]).verify(good[:-1] + bytes([last]), MESSAGE)
    ]
    assert verified == [good[-1]]


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ValueError, match="signing key 2 has 15 bytes; at least 16"):
        Keyring([NEW, b"x" * 15])


def test_keys_come_in_hexadecimal() -> None:
    assert Keyring.from_hex([NEW.hex()]).sign(MESSAGE) == Keyring([NEW]).sign(MESSAGE)


def test_a_key_that_is_not_hexadecimal_is_not_shown() -> None:
    with pytest.raises(ValueError, match="signing key 1 is not hexadecimal") as caught:
        Keyring.from_hex(["zz-secret-zz"])
    assert "secret" not in str(caught.value)


def test_the_keyring_does_not_show_its_keys() -> None:
    ring = Keyring([NEW, OLD])
    assert repr(ring) == "Keyring(2 keys)"
    assert NEW not in repr(vars(ring)).encode()
