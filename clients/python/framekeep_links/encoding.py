"""How steps and sources are written in a link."""

import re
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from typing import TypeAlias
from urllib.parse import quote

Value: TypeAlias = str | int | float | bool | Sequence[str | int | float] | None

STEP = re.compile(r"([a-z][a-z0-9_]*)(?::(?:[A-Za-z0-9._~!$&'()*+,;=@:-]|%[0-9A-Fa-f]{2})*)?")
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_HTTP_URL = re.compile(r"(https?)://([^/?]+)(.*)", re.IGNORECASE | re.DOTALL)
_ALIAS = re.compile(r"([a-z][a-z0-9_-]{0,31}):(.+)", re.DOTALL)
RESERVED = frozenset(("b64", "data", "http", "https", "upload"))
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_UNSAFE = re.compile(r"%(?![0-9A-Fa-f]{2})|[^A-Za-z0-9._~:/?@!$&'()*+,;=%-]")
# What clients, proxies, CDNs or the commas of a srcset would change in a URL that is written out.
_FRAGILE = re.compile(r"//|/(?:\.|%2e){1,2}(?:[/?]|$)|/https?:/|^/|^$|[?,]$", re.IGNORECASE)
_COLOR = re.compile(r"#([0-9A-Fa-f]{3}|[0-9A-Fa-f]{6})")
_COLOR_FIELD = re.compile(r"(?:.*_)?(?:color|background)")
# Their values may be any text, so one that begins with # is no color.
_FREE_TEXT = frozenset(("filename", "tag", "text", "v"))


def step(name: str, *values: Value, **fields: Value) -> str:
    """Write a step, with its values percent-encoded: ``step("text", "50 % off", size=40)``.

    Colors are written without ``#``: ``#f80`` as ``FF8800``.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"step: {name!r} is not a name of a step")
    if name not in _FREE_TEXT:
        values = tuple(map(_bare_color, values))
    named = (
        f"{field}={_format_value(_bare_color(value) if _COLOR_FIELD.fullmatch(field) else value)}"
        for field, value in fields.items()
    )
    return ":".join((name, *map(_format_value, values), *named))


def _bare_color(value: Value) -> Value:
    found = _COLOR.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return value
    digits = found[1].upper()
    return digits if len(digits) == 6 else "".join(digit * 2 for digit in digits)


def _format_value(value: Value) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case str():
            return quote(value, safe="")
        case int():
            return str(value)
        case float():
            text = str(int(value)) if value.is_integer() else repr(value)
            if not re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", text):
                raise ValueError(f"step: the number {value} cannot be written in a link")
            return text
        case _:
            return ",".join(map(_format_value, value))


def step_name(text: str) -> str:
    match = STEP.fullmatch(text)
    if match is None or match[1] in RESERVED:
        raise ValueError(
            f"step {text[:60]!r} is not written as in a link, such as resize:800:600; use step() "
            "to encode its values"
        )
    return match[1]


def encode_source(source: str) -> str:
    """Write a source as the last part of a link. Raises ValueError for one that no server takes."""
    if _CONTROL.search(source):
        raise ValueError("source contains a control character")
    if url := _HTTP_URL.fullmatch(source):
        return _encode_url(url[1].lower(), url[2], url[3])
    alias = _ALIAS.fullmatch(source)
    if alias is None or alias[1] in RESERVED:
        raise ValueError("source must be an http:// or https:// URL, or ALIAS:path")
    if _FRAGILE.search(alias[2]):
        return to_base64(source)
    return f"{alias[1]}:{quote(alias[2], safe='/')}"


def _encode_url(scheme: str, host: str, target: str) -> str:
    if "#" in host + target:
        raise ValueError("source has a fragment; remove it, or write # as %23")
    if "\\" in host + target or " " in host or "@" in host:
        raise ValueError("source has a backslash, a user name or a space in its host")
    target = _UNSAFE.sub(lambda found: quote(found[0], safe=""), target)
    text = f"{scheme}://{host}{target}"
    return to_base64(text) if _UNSAFE.search(host) or _FRAGILE.search(host + target) else text


def to_base64(text: str) -> str:
    return "b64:" + urlsafe_b64encode(text.encode()).decode().rstrip("=")
