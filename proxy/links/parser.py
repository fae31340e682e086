"""The steps of a native link: operations, and link words that say something about the answer."""

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from msgspec import Struct, field

from proxy.errors import InvalidLink, ProxyError
from proxy.geometry import Size
from proxy.image_request import InfoRequest, ResponseOptions
from proxy.links.percent_encoding import percent_decode, safe_excerpt
from proxy.operations.plan import Operation, OperationRegistry

LINK_OPTIONS = ("preset", "expires", "v", "filename", "tag", "info", "debug")
MAX_ASPECT_RATIOS = 16
MAX_TAGS = 16
MAX_VALUE_LENGTH = 64
MAX_FILENAME_LENGTH = 200
MAX_EXPIRES = 253_402_300_799  # the last second of the year 9999

_MOMENT = re.compile(r"0|[1-9][0-9]{0,11}", re.ASCII)
_RATIO = re.compile(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_TAG = re.compile(r"[!#-+\--~]{1,64}")  # tags are divided by spaces and commas where CDNs read them


class ParsedLink(Struct):
    """What the steps read so far ask for."""

    operations: list[Operation] = field(default_factory=list)
    version: str = ""
    expires: int | None = None
    filename: str = ""
    tags: list[str] = field(default_factory=list)
    info: InfoRequest | None = None
    debug: bool = False

    @property
    def response_options(self) -> ResponseOptions:
        return ResponseOptions(
            self.expires, self.filename, tuple(dict.fromkeys(self.tags)), self.debug
        )


class StepParser:
    """Reads steps into a wish."""

    def __init__(self, catalogue: OperationRegistry, presets: Mapping[str, str]) -> None:
        """Every preset is read here and now. Raises ValueError where one is wrong."""
        self._catalogue = catalogue
        self._texts = dict(presets)
        self._presets: dict[str, ParsedLink] = {}
        self._trail: list[str] = []
        for name in self._texts:
            if not _NAME.fullmatch(name):
                raise ValueError(f"preset {name!r}: a name is 1 to 64 of A-Z a-z 0-9 _ -")
            self._preset(name)

    def parse_step(self, wish: ParsedLink, segment: str) -> None:
        """Add what the segment says. Raises BadLink or BadPlan."""
        if not segment:
            raise InvalidLink("an empty segment; slashes stand alone")
        if "?" in segment:
            raise InvalidLink("a step has no query string; write ? as %3F")
        head, colon, rest = segment.partition(":")
        name = percent_decode(head)
        if name in self._catalogue.operations:
            self._catalogue.check_count(len(wish.operations) + 1)
            words = [_pair(word) for word in rest.split(":")] if colon else []
            wish.operations.append(self._catalogue.from_args(name, words))
        elif name in LINK_OPTIONS:
            self._word(wish, name, percent_decode(rest))
        else:
            close = get_close_matches(name[:MAX_VALUE_LENGTH], [*self._catalogue.operations, *LINK_OPTIONS], 1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise InvalidLink(f"no operation, link word or source is named {safe_excerpt(name)}{hint}")

    def _word(self, wish: ParsedLink, name: str, value: str) -> None:
        match name:
            case "preset":
                self._add_preset(wish, value)
            case "expires":
                _once(name, wish.expires is None)
                wish.expires = _expires(value)
            case "v":
                _once(name, not wish.version)
                wish.version = _bounded(name, value, MAX_VALUE_LENGTH)
            case "filename":
                _once(name, not wish.filename)
                wish.filename = _filename(value)
            case "info":
                _once(name, wish.info is None)
                wish.info = InfoRequest(_windows(value))
            case "debug":
                _once(name, not wish.debug)
                wish.debug = _bare(name, value)
            case "tag":
                wish.tags.append(_tag(value, wish.tags))

    def _add_preset(self, wish: ParsedLink, name: str) -> None:
        if name not in self._texts:
            raise InvalidLink(f"preset: there is none named {safe_excerpt(name)}")
        preset = self._preset(name)
        self._catalogue.check_count(len(wish.operations) + len(preset.operations))
        if preset.expires is not None:
            _once("expires", wish.expires is None)
            wish.expires = preset.expires
        if preset.version:
            _once("v", not wish.version)
            wish.version = preset.version
        if preset.filename:
            _once("filename", not wish.filename)
            wish.filename = preset.filename
        wish.debug |= preset.debug
        wish.operations += preset.operations
        wish.tags += [f"preset:{name}", *preset.tags]

    def _preset(self, name: str) -> ParsedLink:
        if name in self._presets:
            return self._presets[name]
        if name in self._trail:
            raise ValueError(f"presets: {' > '.join((*self._trail, name))} is a circle")
        self._trail.append(name)
        wish = ParsedLink()
        for segment in self._texts[name].strip("/").split("/"):
            try:
                self.parse_step(wish, segment)
            except ProxyError as error:
                raise ValueError(f"preset {name!r}: {safe_excerpt(segment)}: {error}") from error
        self._trail.pop()
        self._presets[name] = wish
        return wish


def _pair(word: str) -> tuple[str | None, str]:
    key, equals, value = word.partition("=")
    return (percent_decode(key), percent_decode(value)) if equals else (None, percent_decode(word))


def _once(name: str, first: bool) -> None:
    if not first:
        raise InvalidLink(f"{name} is given twice")


def _bounded(name: str, value: str, longest: int) -> str:
    if not 1 <= len(value) <= longest:
        raise InvalidLink(f"{name}: 1 to {longest} characters, not {len(value)}")
    return value


def _bare(name: str, value: str) -> bool:
    if value:
        raise InvalidLink(f"{name}: it takes no value")
    return True


def _tag(value: str, before: Sequence[str]) -> str:
    if sum(label.startswith("tag:") for label in before) >= MAX_TAGS:
        raise InvalidLink(f"tag: at most {MAX_TAGS} in a link")
    if not _TAG.fullmatch(value):
        raise InvalidLink(
            f"tag: 1 to {MAX_VALUE_LENGTH} visible ASCII characters without commas, quotes"
        )
    return f"tag:{value}"


def _expires(value: str) -> int:
    if not _MOMENT.fullmatch(value) or int(value) > MAX_EXPIRES:
        raise InvalidLink(f"expires: Unix seconds, a whole number from 0 to {MAX_EXPIRES}")
    return int(value)


def _windows(value: str) -> tuple[Size, ...]:
    ratios = value.split(":") if value else []
    if len(ratios) > MAX_ASPECT_RATIOS:
        raise InvalidLink(f"info: at most {MAX_ASPECT_RATIOS} ratios, not {len(ratios)}")
    return tuple(map(_ratio, ratios))


def _ratio(value: str) -> Size:
    found = _RATIO.fullmatch(value)
    if not found:
        raise InvalidLink(
            f"info: a ratio is two whole numbers, 1 to 99999, as in 16x9, not {safe_excerpt(value)}"
        )
    return Size(int(found[1]), int(found[2]))


def _filename(value: str) -> str:
    if any(character in value for character in '/\\"') or not value.isprintable():
        raise InvalidLink("filename: no slashes, backslashes, quotes or unprintable characters")
    return _bounded("filename", value, MAX_FILENAME_LENGTH)
