"""Convert text and decoded JSON to typed, bounded values, or give the reason in one sentence.

Links, JSON bodies and settings share these rules.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import cache
from types import MappingProxyType
from typing import Any, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import fields

from proxy.compat.msgspec import (
    DECODE_ERRORS,
    ValidationMessage,
    fields_at,
    missing_field,
    parse_message,
    unknown_field,
    unknown_word,
    words_at,
)
from proxy.text_values import (
    BOOLEANS,
    COLOR_NAMES,
    EXAMPLES_OF_BYTES,
    EXAMPLES_OF_SECONDS,
    FORMAT_ALIASES,
    canonical_color,
    did_you_mean,
    is_bytes,
    is_seconds,
    parse_quantity,
)

S = TypeVar("S", bound=Struct)

_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?", re.ASCII)
_INTEGER = re.compile(r"-?(0|[1-9][0-9]*)", re.ASCII)
_MAX_DIGITS = 18
"""Digits of an integer: more than any bound has. Python refuses to convert 4,301 of them."""

_MAX_EXCERPT = 60
"""Characters of a wrong text that an error repeats."""

_WORD_IN_TITLE = re.compile(r"`([a-z]+)`")

_FIELD_AND_REASON = re.compile(r"(?P<field>\w+): (?P<reason>.*)", re.DOTALL)


class ValidationError(Exception):
    """A value does not fit its field; ``field`` is empty where the whole struct is wrong.

    With ``names_value`` the message says which value it was.
    """

    def __init__(self, message: str, field: str = "", *, names_value: bool = False) -> None:
        super().__init__(message)
        self.field = field
        self.names_value = names_value

    @property
    def reason(self) -> str:
        """The message without the name of the field."""
        return str(self).removeprefix(f"{self.field}: ")


def parse_text(kind: type[Struct], field: str, text: str) -> object:
    """Read the text as the JSON type of the field; text that does not fit stays text.

    Numbers are plain decimals, lists are separated by commas, tables are JSON objects; what else is
    understood is in `proxy.text_values`. msgspec's lax mode is not used: it would read "2e2" as
    200. Raises ValidationError for an integer of more than 18 digits.
    """
    try:
        return _parse(field_schemas(kind)[field], field, text)
    except ValidationError as error:
        raise ValidationError(f"{field}: {error}", field) from None


def parse_file_value(kind: type[Struct], field: str, value: object) -> object:
    """Read a value of a TOML file: text may stand for a number or a boolean, as ``"10GB"`` does.

    Raises ValidationError as `parse_text` does.
    """
    types = {schema.get("type", "string") for schema in field_schemas(kind)[field]}
    if isinstance(value, str) and types <= {"integer", "number", "boolean", "null"}:
        return parse_text(kind, field, value)
    return value


def _parse(schemas: Iterable[Mapping[str, Any]], field: str, text: str) -> object:
    for schema in schemas:
        if schema.get("type") == "array":
            types = _item_types(schema)
            return [_parse_scalar(part.strip(), types) for part in text.split(",")] if text else []
        if schema.get("type") == "object":
            return _parse_table(text)
    types = {schema.get("type", "string") for schema in schemas}
    if types & {"integer", "number"}:
        quantity = parse_quantity(field, text)
        if quantity is not None:
            return int(quantity) if quantity.denominator == 1 else float(quantity)
    return _parse_scalar(text, types)


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
    if "boolean" in types:
        return BOOLEANS.get(text.lower(), text)
    return text


def _item_types(schema: Mapping[str, Any]) -> AbstractSet[str]:
    items = schema.get("items") or (schema.get("prefixItems") or [{}])[0]
    return {items.get("type", "string")}


def convert(kind: type[S], values: Mapping[str, Any]) -> S:
    """Make the struct of these values. Raises ValidationError, naming the field and the bound."""
    schemas = field_schemas(kind)
    known = {name: _normalize(value, schemas.get(name, ())) for name, value in values.items()}
    try:
        return msgspec.convert(known, kind)
    except msgspec.ValidationError as error:
        raise _explain(error, kind, values) from error


def _normalize(value: object, schemas: Sequence[Mapping[str, Any]]) -> object:
    """Write the value as its type has it: formats and colors by one name, whole numbers as such.

    JSON has one type for integers and floats.
    """
    match value:
        case float() if value.is_integer():
            return int(value) if any(one.get("type") == "integer" for one in schemas) else value
        case str():
            return next((found for one in schemas if (found := _find_alias(value, one))), value)
        case list():
            lists = [one["items"] for one in schemas if isinstance(one.get("items"), dict)]
            items = [option for one in lists for option in one.get("anyOf", [one])]
            return [_normalize(item, items) for item in value] if items else value
        case dict():
            entries = [one["entries"] for one in schemas if "entries" in one]
            return {key: _normalize_entry(entry, *entries) for key, entry in value.items()}
        case _:
            return value


def _normalize_entry(entry: object, fields: Mapping[str, Any] = MappingProxyType({})) -> object:
    """Write an entry of a table, itself a table with these fields, as `_normalize` does."""
    if not isinstance(entry, dict):
        return entry
    return {
        name: _normalize(value, [fields[name]] if name in fields else ())
        for name, value in entry.items()
    }


def _find_alias(text: str, schema: Mapping[str, Any]) -> str | None:
    """Return the canonical name of a format or a color; None where it is neither."""
    if schema.get("format") == "color":
        return canonical_color(text)
    name = FORMAT_ALIASES.get(text.lower())
    return name if name in schema.get("enum", ()) else None


def _explain(
    error: msgspec.ValidationError, kind: type[Struct], values: Mapping[str, Any]
) -> ValidationError:
    reason, path = explain_error(error, kind)
    missing = missing_field(error)
    if missing and not path:
        return ValidationError(f"{missing} is missing: {describe_field(kind, missing)}", missing)
    field = path.partition(".")[0].partition("[")[0]
    if field and values[field] == []:
        reason = "the list is empty: name at least one value, or leave it out"
    elif field and "." not in path and not isinstance(values[field], dict):
        value = "" if is_secret(kind, field) else _wrong_value(kind, field, values[field])
        reason = f"{describe_field(kind, field)}{value}"
        return ValidationError(f"{field}: {reason}", field, names_value=value != "")
    # msgspec gives no path for what `__post_init__` raises, so that begins with the field's name.
    named = _FIELD_AND_REASON.fullmatch(reason)
    if not field and named and named["field"] in {info.name for info in fields(kind)}:
        field, reason = named["field"], named["reason"]
    place = path.removeprefix(field).removeprefix(".")  # within the value of the field
    reason = f"{place}: {reason}" if place else reason
    return ValidationError(f"{field}: {reason}" if field else reason, field)


def explain_error(error: msgspec.ValidationError, kind: object) -> ValidationMessage:
    """Say what is wrong with a value of this type, and where.

    Where only some words or fields are allowed, however deep, they are listed.
    """
    reason, path = parse_message(error)
    word, field = unknown_word(error), unknown_field(error)
    if word and (words := words_at(kind, path)):
        hint = did_you_mean(word.strip("'"), words)
        reason = f"must be one of {', '.join(words)}, not {word}{hint}"
    elif field and (fields := fields_at(kind, path)):
        reason += f"{did_you_mean(field, fields)}; the fields are: {', '.join(fields)}"
    return ValidationMessage(reason, path)


def _wrong_value(kind: type[Struct], field: str, value: object) -> str:
    """Name the value that a field got, and the nearest that it takes; empty if it is unknown."""
    words = [word for schema in field_schemas(kind)[field] for word in _words(schema)]
    if isinstance(value, list):
        # Where only some words are allowed, the wrong one is known.
        value = next((item for item in value if words and item not in words), None)
        if value is None:
            return ""
    value = int(value) if isinstance(value, float) and value.is_integer() else value
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    excerpt = text if len(text) <= _MAX_EXCERPT else f"{text[:_MAX_EXCERPT]}…"
    if is_color(kind, field):
        titles = " ".join(str(schema.get("title", "")) for schema in field_schemas(kind)[field])
        words += [*COLOR_NAMES, *_WORD_IN_TITLE.findall(titles)]
    return f", not {excerpt!r}{did_you_mean(text, words)}"


def describe_field(kind: type[Struct], field: str) -> str:
    """Say which values a field takes, such as ``must be a whole number from 1 to 512``."""
    texts = [_describe(schema, field) for schema in field_schemas(kind)[field]]
    return f"must be {' or '.join(dict.fromkeys(text for text in texts if text))}"


def _describe(schema: Mapping[str, Any], field: str) -> str:
    if "title" in schema:  # of a string with a pattern: the pattern in words
        return str(schema["title"])
    if words := _words(schema):
        return f"one of {', '.join(map(str, words))}"
    match schema.get("type"):
        case "integer" | "number" as number:
            whole = "whole " if number == "integer" else ""
            return f"a {whole}number{_bounds(schema)}{_units(field)}"
        case "array":
            items = schema.get("items") or (schema.get("prefixItems") or [{}])[0]
            least = schema.get("minItems", 0)
            return f"a list{f' of at least {least}' if least else ''}, each {_describe(items, '')}"
        case "string":
            return f"text{_lengths(schema)}"
        case kind:
            return _DESCRIPTIONS.get(str(kind), "")


_DESCRIPTIONS = {
    "boolean": "true or false (also yes, no, on, off)",
    "object": "a table (a JSON object)",
}


def _lengths(schema: Mapping[str, Any]) -> str:
    low, high = schema.get("minLength", 0), schema.get("maxLength")
    if high is not None:
        return f" of {low} to {high} characters"
    return f" of at least {low} characters" if low else ""


def _words(schema: Mapping[str, Any]) -> Sequence[str]:
    """The only values of a field or of the items of a list, where there is such a list."""
    items = schema.get("items") or {}  # it is false where each item has a type of its own
    return schema.get("enum") or items.get("enum") or ()


def _bounds(schema: Mapping[str, Any]) -> str:
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    if low is None and high is None:
        return ""
    is_open = "exclusiveMinimum" in schema
    below = f"below {high:g}" if "exclusiveMaximum" in schema else f"to {high}"
    if low is None:
        return f" {below}"
    above = f"above {low:g}" if is_open else f"from {low}"
    if high is None:
        return f" {above}{'' if is_open else ' on'}"
    return f" {above}{', up ' if is_open else ' '}{below}"


def _units(field: str) -> str:
    if is_bytes(field):
        return f", or with a unit, such as {EXAMPLES_OF_BYTES}"
    return f", or with a unit, such as {EXAMPLES_OF_SECONDS}" if is_seconds(field) else ""


def is_secret(kind: type[Struct], field: str) -> bool:
    """Whether the field's value must not be shown: its annotation says ``writeOnly``."""
    return any(schema.get("writeOnly") for schema in field_schemas(kind)[field])


def is_color(kind: type[Struct], field: str) -> bool:
    """Whether the field's value is a color, or one of the words that may stand for one."""
    return any(schema.get("format") == "color" for schema in field_schemas(kind)[field])


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

    What is said of the field as a whole (``description``, ``writeOnly``) is in each of them. Where
    it is a table of structs, ``entries`` has the schemas of their fields.
    """
    definitions = msgspec.json.schema(kind)["$defs"]
    schemas: dict[str, tuple[dict[str, Any], ...]] = {}
    for name, about in definitions[kind.__name__]["properties"].items():
        whole = {key: value for key, value in about.items() if key != "anyOf"}
        entry = about.get("additionalProperties")
        reference = entry.get("$ref", "") if isinstance(entry, dict) else ""
        if reference:
            whole["entries"] = definitions[reference.rpartition("/")[2]]["properties"]
        schemas[name] = tuple({**whole, **option} for option in about.get("anyOf") or [{}])
    return schemas
