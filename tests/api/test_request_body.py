"""Refusals of JSON bodies say what is wrong in plain words, and which fields there are."""

import pytest
from msgspec import Struct

from proxy.api.admin import PurgeRequest
from proxy.api.http.request_body import decode_json


class Inner(Struct):
    sizes: list[float]


class Outer(Struct):
    inner: Inner


def test_an_unknown_field_is_refused_with_the_fields_that_there_are() -> None:
    with pytest.raises(ValueError, match="unknown field 'source'; did you mean 'sources'") as found:
        decode_json(b'{"source": ["demo:a.jpg"]}', PurgeRequest, ValueError)
    assert "the fields are: sources, prefixes, tags, presets" in str(found.value)


def test_a_nested_value_is_named_by_its_path() -> None:
    with pytest.raises(ValueError, match=r"^inner\.sizes\[1\]: must be a number, not text$"):
        decode_json(b'{"inner": {"sizes": [1, "b"]}}', Outer, ValueError)
