"""What the fields of an operation are called and which values they take, in words."""

from collections.abc import Mapping
from typing import Any

from proxy.operations.operation import Operation
from proxy.validation import field_schemas

_UNIT_SUFFIXES = ("_in_px", "_in_degrees", "_in_percent", "_in_bytes")

_BOUNDS = {
    "minimum": "from {}",
    "exclusiveMinimum": "more than {}",
    "maximum": "to {}",
    "exclusiveMaximum": "less than {}",
    "minLength": "from {}",
    "maxLength": "to {} characters",
}


def field_aliases(kind: type[Operation]) -> dict[str, str]:
    """Map every other accepted name of a field to the field."""
    names = dict(kind.aliases)
    for field in kind.__struct_fields__:
        for suffix in _UNIT_SUFFIXES:
            if field.endswith(suffix):
                names[field.removesuffix(suffix)] = field
    return names


def allowed_values(kind: type[Operation], field: str) -> str:
    """The values that a field takes, such as "integer from 1 to 512"; words are in backticks."""
    texts = (_allowed(schema) for schema in field_schemas(kind)[field])
    return ", or ".join(text for text in texts if text)


def _allowed(schema: Mapping[str, Any]) -> str:
    if schema.get("type") == "null":
        return ""
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "title" in schema:  # of a string with a pattern: the pattern in words
        return str(schema["title"])
    if schema.get("type") == "boolean":
        return "`true`, `false`"
    bounds = [text.format(f"{schema[name]:,}") for name, text in _BOUNDS.items() if name in schema]
    return " ".join((str(schema.get("type", "")), *bounds))
