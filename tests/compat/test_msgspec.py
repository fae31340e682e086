"""The messages of msgspec are split into reason and path."""

from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta, Struct

from proxy.compat.msgspec import fields_at, missing_field, parse_message, unknown_word, words_at


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
        ({"name": 1}, "must be text, not a whole number", "name"),
        (
            {"name": "a", "inner": {"sizes": [1, "b"]}},
            "must be a whole number, not text",
            "inner.sizes[1]",
        ),
        ([], "must be a table (a JSON object), not a list", ""),
    ],
)
def test_a_message_has_a_reason_and_a_path(value: Any, reason: str, path: str) -> None:
    assert parse_message(error_of(value)) == (reason, path)


class Closed(Struct, forbid_unknown_fields=True):
    pass


@pytest.mark.parametrize(
    ("kind", "value", "reason"),
    [
        (int | None, "a", "must be a whole number or null, not text"),
        (list[bool], "a", "must be a list, not text"),
        (Annotated[int, Meta(ge=1)], 0, "must be a whole number of at least 1"),
        (Annotated[float, Meta(gt=1)], 0, "must be a number of more than 1.0"),
        (Annotated[str, Meta(max_length=2)], "abc", "must be text of at most 2 characters"),
        (Annotated[list[int], Meta(min_length=2)], [1], "must be a list of at least 2 values"),
        (tuple[int, int], [1], "must be a list of 2 values, not 1"),
        (Annotated[str, Meta(pattern="^a$")], "b", "must be text in another form"),
        (Literal["a", "b"], "c", "'c' is none of the values that are allowed"),
        (Closed, {"a": 1}, "unknown field 'a'"),
    ],
)
def test_reasons_are_in_plain_words(kind: Any, value: object, reason: str) -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert(value, kind)
    assert parse_message(caught.value).reason == reason


def test_a_missing_field_is_named() -> None:
    assert missing_field(error_of({})) == "name"
    assert missing_field(error_of({"name": 1})) == ""


class Red(Struct, tag="red"):
    tone: Literal["dark", "light"]


class Blue(Struct, tag="blue"):
    tones: list[Literal["sky", "sea"] | Annotated[int, Meta(ge=1, le=9)]]


class Palette(Struct):
    main: Red | Blue
    named: dict[str, Red] = {}
    pair: tuple[Literal["a"], Literal["b", "c"]] | None = None
    listed: Annotated[tuple[Literal["x", "y"], ...], Meta(max_length=3)] = ()


@pytest.mark.parametrize(
    ("value", "word", "words"),
    [
        ({"main": {"type": "rad"}}, "'rad'", ("red", "blue")),
        ({"main": {"type": "red", "tone": "drak"}}, "'drak'", ("dark", "light")),
        ({"main": {"type": "blue", "tones": ["see"]}}, "'see'", ("sea", "sky", "1 to 9")),
        ({"named": {"n": {"type": "red", "tone": ""}}}, "''", ("dark", "light")),
        ({"pair": ["a", "a"]}, "'a'", ("b", "c")),
        ({"listed": ["x", "z" * 90]}, f"'{'z' * 60}…'", ("x", "y")),
    ],
)
def test_the_words_that_are_allowed_are_found_however_deep(
    value: dict[str, Any], word: str, words: tuple[str, ...]
) -> None:
    whole = {"main": {"type": "red", "tone": "dark"}, **value}
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert(whole, Palette)
    path = parse_message(caught.value).path
    assert unknown_word(caught.value) == word
    assert set(words_at(Palette, path)) == set(words)
    assert fields_at(Palette, path) == ()


def test_the_fields_of_a_struct_are_found_however_deep() -> None:
    assert fields_at(Palette, "") == ("main", "named", "pair", "listed")
    assert fields_at(Palette, "named[...]") == ("tone",)
    assert fields_at(Palette, "main") == ("tone", "tones")
    assert words_at(int, "a.b[0]") == ()
