"""Keys of API faces."""

import pytest

from proxy.api.http.api_keys import Keys, bearer

ONE, TWO = "one-key-0123456789", "two-key-0123456789"


@pytest.mark.parametrize("key", [ONE, TWO])
def test_any_key_admits(key: str) -> None:
    assert Keys([ONE, TWO]).admit(key)


@pytest.mark.parametrize("key", [None, "", ONE[:-1], ONE + "x", ONE.upper(), "ключ"])
def test_nothing_else_admits(key: str | None) -> None:
    assert not Keys([ONE, TWO]).admit(key)


@pytest.mark.parametrize("key", [None, "", ONE])
def test_without_keys_the_door_is_shut(key: str | None) -> None:
    assert not Keys([]).admit(key)


def test_the_operator_may_leave_it_open() -> None:
    assert Keys([], allow_keyless=True).admit(None)


def test_keys_are_not_kept() -> None:
    keys = Keys([ONE])
    assert ONE not in repr(keys)
    assert ONE.encode() not in repr(vars(keys)).encode()


@pytest.mark.parametrize(
    ("header", "key"),
    [
        ("Bearer abc", "abc"),
        ("bearer  abc ", "abc"),
        ("Basic abc", None),
        ("abc", None),
        ("", None),
        (None, None),
    ],
)
def test_bearers(header: str | None, key: str | None) -> None:
    assert bearer(header) == key
