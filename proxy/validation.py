"""Text and decoded JSON become typed, bounded values, or a sentence saying why not.

Links, JSON bodies and settings ask the same question; this is the one answer.
"""

import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from functools import cache
from typing import Any, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import fields

S = TypeVar("S", bound=Struct)

_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?", re.ASCII)
_INTEGER = re.compile(r"-?(0|[1-9][0-9]*)", re.ASCII)
_AT = re.compile(r"(?P<what>.*?)(?: - at `\$(?:\.(?P<field>\w+))?.*`)?", re.DOTALL)
_NAMED = re.compile(r"(?P<field>\w+): (?P<what>.*)", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(?P<field>\w+)`")


class Misfit(Exception):
    """A value does not fit its field; ``field`` is empty where the fault is the whole's."""

    def __init__(self, sentence: str, field: str = "") -> None:
        super().__init__(sentence)
        self.field = field


def from_text(kind: type[Struct], field: str, text: str) -> object:
    """The text as the JSON value that the field asks for; what does not fit stays text.

    Numbers are plain decimals, booleans ``true`` and ``false``, lists are divided by commas,
    tables are JSON objects.
    msgspec's own lax reading would take "2e2" for 200.
    """
    asked = options(kind)[field]
    for option in asked:
        if option.get("type") == "array":
            items = _item_types(option)
            return [_scalar(part.strip(), items) for part in text.split(",")] if text else []
        if option.get("type") == "object":
            return _table(text)
    return _scalar(text, {option.get("type", "string") for option in asked})


def _table(text: str) -> object:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


def _scalar(text: str, types: AbstractSet[str]) -> object:
    if "number" in types and _NUMBER.fullmatch(text):
        return float(text)
    if "integer" in types and _INTEGER.fullmatch(text):
        return int(text)
    if "boolean" in types and text in ("true", "false"):
        return text == "true"
    return text


def _item_types(about: Mapping[str, Any]) -> AbstractSet[str]:
    items = about.get("items") or (about.get("prefixItems") or [{}])[0]
    return {items.get("type", "string")}


def converted(kind: type[S], values: Mapping[str, Any]) -> S:
    """The struct with these values. Raises Misfit, naming the field and the bound."""
    try:
        return msgspec.convert(_whole(values, kind), kind)
    except msgspec.ValidationError as error:
        if missing := _MISSING.match(str(error)):
            raise Misfit(f"{missing['field']} is missing", missing["field"]) from error
        match = _AT.fullmatch(str(error))
        what, field = (match["what"], match["field"]) if match else (str(error), None)
        # A struct's own check can point to nothing, so it begins with the name of the field.
        named = _NAMED.fullmatch(what)
        if not field and named and named["field"] in {about.name for about in fields(kind)}:
            field, what = named["field"], named["what"]
        sentence = what[:1].lower() + what[1:]
        raise Misfit(f"{field}: {sentence}" if field else sentence, field or "") from error


def _whole(values: Mapping[str, Any], kind: type[Struct]) -> dict[str, Any]:
    """The values with whole floats as integers where integers are asked: JSON has one number."""
    about = options(kind)
    return {
        name: int(value)
        if isinstance(value, float)
        and value.is_integer()
        and any(option.get("type") == "integer" for option in about.get(name, ()))
        else value
        for name, value in values.items()
    }


def secret(kind: type[Struct], field: str) -> bool:
    """Whether the field's value must not be shown: it is annotated as ``writeOnly``."""
    return any(option.get("writeOnly") for option in options(kind)[field])


class Discreet(Struct, frozen=True):
    """Keeps its secret fields to itself wherever it is printed, as in logs and tracebacks."""

    def __repr__(self) -> str:
        kind = type(self)
        told = (
            f"{name}={'***' if secret(kind, name) else repr(getattr(self, name))}"
            for name in kind.__struct_fields__
        )
        return f"{kind.__name__}({', '.join(told)})"


@cache
def options(kind: type[Struct]) -> dict[str, tuple[dict[str, Any], ...]]:
    """For each field the JSON Schemas of the values it may have.

    What is said of the field as a whole (that it is ``writeOnly``, say) stands in each of them.
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
