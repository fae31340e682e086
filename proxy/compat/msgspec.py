"""msgspec's validation messages, which have no parts but their text, and where their paths lead."""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec
from msgspec import inspect

from proxy.compat import check

_PATH_START = " - at `$"
_LONG_VALUE = re.compile(r"'(?P<start>.{60}).+'", re.DOTALL)
_MISSING_FIELD = re.compile(r"Object missing required field `(?P<field>\w+)`")
_UNKNOWN_FIELD = re.compile(r"Object contains unknown field `(?P<field>[^`]*)`")
_UNKNOWN_WORD = re.compile(r"Invalid (?:enum )?value (?P<value>.*)", re.DOTALL)
_PATH_PART = re.compile(r"\.?([^.\[\]]+)|\[([^\]]*)\]")
_EXPECTED = re.compile(r"Expected `(?P<types>\w+(?: \| \w+)*)`(?P<rest>.*)", re.DOTALL)
_GOT = re.compile(r", got `(?P<type>\w+)`")
_PATTERN = re.compile(r" matching regex '.*'", re.DOTALL)
_LENGTH = re.compile(r"\blength (?P<bound>.*?)(?=, got|$)")
_SIGN = re.compile(r"[<>]=?(?= )")

_NAMES = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "text",
    "array": "a list",
    "object": "a table (a JSON object)",
}
_SIGNS = {">=": "at least", "<=": "at most", ">": "more than", "<": "less than"}
_PARTS = {"str": "characters", "array": "values", "object": "members"}


DECODE_ERRORS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes that it cannot decode. Its documentation names the first only."""


class ValidationMessage(NamedTuple):
    """``reason`` is in plain words, such as ``must be a number, not text``.

    ``path`` leads to the value, such as ``file.url`` or ``sizes[...]``; empty for the whole.
    """

    reason: str
    path: str


def parse_message(error: msgspec.ValidationError) -> ValidationMessage:
    # The reason may quote a long value; the path is the last part.
    text = str(error)
    reason, _, path = text.rpartition(_PATH_START) if _PATH_START in text else (text, "", "")
    path = path.removeprefix(".").removesuffix("`")
    if missing := missing_field(error):
        return ValidationMessage(f"{missing} is missing", path)
    if unknown := unknown_field(error):
        reason = f"unknown field {unknown!r}"
    elif word := _UNKNOWN_WORD.fullmatch(reason):
        reason = f"{word['value']} is none of the values that are allowed"
    elif expected := _EXPECTED.fullmatch(reason):
        types = expected["types"].split(" | ")
        reason = f"must be {' or '.join(map(_name, types))}{_explain_rest(types, expected['rest'])}"
    reason = _LONG_VALUE.sub(r"'\g<start>…'", reason)
    return ValidationMessage(reason[:1].lower() + reason[1:], path)


def _name(type_name: str) -> str:
    return _NAMES.get(type_name, type_name)


def _explain_rest(types: Sequence[str], rest: str) -> str:
    """Say in words what follows the types: ``, got `int```, `` >= 1`` or `` of length >= 2``."""
    if got := _GOT.fullmatch(rest):
        return f", not {_name(got['type'])}"
    parts = next((_PARTS[one] for one in types if one in _PARTS), "")
    rest = _LENGTH.sub(rf"\g<bound> {parts}", _PATTERN.sub(" in another form", rest))
    if _SIGN.match(rest.lstrip()):
        rest = f" of{rest}"
    return _SIGN.sub(lambda sign: _SIGNS[sign[0]], rest).replace(", got ", ", not ")


def missing_field(error: msgspec.ValidationError) -> str:
    """Return the required field that has no value; empty if the error is another one."""
    match = _MISSING_FIELD.match(str(error))
    return match["field"] if match else ""


def unknown_field(error: msgspec.ValidationError) -> str:
    """Return the field that the struct does not have; empty if the error is another one."""
    match = _UNKNOWN_FIELD.match(str(error))
    return match["field"] if match else ""


def unknown_word(error: msgspec.ValidationError) -> str:
    """Return the value that is none of those that are allowed; empty if the error is another one.

    A text is in quotes, and shortened.
    """
    match = _UNKNOWN_WORD.fullmatch(str(error).rpartition(_PATH_START)[0] or str(error))
    return _LONG_VALUE.sub(r"'\g<start>…'", match["value"]) if match else ""


def words_at(kind: object, path: str) -> tuple[str, ...]:
    """Return the words that are allowed where a path of `parse_message` leads.

    Where a number within bounds is allowed too, the last one says so: ``1 to 100``.
    """
    parts = [name or index for name, index in _PATH_PART.findall(path)]
    words: dict[str, None] = {}
    numbers: dict[str, None] = {}
    for one in _types_at(kind, parts):
        match one:
            case inspect.LiteralType(values):
                words |= dict.fromkeys(map(str, values))
            case inspect.EnumType(enum):
                words |= {str(member.value): None for member in enum}
            case inspect.IntType(ge=int(low), le=int(high)):
                numbers[f"{low} to {high}"] = None
    for one in _types_at(kind, parts[:-1]):
        if isinstance(one, inspect.StructType) and parts and parts[-1] == one.tag_field:
            words[str(one.tag)] = None
    return (*words, *numbers)


def fields_at(kind: object, path: str) -> tuple[str, ...]:
    """Return the fields of the struct to which a path of `parse_message` leads."""
    parts = [name or index for name, index in _PATH_PART.findall(path)]
    structs = [one for one in _types_at(kind, parts) if isinstance(one, inspect.StructType)]
    return tuple(dict.fromkeys(field.encode_name for one in structs for field in one.fields))


def _types_at(kind: object, parts: Sequence[str]) -> list[inspect.Type]:
    """The types that a value may have to which the parts of a path lead."""
    found = list(_plain_types(inspect.type_info(kind)))
    for part in parts:
        inner = (type_ for one in found for type_ in _inner_types(one, part))
        found = [plain for type_ in inner for plain in _plain_types(type_)]
    return found


def _plain_types(type_: inspect.Type) -> Iterator[inspect.Type]:
    match type_:
        case inspect.Metadata(type=inner):
            yield from _plain_types(inner)
        case inspect.UnionType(types):
            for one in types:
                yield from _plain_types(one)
        case _:
            yield type_


def _inner_types(type_: inspect.Type, part: str) -> Iterator[inspect.Type]:
    match type_:
        case inspect.StructType(fields=fields):
            yield from (field.type for field in fields if field.encode_name == part)
        case inspect.DictType(value_type=inner):
            yield inner
        case inspect.ListType(item_type=inner) | inspect.VarTupleType(item_type=inner):
            yield inner
        case inspect.SetType(item_type=inner) | inspect.FrozenSetType(item_type=inner):
            yield inner
        case inspect.TupleType(item_types=inner_types) if part.isdecimal():
            yield from inner_types[int(part) : int(part) + 1]


class _Sample(msgspec.Struct):
    field: int


def _is_decode_error(data: bytes) -> bool:
    try:
        msgspec.msgpack.decode(data)
    except DECODE_ERRORS:
        return True
    return False


def _error(value: object) -> msgspec.ValidationError:
    try:
        msgspec.convert(value, _Sample)
    except msgspec.ValidationError as error:
        return error
    return msgspec.ValidationError()


check(
    "msgspec",
    {
        "messages end with the path of the value": parse_message(_error({"field": ""}))
        == ("must be a whole number, not text", "field"),
        "what cannot be decoded raises one of these": all(
            map(_is_decode_error, (b"\x92", b"\xa1\xff", b"\x91" * 100_000))
        ),
        "messages about a missing field name it": missing_field(_error({})) == "field",
    },
)
