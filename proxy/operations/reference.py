"""The operation reference, written from the catalogue: it cannot say what is not so."""

import inspect
from collections.abc import Mapping
from typing import Any

from msgspec import NODEFAULT, structs

from proxy.operations.plan import Operation, OperationRegistry, name_of, short_names
from proxy.validation import options

_INTRODUCTION = """\
Operations are done in the order they are written in, each as often as it is written. In links a
step is `name:value:value`, values in the order of the fields below, or `name:field=value` in any
order; an empty value leaves a field out. In JSON a step is `{"type": "name", "field": value}`. A
field's short name may be used in both. Colours are `#RRGGBB` or `#RGB`; in links the `#` is left
out. What is out of bounds is refused with a sentence that names the field and the bound."""


def markdown(catalogue: OperationRegistry) -> str:
    """The page with every operation, its fields and their bounds."""
    parts = ["# Operations", _INTRODUCTION, _index(catalogue)]
    for kind in catalogue.operations.values():
        parts += [f"## {name_of(kind)}", inspect.cleandoc(kind.__doc__ or "")]
        if kind.__struct_fields__:
            parts.append(_fields(kind))
    return "\n\n".join(parts) + "\n"


def _index(catalogue: OperationRegistry) -> str:
    return "\n".join(f"- [`{step(kind)}`](#{name})" for name, kind in catalogue.operations.items())


def step(kind: type[Operation]) -> str:
    """How the operation is written in a link, with the names of its fields for their values."""
    short = {true: other for other, true in short_names(kind).items()}
    return ":".join((name_of(kind), *(short.get(field, field) for field in kind.__struct_fields__)))


def _fields(kind: type[Operation]) -> str:
    lines = [COLUMNS, ("---",) * len(COLUMNS), *rows(kind)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


COLUMNS = ("field", "short name", "values", "default")


def rows(kind: type[Operation]) -> list[tuple[str, ...]]:
    """For each field what stands in the columns; words of the grammar stand in backticks."""
    short = {true: name for name, true in short_names(kind).items()}
    found: list[tuple[str, ...]] = []
    for field in structs.fields(kind):
        other = f"`{short[field.name]}`" if field.name in short else ""
        values = ", or ".join(
            text for option in options(kind)[field.name] if (text := _values(option))
        )
        found.append((f"`{field.name}`", other, values, _default(field.default)))
    return found


_BOUNDS = {
    "minimum": "from {}",
    "exclusiveMinimum": "more than {}",
    "maximum": "to {}",
    "exclusiveMaximum": "less than {}",
    "minLength": "from {}",
    "maxLength": "to {} characters",
}
_PATTERNS = {  # what tells a pattern from the others, and what it means
    "transparent": "a colour, or `transparent`",
    "#?": "a colour",
    "northwest": "a compass point, `x,y` as shares from 0 to 1, or `smart`",
    "[A-Za-z0-9_-]+:": "an address",
}


def _values(option: Mapping[str, Any]) -> str:
    if option.get("type") == "null":
        return ""
    if "enum" in option:
        return ", ".join(f"`{value}`" for value in option["enum"])
    if "pattern" in option:
        return next(text for start, text in _PATTERNS.items() if start in option["pattern"])
    if option.get("type") == "boolean":
        return "`true`, `false`"
    bounds = [text.format(f"{option[name]:,}") for name, text in _BOUNDS.items() if name in option]
    return " ".join((str(option.get("type", "")), *bounds))


def _default(value: object) -> str:
    if value is NODEFAULT:
        return "must be given"
    if value is None:
        return "left out"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"
