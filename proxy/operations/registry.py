"""OperationRegistry: parse operations from links and JSON, and reject what is not valid.

Links and JSON share one path: text or decoded JSON becomes a frozen, bounded struct, or an
InvalidOperation that names the operation, the field and the bound. A field may be given without
its unit (``width`` for ``width_in_px``).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from proxy.errors import InvalidOperation
from proxy.operations.fields import field_aliases
from proxy.operations.operation import Operation, operation_name
from proxy.operations.plan import Plan
from proxy.text_values import did_you_mean
from proxy.validation import ValidationError, convert, parse_text

_MAX_EXCERPT = 60
"""Characters of a wrong text that an error repeats."""


class OperationRegistry:
    """The available operations, by name."""

    def __init__(self, operations: Sequence[type[Operation]], *, max_operations: int = 30) -> None:
        self.operations = {operation_name(kind): kind for kind in operations}
        self.max_operations = max_operations

    def get(self, name: str) -> type[Operation]:
        """The operation of that name. Raises InvalidOperation where there is none."""
        kind = self.operations.get(name)
        if kind is None:
            raise InvalidOperation(
                f"there is no operation {_excerpt(name)!r}{did_you_mean(name, self.operations)}; "
                f"operations: {', '.join(self.operations)}"
            )
        return kind

    def check_count(self, count: int) -> None:
        """Raise InvalidOperation where a plan of ``count`` operations is too long."""
        if count > self.max_operations:
            raise InvalidOperation(
                f"a plan has at most {self.max_operations} operations, not {count} "
                "(FRAMEKEEP_LIMITS_MAX_OPERATIONS)"
            )

    def plan(self, steps: object) -> Plan:
        """Parse decoded JSON: a list of objects, each with ``type`` and the operation's fields.

        Raises:
            InvalidOperation: naming the position, the operation, the field and the bound.
        """
        if not isinstance(steps, list):
            raise InvalidOperation("operations must be a list")
        self.check_count(len(steps))
        return Plan(tuple(self._from_json(index, step) for index, step in enumerate(steps)))

    def from_args(self, name: str, args: Sequence[tuple[str | None, str]]) -> Operation:
        """Parse the arguments of a link step: pairs of a field's name, or None, and a text.

        Arguments without a name come first, in the order of the fields; an empty one leaves its
        field out. Named arguments follow, in any order.

        Raises:
            InvalidOperation: naming the operation, the field and the bound.
        """
        kind = self.get(name)
        fields = kind.__struct_fields__
        texts: dict[str, str] = {}
        named = False
        for index, (key, text) in enumerate(args):
            if key is not None:
                named = True
                field = _resolve_field(kind, key)
                if field in texts:
                    raise InvalidOperation(f"{name}: {field} is given twice", field=field)
                texts[field] = text
            elif named:
                raise InvalidOperation(
                    f"{name}: {_excerpt(text)!r} follows a named value and has no name"
                )
            elif index >= len(fields):
                known = ", ".join(fields) or "none"
                raise InvalidOperation(
                    f"{name} takes at most {len(fields)} values, not {len(args)}; "
                    f"its fields: {known}"
                )
            elif text:
                texts[fields[index]] = text
        try:
            values = {field: parse_text(kind, field, text) for field, text in texts.items()}
        except ValidationError as error:
            raise InvalidOperation(f"{name}: {error}", field=error.field) from error
        return _build(kind, values)

    def schemas(self) -> dict[str, Any]:
        """JSON Schema of every operation by its class name, as OpenAPI components."""
        _, components = msgspec.json.schema_components(
            self.operations.values(), ref_template="#/components/schemas/{name}"
        )
        return components

    def _from_json(self, index: int, step: object) -> Operation:
        if not isinstance(step, dict):
            raise InvalidOperation(f"operations[{index}] must be an object", operation=index)
        name = step.get("type")
        if not isinstance(name, str):
            raise InvalidOperation(
                f"operations[{index}].type must name an operation", operation=index, field="type"
            )
        try:
            kind = self.get(name)
            values = {key: value for key, value in step.items() if key != "type"}
            return _build(kind, _resolve_fields(kind, values))
        except InvalidOperation as error:
            raise InvalidOperation(
                f"operations[{index}] {error}", operation=index, field=error.field
            ) from error


def _excerpt(text: str) -> str:
    return text if len(text) <= _MAX_EXCERPT else f"{text[:_MAX_EXCERPT]}…"


def _resolve_fields(kind: type[Operation], values: Mapping[str, Any]) -> dict[str, Any]:
    """The values by the names of their fields."""
    resolved: dict[str, Any] = {}
    for name, value in values.items():
        field = _resolve_field(kind, name)
        if field in resolved:
            raise InvalidOperation(f"{operation_name(kind)}: {field} is given twice", field=field)
        resolved[field] = value
    return resolved


def _resolve_field(kind: type[Operation], name: str) -> str:
    """The field that is meant by its own name or by an alias."""
    field = field_aliases(kind).get(name, name)
    if field not in kind.__struct_fields__:
        known = ", ".join(kind.__struct_fields__) or "none"
        names = (*kind.__struct_fields__, *field_aliases(kind))
        raise InvalidOperation(
            f"{operation_name(kind)} has no field {_excerpt(name)!r}{did_you_mean(name, names)}; "
            f"its fields: {known}",
            field=_excerpt(name),
        )
    return field


def _build(kind: type[Operation], values: Mapping[str, Any]) -> Operation:
    name = operation_name(kind)
    try:
        return convert(kind, {"type": name, **values})
    except ValidationError as error:
        raise InvalidOperation(f"{name}: {error}", field=error.field or None) from error
