"""msgspec's validation messages, which have no parts but their text."""

import re
from typing import NamedTuple

import msgspec

from proxy.compat import check

_PATH_START = " - at `$"
_LONG_VALUE = re.compile(r"'(?P<start>.{60}).+'", re.DOTALL)
_MISSING_FIELD = re.compile(r"Object missing required field `(?P<field>\w+)`")
_PATTERN = re.compile(r" matching regex '.*'", re.DOTALL)
_TYPES = re.compile(r"`[a-z]+(?: \| [a-z]+)*`")
_TYPE = re.compile(r"\b(?:int|float|bool|str)\b")
_JSON_TYPES = {"int": "integer", "float": "number", "bool": "boolean", "str": "string"}


DECODE_ERRORS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes that it cannot decode. Its documentation names the first only."""


class ValidationMessage(NamedTuple):
    """``reason`` has the names that JSON has for types.

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
    reason = _LONG_VALUE.sub(r"'\g<start>…'", _PATTERN.sub(" in another form", reason))
    reason = _TYPES.sub(lambda types: _TYPE.sub(_json_type, types[0]), reason)
    return ValidationMessage(reason[:1].lower() + reason[1:], path)


def _json_type(name: re.Match[str]) -> str:
    return _JSON_TYPES[name[0]]


def missing_field(error: msgspec.ValidationError) -> str:
    """Return the required field that has no value; empty if the error is another one."""
    match = _MISSING_FIELD.match(str(error))
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
        == ("expected `integer`, got `string`", "field"),
        "what cannot be decoded raises one of these": all(
            map(_is_decode_error, (b"\x92", b"\xa1\xff", b"\x91" * 100_000))
        ),
        "messages about a missing field name it": missing_field(_error({})) == "field",
    },
)
