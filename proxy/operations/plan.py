"""Operations, plans, and the catalogue in which every wire looks them up.

The same question comes from links and JSON: text or decoded JSON becomes a frozen, bounded value,
or a sentence saying why not. A field's name may be given without its unit (``width`` for
``width_in_px``).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from functools import lru_cache
from typing import Any, ClassVar, Literal
from urllib.parse import quote

import msgspec
from msgspec import Struct, structs

from proxy.errors import InvalidOperation
from proxy.formats import Name
from proxy.geometry import Size
from proxy.imaging.image import Picture
from proxy.originals import SourceRef
from proxy.validation import Misfit, converted, from_text

_UNITS = ("_in_px", "_in_degrees", "_in_percent", "_in_bytes")


def _snake_case(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


class Operation(
    Struct,
    frozen=True,
    forbid_unknown_fields=True,
    tag_field="type",
    tag=_snake_case,
):
    """One step. Class name: the name on every wire. Fields: the arguments, in order.

    Docstring: the reference. A field's bounds are its annotation.
    """

    aliases: ClassVar[Mapping[str, str]] = {}
    """Other names of fields that are accepted, beside those without units."""

    touches_pixels: ClassVar[bool] = True
    """False where only the way of writing changes: decoders then look at the next operation."""

    def apply(self, picture: Picture) -> Picture:
        """The picture with this step done. Raises an ImageError where that cannot be."""
        raise NotImplementedError

    def needs(self, natural: Size) -> Size | None:
        """The least raster that gives the same answer: decoders may shrink while loading.

        None asks for every pixel. Only the first operation that touches pixels is asked.
        """
        return None

    def looks(self) -> bool:
        """Whether the subject of the picture decides what is done."""
        return False

    def pages(self) -> tuple[int, int] | None:
        """The first and the last frame or page that are wanted, from 1; None for all there are."""
        return None

    def also(self) -> tuple[SourceRef, ...]:
        """Second images; they are fetched before rendering and handed over by address."""
        return ()


class Plan(Struct, frozen=True):
    """Operations in the order of work.

    ``offer`` holds the formats beyond jpeg, png and gif that the asker takes, best first; it stays
    empty unless the plan leaves the format open, so that equal wishes are equal plans.
    """

    operations: tuple[Operation, ...] = ()
    offer: tuple[Name, ...] = ()

    def __iter__(self) -> Iterator[Operation]:
        return iter(self.operations)

    @property
    def format(self) -> Name | Literal["auto"] | None:
        """The format that the plan ends in; None leaves it to the source's."""
        formats = (getattr(operation, "format", None) for operation in reversed(self.operations))
        return next((form for form in formats if form is not None), None)

    @property
    def negotiates(self) -> bool:
        """Whether the answer's format may depend on what the asker takes."""
        return self.format == "auto"

    @property
    def pages(self) -> tuple[int, int] | None:
        """The frames or pages that the last operation to choose some has chosen; None for all."""
        choices = (operation.pages() for operation in reversed(self.operations))
        return next((pages for pages in choices if pages is not None), None)

    def needs(self, natural: Size) -> Size | None:
        """The least raster that gives the same answer; None asks for every pixel."""
        return self._first.needs(natural) if self._first else None

    @property
    def looks(self) -> bool:
        """Whether the subject decides what is done anywhere in it."""
        return any(one.looks() for one in self.operations)

    @property
    def begins_with_a_look(self) -> bool:
        """Whether the subject of the whole original has to be known."""
        return self._first is not None and self._first.looks()

    @property
    def _first(self) -> Operation | None:
        return next((one for one in self.operations if one.touches_pixels), None)

    def offered(self, formats: Sequence[Name]) -> "Plan":
        """The plan as it is for an asker who takes these formats."""
        return structs.replace(self, offer=tuple(formats) if self.negotiates else ())

    def also(self) -> tuple[SourceRef, ...]:
        """The second images of all operations, each once."""
        return tuple(dict.fromkeys(address for one in self.operations for address in one.also()))

    @property
    def text(self) -> str:
        """The canonical text: every field of every operation, defaults spelled out."""
        steps = (written(operation, spell_out=True) for operation in self.operations)
        return "/".join((*steps, f"offer:{','.join(self.offer)}"))


def name_of(operation: Operation | type[Operation]) -> str:
    """The operation's name on every wire."""
    return str(operation.__struct_config__.tag)


@lru_cache(maxsize=1024)
def _fields_of(kind: type[Operation]) -> tuple[structs.FieldInfo, ...]:
    """The operation's fields. msgspec reads them anew each time: a third of what a link costs."""
    return structs.fields(kind)


def written(operation: Operation, *, spell_out: bool = False) -> str:
    """The step as text, ``name:value:value``; defaults at the end are dropped or spelled out."""
    fields = _fields_of(type(operation))
    words = [_word(getattr(operation, field.name)) for field in fields]
    if not spell_out:
        defaults = [field.default for field in fields]
        while words and getattr(operation, fields[len(words) - 1].name) == defaults[len(words) - 1]:
            words.pop()
    return ":".join((name_of(operation), *words))


def _word(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case float():
            return str(int(value)) if value.is_integer() else f"{Decimal(repr(value)):f}"
        case tuple():
            return ",".join(_word(part) for part in value)
        case _:
            return quote(str(value), safe="")


class OperationRegistry:
    """The operations on offer."""

    def __init__(self, operations: Sequence[type[Operation]], *, at_most: int = 30) -> None:
        self.operations = {name_of(kind): kind for kind in operations}
        self.at_most = at_most

    def plan(self, steps: object) -> Plan:
        """A plan from decoded JSON: a list of objects, each with ``type`` and its fields.

        Raises:
            BadPlan: naming the operation, the field and the bound.
        """
        if not isinstance(steps, list):
            raise InvalidOperation("operations must be a list")
        self.check_count(len(steps))
        return Plan(tuple(self._from_json(at, step) for at, step in enumerate(steps)))

    def check_count(self, count: int) -> None:
        if count > self.at_most:
            raise InvalidOperation(f"a plan has at most {self.at_most} operations, not {count}")

    def get(self, name: str) -> type[Operation]:
        """The operation of that name. Raises BadPlan where there is none."""
        kind = self.operations.get(name)
        if kind is None:
            raise InvalidOperation(
                f"there is no operation {name!r}; known are {', '.join(self.operations)}"
            )
        return kind

    def _from_json(self, at: int, step: object) -> Operation:
        if not isinstance(step, dict):
            raise InvalidOperation(f"operations[{at}] must be an object", operation=at)
        name = step.get("type")
        if not isinstance(name, str):
            raise InvalidOperation(
                f"operations[{at}].type must name an operation", operation=at, field="type"
            )
        try:
            kind = self.get(name)
            values = {key: value for key, value in step.items() if key != "type"}
            return _converted(kind, _by_true_names(kind, values))
        except InvalidOperation as error:
            raise InvalidOperation(
                f"operations[{at}] {error}", operation=at, field=error.field
            ) from error

    def from_args(self, name: str, words: Sequence[tuple[str | None, str]]) -> Operation:
        """An operation from a link's words: pairs of a field's name, or None, and its text.

        Words without a name come first, in the order of the fields; an empty one leaves its field
        out. Then those with a name, in any order.
        """
        kind = self.get(name)
        names = kind.__struct_fields__
        values: dict[str, str] = {}
        named = False
        for at, (key, word) in enumerate(words):
            if key is not None:
                named = True
                true = _true_name(kind, key)
                if true in values:
                    raise InvalidOperation(f"{name}: {true} is given twice", field=true)
                values[true] = word
            elif named:
                raise InvalidOperation(
                    f"{name}: {word!r} stands after a named value and has no name"
                )
            elif at >= len(names):
                raise InvalidOperation(
                    f"{name} takes at most {len(names)} values, not {len(words)}"
                )
            elif word:
                values[names[at]] = word
        return _converted(kind, {key: from_text(kind, key, value) for key, value in values.items()})

    def schemas(self) -> dict[str, Any]:
        """JSON Schema of every operation by its class name, as OpenAPI components."""
        _, components = msgspec.json.schema_components(
            self.operations.values(), ref_template="#/components/schemas/{name}"
        )
        return components


def short_names(kind: type[Operation]) -> dict[str, str]:
    """Every accepted other name of a field, and the field's true name."""
    names = dict(kind.aliases)
    for field in kind.__struct_fields__:
        for unit in _UNITS:
            if field.endswith(unit):
                names[field.removesuffix(unit)] = field
    return names


def _true_name(kind: type[Operation], name: str) -> str:
    true = short_names(kind).get(name, name)
    if true not in kind.__struct_fields__:
        known = ", ".join(kind.__struct_fields__) or "none"
        raise InvalidOperation(
            f"{name_of(kind)} has no field {name!r}; its fields: {known}", field=name
        )
    return true


def _by_true_names(kind: type[Operation], values: Mapping[str, Any]) -> dict[str, Any]:
    renamed: dict[str, Any] = {}
    for name, value in values.items():
        true = _true_name(kind, name)
        if true in renamed:
            raise InvalidOperation(f"{name_of(kind)}: {true} is given twice", field=true)
        renamed[true] = value
    return renamed


def _converted(kind: type[Operation], values: Mapping[str, Any]) -> Operation:
    name = name_of(kind)
    try:
        return converted(kind, {"type": name, **values})
    except Misfit as error:
        raise InvalidOperation(f"{name}: {error}", field=error.field or None) from error
