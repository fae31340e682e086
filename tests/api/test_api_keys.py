"""API keys."""

import pytest

from proxy.api.http.api_keys import ApiKeys, bearer_token

ONE, TWO = "one-key-0123456789", "two-key-0123456789"


@pytest.mark.parametrize("key", [ONE, TWO])
def test_any_of_the_keys_is_valid(key: str) -> None:
    assert ApiKeys([ONE, TWO]).verify(key)


@pytest.mark.parametrize("key", [None, "", ONE[:-1], ONE + "x", ONE.upper(), "ключ"])
def test_no_other_key_is_valid(key: str | None) -> None:
    assert not ApiKeys([ONE, TWO]).verify(key)


@pytest.mark.parametrize("key", [None, "", ONE])
def test_without_keys_no_key_is_valid(key: str | None) -> None:
    assert not ApiKeys([]).verify(key)


def test_an_anonymous_request_is_valid_where_that_is_allowed() -> None:
    assert ApiKeys([], allow_anonymous=True).verify(None)


def test_a_client_is_its_key_and_without_a_valid_one_its_address() -> None:
    keys = ApiKeys([ONE, TWO], allow_anonymous=True)
    clients = [keys.client(key, "192.0.2.1") for key in (ONE, TWO, None, "", "made up")]
    assert len(set(clients[:2])) == 2
    assert clients[2:] == ["address 192.0.2.1"] * 3
    assert keys.client(ONE, "192.0.2.2") == clients[0]
    assert ONE not in "".join(clients)


def test_keys_are_stored_as_digests() -> None:
    keys = ApiKeys([ONE])
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
def test_bearer_tokens(header: str | None, key: str | None) -> None:
    assert bearer_token(header) == key
