"""The values of link options, such as ``tag`` and ``expires``. Errors name option and bound."""

import re
from collections.abc import Sequence

from proxy.errors import InvalidLink
from proxy.geometry import Size
from proxy.links.percent_encoding import safe_excerpt

MAX_ASPECT_RATIOS = 16
MAX_TAGS = 16
MAX_VALUE_LENGTH = 64
MAX_FILENAME_LENGTH = 200
MAX_EXPIRES = 253_402_300_799  # the last second of the year 9999

_UNIX_TIME = re.compile(r"0|[1-9][0-9]{0,11}", re.ASCII)
_ASPECT_RATIO = re.compile(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})", re.ASCII)
_TAG = re.compile(r"[!#-+\--~]{1,64}")  # CDNs separate tags by spaces and commas


def check_length(name: str, value: str, longest: int) -> str:
    if not 1 <= len(value) <= longest:
        raise InvalidLink(f"{name}: must have 1 to {longest} characters, not {len(value)}")
    return value


def parse_flag(name: str, value: str) -> bool:
    if value:
        raise InvalidLink(f"{name}: takes no value")
    return True


def parse_tag(value: str, before: Sequence[str]) -> str:
    if sum(tag.startswith("tag:") for tag in before) >= MAX_TAGS:
        raise InvalidLink(f"tag: at most {MAX_TAGS} tags in a link")
    if not _TAG.fullmatch(value):
        raise InvalidLink(
            f"tag: must be 1 to {MAX_VALUE_LENGTH} visible ASCII characters without commas, quotes"
        )
    return f"tag:{value}"


def parse_expires(value: str) -> int:
    if not _UNIX_TIME.fullmatch(value) or int(value) > MAX_EXPIRES:
        raise InvalidLink(f"expires: must be a Unix time in whole seconds from 0 to {MAX_EXPIRES}")
    return int(value)


def parse_aspect_ratios(value: str) -> tuple[Size, ...]:
    ratios = value.split(":") if value else []
    if len(ratios) > MAX_ASPECT_RATIOS:
        raise InvalidLink(f"info: at most {MAX_ASPECT_RATIOS} aspect ratios, not {len(ratios)}")
    return tuple(map(_parse_aspect_ratio, ratios))


def _parse_aspect_ratio(value: str) -> Size:
    found = _ASPECT_RATIO.fullmatch(value)
    if not found:
        raise InvalidLink(
            "info: an aspect ratio must be two whole numbers from 1 to 99999, such as 16x9, not "
            f"{safe_excerpt(value)}"
        )
    return Size(int(found[1]), int(found[2]))


def parse_filename(value: str) -> str:
    if any(character in value for character in '/\\"') or not value.isprintable():
        raise InvalidLink("filename: no slashes, backslashes, quotes or unprintable characters")
    return check_length("filename", value, MAX_FILENAME_LENGTH)
