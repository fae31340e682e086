"""The links that the playground makes: of a chain, of a chain with open fields, of an `info`."""

from collections.abc import Collection, Sequence
from typing import Annotated, Any
from urllib.parse import quote

from msgspec import Meta, Struct
from msgspec.structs import replace

from proxy.errors import InvalidOperation, ProxyError
from proxy.geometry import Size
from proxy.image_request import InfoRequest
from proxy.links.mounts import MountedDialects
from proxy.links.parser import DEFAULT_PRESET
from proxy.operations.operation import Operation, format_operation, operation_name
from proxy.operations.plan import Plan
from proxy.operations.registry import OperationRegistry

MAX_LINKS = 64
_RATIO_SIDE = Annotated[int, Meta(ge=1, le=10_000)]

Ratios = Annotated[tuple[tuple[_RATIO_SIDE, _RATIO_SIDE], ...], Meta(max_length=8)]


class OpenValues(Struct, frozen=True, forbid_unknown_fields=True):
    """A field to leave open, and the values that may be chosen, such as ``320, 640``."""

    operation: Annotated[int, Meta(ge=0)]
    field: str
    values: Annotated[str, Meta(max_length=2000)]


class LinkItem(Struct, frozen=True, forbid_unknown_fields=True):
    """A link to make: of an image, or with ``ratios`` of the description of its original."""

    source: Annotated[str, Meta(min_length=1, max_length=8192)]
    operations: list[dict[str, Any]] = []
    ratios: Ratios | None = None
    open: Annotated[tuple[OpenValues, ...], Meta(max_length=16)] = ()
    round_up: bool = False


class LinksRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """The body of ``POST /playground/api/links``."""

    items: Annotated[list[LinkItem], Meta(min_length=1, max_length=MAX_LINKS)]


class LinkMaker:
    def __init__(
        self, dialects: MountedDialects, operations: OperationRegistry, presets: Collection[str]
    ) -> None:
        self._dialects = dialects
        self._unsigned = dialects.without_keys()
        self._operations = operations
        self._presets = presets

    def make(self, item: LinkItem, *, sign: bool) -> dict[str, object]:
        """Return the link's ``path`` and its ``steps``, or an ``error``.

        Where fields are open, ``rule`` says what may be chosen for each, in the order of the link.
        """
        builder = self._dialects if sign else self._unsigned
        try:
            if item.ratios is not None:
                sizes = tuple(Size(*ratio) for ratio in item.ratios)
                described = self._dialects.make_request(item.source, ())
                path = builder.build(replace(described, plan=Plan(), info=InfoRequest(sizes)))
                return {"path": path, "steps": []}
            steps = self.write_steps(item.operations)
            if item.open:
                steps = self._open_fields(item, steps)
            made: dict[str, object] = {
                "path": builder.build_link(item.source, steps),
                "steps": steps,
            }
            return {**made, "rule": self._describe_rule(steps)} if item.open else made
        except InvalidOperation as error:
            return {"error": str(error), "operation": error.operation, "field": error.field}
        except ProxyError as error:
            return {"error": str(error)}

    def write_steps(self, operations: Sequence[Any]) -> list[str]:
        """Write the steps of a chain: operations, and presets by their names.

        Raises InvalidOperation, naming the position in the chain.
        """
        steps: dict[int, str] = {}
        for index, operation in enumerate(operations):
            if isinstance(operation, dict) and operation.get("type") == "preset":
                steps[index] = self._write_preset(index, operation)
        own = [index for index in range(len(operations)) if index not in steps]
        try:
            plan = self._operations.plan([operations[index] for index in own])
        except InvalidOperation as error:
            if error.operation is None:
                raise
            index = own[error.operation]
            raise InvalidOperation(str(error), operation=index, field=error.field) from error
        steps |= dict(zip(own, map(format_operation, plan), strict=True))
        if not operations and DEFAULT_PRESET in self._presets:
            return ["preset"]  # an empty chain leaves the picture as it is
        return [steps[index] for index in range(len(operations))]

    def _open_fields(self, item: LinkItem, steps: Sequence[str]) -> list[str]:
        """Write the steps with the fields of an item left open.

        Raises InvalidOperation for a field that there is not.
        """
        opened = list(steps)
        for one in item.open:
            name = str(item.operations[one.operation].get("type")) if _has(item, one) else ""
            kind = self._operations.operations.get(name)
            if kind is None or one.field not in kind.__struct_fields__:
                raise InvalidOperation(
                    f"open: operation {one.operation} has no field {one.field[:60]!r} that can be "
                    "left open",
                    operation=one.operation,
                    field=one.field[:60],
                )
            opened[one.operation] = _open_field(kind, opened[one.operation], one)
        return [*opened, *["round:up"] * item.round_up]

    def _describe_rule(self, steps: Sequence[str]) -> dict[str, object]:
        rule = self._dialects.parse_rule(steps)
        return {
            "renditions": rule.renditions,
            "fields": [
                {"label": field.label, "options": field.options} for field in rule.open_fields
            ],
        }

    def _write_preset(self, index: int, operation: dict[str, Any]) -> str:
        name = operation.get("name")
        if not isinstance(name, str) or name not in self._presets:
            raise InvalidOperation(
                f"preset: name: must be one of {', '.join(sorted(self._presets)) or 'none'} "
                "(FRAMEKEEP_LINKS_PRESETS)",
                operation=index,
                field="name",
            )
        return f"preset:{name}"


def _has(item: LinkItem, one: OpenValues) -> bool:
    return one.operation < len(item.operations)


def _open_field(kind: type[Operation], step: str, one: OpenValues) -> str:
    """Replace the value of a field in a canonical step, whose values are all by position."""
    values = step.split(":")[1:]
    index = kind.__struct_fields__.index(one.field)
    values += [""] * (index + 1 - len(values))
    listed = "".join(one.values.split()).removeprefix("{").removesuffix("}")
    values[index] = quote(f"{{{listed}}}", safe=",")
    return ":".join((operation_name(kind), *values))
