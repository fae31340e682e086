"""OperationRegistry: parse operations from links and JSON, and reject what is not valid.

Links and JSON share one path: text or decoded JSON becomes a frozen, bounded struct, or an
InvalidOperation that names the operation, the field and the bound. A field may be given without
its unit (``width`` for ``width_in_px``).
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import structs

from proxy.errors import InvalidOperation
from proxy.operations.fields import field_aliases
from proxy.operations.operation import Operation, operation_name
from proxy.operations.overlay_steps import MAX_OVERLAY_STEPS, overlay_steps_fields
from proxy.operations.plan import Plan
from proxy.text_values import did_you_mean
from proxy.validation import ValidationError, convert, describe_field, parse_text

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

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

    def check_overlay_step(self, name: str) -> None:
        """Raise InvalidOperation for an operation that is no step of an overlay."""
        kind = self.get(name)
        if not kind.changes_pixels or overlay_steps_fields(kind):
            names = (
                name
                for name, kind in self.operations.items()
                if kind.changes_pixels and not overlay_steps_fields(kind)
            )
            raise InvalidOperation(
                f"{name} is no step of an overlay; steps are operations that change the pixels of "
                f"one picture: {', '.join(names)}"
            )

    def from_args(
        self,
        name: str,
        args: Sequence[tuple[str | None, str]],
        parse_steps: Callable[[str], tuple[Operation, ...]] | None = None,
    ) -> Operation:
        """Parse the arguments of a link step: pairs of a field's name, or None, and a text.

        Arguments without a name come first, in the order of the fields; an empty one leaves its
        field out. Named arguments follow, in any order. ``parse_steps`` parses the steps of an
        overlay.

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
        values = _parse_steps(kind, texts, parse_steps) if parse_steps else {}
        try:
            values |= {
                field: parse_text(kind, field, text)
                for field, text in texts.items()
                if field not in values
            }
        except ValidationError as error:
            raise InvalidOperation(f"{name}: {error}", field=error.field) from error
        return self._build(kind, values)

    def field_of(self, kind: type[Operation], index: int, key: str | None) -> str:
        """The field that an argument of a link step is for, by its position or its name.

        Empty where there is none.
        """
        fields = kind.__struct_fields__
        if key is None:
            return fields[index] if index < len(fields) else ""
        name = field_aliases(kind).get(key, key)
        return name if name in fields else ""

    def replace(self, operation: Operation, values: Mapping[str, Any]) -> Operation:
        """Return the operation with other values. Raises InvalidOperation as `from_args` does."""
        return self._build(type(operation), {**structs.asdict(operation), **values})

    def schemas(self) -> dict[str, Any]:
        """JSON Schema of every operation by its class name, as OpenAPI components."""
        _, components = msgspec.json.schema_components(
            self.operations.values(), ref_template="#/components/schemas/{name}"
        )
        return components

    def _from_json(self, index: int, step: object) -> Operation:
        name, values = _read_step(f"operations[{index}]", index, step)
        try:
            kind = self.get(name)
            return self._build(kind, _resolve_fields(kind, values))
        except InvalidOperation as error:
            raise InvalidOperation(
                f"operations[{index}] {error}", operation=index, field=error.field
            ) from error

    def _build(self, kind: type[Operation], values: Mapping[str, Any]) -> Operation:
        name = operation_name(kind)
        fields = overlay_steps_fields(kind)
        steps = {
            field: self._overlay_steps(kind, field, values[field])
            for field in fields
            if field in values
        }
        others = {field: value for field, value in values.items() if field not in steps}
        _check_control_characters(kind, others)
        try:
            operation = convert(kind, {"type": name, **others})
        except ValidationError as error:
            raise InvalidOperation(f"{name}: {error}", field=error.field or None) from error
        return structs.replace(operation, **steps) if steps else operation

    def _overlay_steps(
        self, kind: type[Operation], field: str, value: object
    ) -> tuple[Operation, ...]:
        """The steps of an overlay, from decoded JSON or parsed already."""
        name = operation_name(kind)
        if not isinstance(value, list | tuple):
            raise InvalidOperation(f"{name}: {field}: {describe_field(kind, field)}", field=field)
        if len(value) > MAX_OVERLAY_STEPS:
            raise InvalidOperation(
                f"{name}: {field}: at most {MAX_OVERLAY_STEPS} operations, not {len(value)}",
                field=field,
            )
        return tuple(
            step
            if isinstance(step, Operation)
            else self._overlay_step(name, f"{field}[{index}]", step)
            for index, step in enumerate(value)
        )

    def _overlay_step(self, name: str, path: str, step: object) -> Operation:
        try:
            step_name, values = _read_step(path, None, step)
            self.check_overlay_step(step_name)
            kind = self.get(step_name)
            return self._build(kind, _resolve_fields(kind, values))
        except InvalidOperation as error:
            message = str(error) if str(error).startswith(path) else f"{path} {error}"
            field = path.partition("[")[0]
            raise InvalidOperation(f"{name}: {message}", field=field) from error


def _check_control_characters(kind: type[Operation], values: Mapping[str, object]) -> None:
    for field in values.keys() - kind.multiline_fields:
        value = values[field]
        texts = value if isinstance(value, list) else [value]
        if any(isinstance(text, str) and _CONTROL.search(text) for text in texts):
            raise InvalidOperation(
                f"{operation_name(kind)}: {field}: control characters are not allowed", field=field
            )


def _parse_steps(
    kind: type[Operation],
    texts: Mapping[str, str],
    parse: Callable[[str], tuple[Operation, ...]],
) -> dict[str, object]:
    """The fields that are steps of an overlay."""
    values: dict[str, object] = {}
    for field in texts.keys() & overlay_steps_fields(kind):
        try:
            values[field] = parse(texts[field])
        except InvalidOperation as error:
            message = f"{operation_name(kind)}: {field}: {error}"
            raise InvalidOperation(message, field=field) from error
    return values


def _read_step(path: str, index: int | None, step: object) -> tuple[str, dict[str, Any]]:
    """The name and the values of an operation in JSON; ``path`` and ``index`` are its place."""
    if not isinstance(step, dict):
        raise InvalidOperation(f"{path} must be an object", operation=index)
    name = step.get("type")
    if not isinstance(name, str):
        raise InvalidOperation(f"{path}.type must name an operation", operation=index, field="type")
    return name, {key: value for key, value in step.items() if key != "type"}


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
