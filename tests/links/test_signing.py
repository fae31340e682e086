"""The keyring: the newest key signs, any verifies, a signature has one form."""

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
def test_a_signature_verifies(message: bytes) -> None:
    keyring = Keyring([NEW, OLD])
    assert keyring.verify(keyring.sign(message).encode(), message)


@given(messages)
def test_the_newest_key_signs_with_sixteen_bytes(message: bytes) -> None:
    assert Keyring([NEW, OLD]).sign(message).encode() == text(mac(NEW, message)[:16])


@pytest.mark.parametrize("key", [NEW, OLD])
@pytest.mark.parametrize("length", [16, 32])
def test_any_key_verifies_in_both_lengths(key: bytes, length: int) -> None:
    assert Keyring([NEW, OLD]).verify(text(mac(key, MESSAGE)[:length]), MESSAGE)


def test_another_key_does_not_verify() -> None:
    assert not Keyring([NEW, OLD]).verify(text(mac(b"x" * 16, MESSAGE)), MESSAGE)


def test_without_keys_nothing_verifies() -> None:
    assert not Keyring([]).verify(b"", b"")


@pytest.mark.parametrize("length", [*range(16), *range(17, 32)])
def test_no_other_length_verifies(length: int) -> None:
    assert not Keyring([NEW]).verify(text(mac(NEW, MESSAGE)[:length]), MESSAGE)


@pytest.mark.parametrize("length", [16, 32])
def test_only_the_canonical_last_character_verifies(length: int) -> None:
    """Other last characters decode to the same bytes: they would be further URLs of a link."""
    valid = text(mac(NEW, MESSAGE)[:length])
    alphabet = (string.ascii_letters + string.digits + "-_").encode()
    verified = [
        last for last in alphabet if Keyring([NEW]).verify(valid[:-1] + bytes([last]), MESSAGE)
    ]
    assert verified == [valid[-1]]


def test_a_short_key_is_an_error() -> None:
    with pytest.raises(ValueError, match="signing key 2 has 15 bytes; at least 16"):
        Keyring([NEW, b"x" * 15])


def test_keys_are_length_in_hexadecimal() -> None:
    assert Keyring.from_hex([NEW.hex()]).sign(MESSAGE) == Keyring([NEW]).sign(MESSAGE)


def test_a_key_that_is_not_hexadecimal_is_not_shown() -> None:
    with pytest.raises(ValueError, match="signing key 1 is not hexadecimal") as caught:
        Keyring.from_hex(["zz-secret-zz"])
    assert "secret" not in str(caught.value)


def test_the_keyring_does_not_show_its_keys() -> None:
    keyring = Keyring([NEW, OLD])
    assert repr(keyring) == "Keyring(2 keys)"
    assert NEW not in repr(vars(keyring)).encode()
