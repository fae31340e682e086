"""The messages of msgspec are split into reason and path."""

from typing import Any

import msgspec
import pytest
from msgspec import Struct

from proxy.compat.msgspec import missing_field, parse_message


class Inner(Struct):
    sizes: list[int] = []


class Outer(Struct):
    name: str
    inner: Inner = msgspec.field(default_factory=Inner)


def error_of(value: Any) -> msgspec.ValidationError:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert(value, Outer)
    return caught.value


@pytest.mark.parametrize(
    ("value", "reason", "path"),
    [
        ({"name": 1}, "expected `string`, got `integer`", "name"),
        (
            {"name": "a", "inner": {"sizes": [1, "b"]}},
            "expected `integer`, got `string`",
            "inner.sizes[1]",
        ),
        ([], "expected `object`, got `array`", ""),
    ],
)
def test_a_message_has_a_reason_and_a_path(value: Any, reason: str, path: str) -> None:
    assert parse_message(error_of(value)) == (reason, path)


def test_a_missing_field_is_named() -> None:
    assert missing_field(error_of({})) == "name"
    assert missing_field(error_of({"name": 1})) == ""
