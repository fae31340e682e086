"""msgspec's validation messages, which have no parts but their text."""

import re
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from proxy.compat import check

_PATH_START = " - at `$"
_LONG_VALUE = re.compile(r"'(?P<start>.{60}).+'", re.DOTALL)
_MISSING_FIELD = re.compile(r"Object missing required field `(?P<field>\w+)`")
_UNKNOWN_FIELD = re.compile(r"Object contains unknown field `(?P<field>[^`]*)`")
_UNKNOWN_WORD = re.compile(r"Invalid (?:enum )?value (?P<value>.*)", re.DOTALL)
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
