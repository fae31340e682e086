"""Rules: operations with open fields, and the choice that makes a plan of them."""

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from math import prod
from urllib.parse import quote

from msgspec import Struct

from proxy.errors import InvalidLink
from proxy.links.client_hints import Hint
from proxy.links.open_fields import (
    AUTO,
    MAX_OPEN_FIELDS,
    OpenField,
    can_be_open,
    is_open,
    mark_shares,
    parse_open_field,
)
from proxy.operations.box import takes_shares
from proxy.operations.operation import Operation, operation_name
from proxy.operations.registry import OperationRegistry
from proxy.text_values import canonical_color
from proxy.validation import field_schemas, is_color

Argument = tuple[str | None, str]
"""The name of a field, or None, and its value in text."""

StepsParser = Callable[[str], tuple[Operation, ...]]
"""Parses the steps of an overlay."""


class OpenOperation(Struct, frozen=True):
    """An operation of a rule; an argument that is left open is an `OpenField`."""

    name: str
    args: tuple[tuple[str | None, str | OpenField], ...]

    @property
    def open_fields(self) -> tuple[OpenField, ...]:
        return tuple(value for _, value in self.args if isinstance(value, OpenField))

    @property
    def text(self) -> str:
        """The step as it is written in a link."""
        return ":".join((self.name, *(_format_argument(*argument) for argument in self.args)))

    def with_values(
        self, values: Iterator[str], operations: OperationRegistry, parse_steps: StepsParser
    ) -> Operation:
        """Make the operation, taking a value for each open field from the iterator.

        Raises InvalidOperation as for the same values in a link.
        """
        args = [
            (key, next(values) if isinstance(value, OpenField) else value)
            for key, value in self.args
        ]
        return operations.from_args(self.name, args, parse_steps)


def parse_operation(
    name: str,
    args: Sequence[Argument],
    operations: OperationRegistry,
    parse_steps: StepsParser,
    *,
    max_options: int,
) -> Operation | OpenOperation:
    """Parse a step of a link. Raises InvalidOperation, and InvalidLink for an open field."""
    kind = operations.get(name)
    if not any(is_open(text) or text == AUTO for _, text in args):
        return operations.from_args(name, args, parse_steps)
    fields = [operations.field_of(kind, index, key) for index, (key, _) in enumerate(args)]
    open_args = tuple(
        (key, _parse_value(kind, field, text, max_options))
        for field, (key, text) in zip(fields, args, strict=True)
    )
    operation = OpenOperation(name, open_args)
    if "dpr" in fields and any(field.hint is Hint.WIDTH for field in operation.open_fields):
        raise InvalidLink(
            f"{name}: dpr: where client hints choose the width, use the link option dpr instead"
        )
    if operation.open_fields:
        return operation
    return operations.from_args(name, args, parse_steps)


def check_size(fields: Sequence[OpenField], *, factor: int, most: int) -> None:
    """Raise InvalidLink for a rule with too many open fields or renditions.

    ``factor`` is how many renditions one choice has.
    """
    if len(fields) > MAX_OPEN_FIELDS:
        raise InvalidLink(f"at most {MAX_OPEN_FIELDS} fields of a link may be open")
    count = prod(len(field.options) for field in fields) * factor
    if count > most:
        raise InvalidLink(
            f"the open fields allow {count:,} renditions, more than {most:,} "
            "(FRAMEKEEP_LINKS_MAX_RENDITIONS)"
        )


def may_negotiate(operation: Operation | OpenOperation) -> bool:
    """Whether the format may be that which the client accepts."""
    if isinstance(operation, OpenOperation):
        values = (
            one.options if isinstance(one, OpenField) else (one,) for _, one in operation.args
        )
        return operation.name == "convert" and any("auto" in options for options in values)
    return getattr(operation, "format", None) == "auto"


def every_choice(fields: Sequence[OpenField]) -> Iterator[tuple[str, ...]]:
    return product(*(field.options for field in fields))


def choose_values(
    fields: Sequence[OpenField], choice: str | None, *, round_up: bool
) -> Sequence[str]:
    """Return one option for each open field, ``auto`` for one that is left to client hints.

    ``choice`` is what follows ``choose:`` in the link, None where the link has no such segment.
    Raises InvalidLink.
    """
    if choice is None and not fields:
        return ()
    if not fields:
        raise InvalidLink("choose: no field of this link is open, so there is nothing to choose")
    count = f"{len(fields)} field{'s' if len(fields) > 1 else ''}"
    described = "; ".join(field.describe() for field in fields)
    if choice is None:
        if all(field.hint for field in fields):
            return [AUTO] * len(fields)
        values = ":".join(AUTO if field.hint else field.options[0] for field in fields)
        raise InvalidLink(
            f"{count} of this link {'are' if len(fields) > 1 else 'is'} open: write a choice after "
            f"the signature, such as /choose:{values}/. {described}"
        )
    texts = choice.split(":", MAX_OPEN_FIELDS)
    if len(texts) != len(fields) or not choice:
        raise InvalidLink(
            f"choose: takes one value for each open field, {len(fields)}, not "
            f"{len(texts) if choice else 0}. {described}"
        )
    return [
        field.choose(text, round_up=round_up) for field, text in zip(fields, texts, strict=True)
    ]


def _parse_value(kind: type[Operation], field: str, text: str, max_options: int) -> str | OpenField:
    """Parse the value of an argument, which is text unless it is open. Raises InvalidLink."""
    schemas, hint = field_schemas(kind).get(field), _hint_for(kind, field)
    may_be_open = is_open(text) or (text == AUTO and hint is not None)
    if schemas is None or not may_be_open or not can_be_open(schemas):
        color = canonical_color(text) if schemas and is_color(kind, field) else ""
        return color.removeprefix("#") if color else text
    label = f"{operation_name(kind)}: {field}"
    is_word = any(AUTO in schema.get("enum", ()) for schema in schemas)
    if hint is None and not is_word and AUTO in text[1:-1].split(","):
        raise InvalidLink(
            f"{label}: no client hint is about this field; auto may stand in the list of a width "
            "that the image is scaled to, of the link option dpr, and of a quality"
        )
    opened = parse_open_field(label, text, max_options=max_options, hint=hint)
    return mark_shares(opened) if takes_shares(schemas) else opened


def _hint_for(kind: type[Operation], field: str) -> Hint | None:
    """The client hint that is about a field, if any."""
    may_scale = kind.scales_to_pixels is not Operation.scales_to_pixels
    if field == "width_in_px" and may_scale:
        return Hint.WIDTH
    if operation_name(kind) == "quality" or field in ("quality", "ssimulacra2"):
        return Hint.SAVE_DATA
    return None


def _format_argument(key: str | None, value: str | OpenField) -> str:
    text = value.text if isinstance(value, OpenField) else quote(value, safe="")
    return text if key is None else f"{quote(key, safe='')}={text}"
