"""Convert text and decoded JSON to typed, bounded values, or give the reason in one sentence.

Links, JSON bodies and settings share these rules.
"""

import re
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from functools import cache
from typing import Any, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import fields

from proxy.compat.msgspec import DECODE_ERRORS, missing_field, parse_message

S = TypeVar("S", bound=Struct)

_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?", re.ASCII)
_INTEGER = re.compile(r"-?(0|[1-9][0-9]*)", re.ASCII)
_MAX_DIGITS = 18
"""Digits of an integer: more than any bound has. Python refuses to convert 4,301 of them."""

_EMPTY_LIST = "expected `array` of length >= 1"
_FIELD_AND_REASON = re.compile(r"(?P<field>\w+): (?P<reason>.*)", re.DOTALL)


class ValidationError(Exception):
    """A value does not fit its field; ``field`` is empty where the whole struct is wrong."""

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.field = field

    @property
    def reason(self) -> str:
        """The message without the name of the field."""
        return str(self).removeprefix(f"{self.field}: ")


def parse_text(kind: type[Struct], field: str, text: str) -> object:
    """Read the text as the JSON type of the field; text that does not fit stays text.

    Numbers are plain decimals, booleans are ``true`` and ``false``, lists are separated by commas,
    tables are JSON objects. msgspec's lax mode is not used: it would read "2e2" as 200.
    Raises ValidationError for an integer of more than 18 digits.
    """
    try:
        return _parse(field_schemas(kind)[field], text)
    except ValidationError as error:
        raise ValidationError(f"{field}: {error}", field) from None


def _parse(schemas: Iterable[Mapping[str, Any]], text: str) -> object:
    for schema in schemas:
        if schema.get("type") == "array":
            types = _item_types(schema)
            return [_parse_scalar(part.strip(), types) for part in text.split(",")] if text else []
        if schema.get("type") == "object":
            return _parse_table(text)
    return _parse_scalar(text, {schema.get("type", "string") for schema in schemas})


def _parse_table(text: str) -> object:
    try:
        return msgspec.json.decode(text)
    except DECODE_ERRORS:
        return text


def _parse_scalar(text: str, types: AbstractSet[str]) -> object:
    if "number" in types and _NUMBER.fullmatch(text):
        return float(text)
    if "integer" in types and _INTEGER.fullmatch(text):
        if len(text.removeprefix("-")) > _MAX_DIGITS:
            raise ValidationError(f"number has more than {_MAX_DIGITS} digits")
        return int(text)
    if "boolean" in types and text in ("true", "false"):
        return text == "true"
    return text


def _item_types(schema: Mapping[str, Any]) -> AbstractSet[str]:
    items = schema.get("items") or (schema.get("prefixItems") or [{}])[0]
    return {items.get("type", "string")}


def convert(kind: type[S], values: Mapping[str, Any]) -> S:
    """Make the struct of these values. Raises ValidationError, naming the field and the bound."""
    try:
        return msgspec.convert(_with_integers(values, kind), kind)
    except msgspec.ValidationError as error:
        raise _explain(error, kind) from error


def _explain(error: msgspec.ValidationError, kind: type[Struct]) -> ValidationError:
    if missing := missing_field(error):
        return ValidationError(f"{missing} is missing", missing)
    reason, path = parse_message(error)
    if reason == _EMPTY_LIST:
        reason = "the list is empty: name at least one value, or leave it out"
    field = path.partition(".")[0].partition("[")[0]
    # msgspec gives no path for what `__post_init__` raises, so that begins with the field's name.
    named = _FIELD_AND_REASON.fullmatch(reason)
    if not field and named and named["field"] in {info.name for info in fields(kind)}:
        field, reason = named["field"], named["reason"]
    return ValidationError(f"{field}: {reason}" if field else reason, field)


def _with_integers(values: Mapping[str, Any], kind: type[Struct]) -> dict[str, Any]:
    """Turn whole floats into integers for integer fields: JSON has one type for both."""
    schemas = field_schemas(kind)
    return {
        name: int(value)
        if isinstance(value, float)
        and value.is_integer()
        and any(schema.get("type") == "integer" for schema in schemas.get(name, ()))
        else value
        for name, value in values.items()
    }


def is_secret(kind: type[Struct], field: str) -> bool:
    """Whether the field's value must not be shown: its annotation says ``writeOnly``."""
    return any(schema.get("writeOnly") for schema in field_schemas(kind)[field])


class HidesSecrets(Struct, frozen=True):
    """Base of structs whose secret fields are printed as ``***``, as in logs and tracebacks."""

    def __repr__(self) -> str:
        kind = type(self)
        values = (
            f"{name}={'***' if is_secret(kind, name) else repr(getattr(self, name))}"
            for name in kind.__struct_fields__
        )
        return f"{kind.__name__}({', '.join(values)})"


@cache
def field_schemas(kind: type[Struct]) -> dict[str, tuple[dict[str, Any], ...]]:
    """For each field, the JSON Schemas of the types that its value may have.

    What is said of the field as a whole (``description``, ``writeOnly``) is in each of them.
    """
    schema = msgspec.json.schema(kind)
    properties = schema["$defs"][kind.__name__]["properties"]
    return {
        name: tuple(
            {**{key: value for key, value in about.items() if key != "anyOf"}, **option}
            for option in about.get("anyOf") or [{}]
        )
        for name, about in properties.items()
    }
