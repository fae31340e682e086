"""msgspec's validation messages, which have no parts but their text."""

import re
from typing import NamedTuple

import msgspec

from proxy.compat import check

_REASON_AND_PATH = re.compile(r"(?P<reason>.*?)(?: - at `\$\.?(?P<path>.*)`)?", re.DOTALL)
_MISSING_FIELD = re.compile(r"Object missing required field `(?P<field>\w+)`")


class ValidationMessage(NamedTuple):
    """``path`` leads to the value, such as ``file.url`` or ``sizes[...]``; empty for the whole."""

    reason: str
    path: str


def parse_message(error: msgspec.ValidationError) -> ValidationMessage:
    match = _REASON_AND_PATH.fullmatch(str(error))
    reason, path = match.group("reason", "path") if match else (str(error), "")
    return ValidationMessage(reason[:1].lower() + reason[1:], path or "")


def missing_field(error: msgspec.ValidationError) -> str:
    """Return the required field that has no value; empty if the error is another one."""
    match = _MISSING_FIELD.match(str(error))
    return match["field"] if match else ""


class _Sample(msgspec.Struct):
    field: int


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
        == ("expected `int`, got `str`", "field"),
        "messages about a missing field name it": missing_field(_error({})) == "field",
    },
)
