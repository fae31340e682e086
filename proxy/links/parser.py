"""The steps of a native link: operations, and link options that are about the response."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

from msgspec import Struct, field

from proxy.errors import InvalidLink, InvalidOperation, InvalidSource, ProxyError
from proxy.geometry import Size
from proxy.image_request import ImageRequest, InfoRequest, ResponseOptions
from proxy.links.native_steps import format_steps
from proxy.links.percent_encoding import percent_decode, safe_excerpt
from proxy.operations.operation import Operation, operation_name
from proxy.operations.plan import Plan
from proxy.operations.registry import OperationRegistry
from proxy.originals import SourceRef
from proxy.text_values import did_you_mean

LINK_OPTIONS = (
    "preset",
    "expires",
    "v",
    "filename",
    "tag",
    "info",
    "debug",
    "fallback",
    "attachment",
)
DEFAULT_PRESET = "default"
MAX_ASPECT_RATIOS = 16
MAX_TAGS = 16
MAX_VALUE_LENGTH = 64
MAX_FILENAME_LENGTH = 200
MAX_EXPIRES = 253_402_300_799  # the last second of the year 9999

_UNIX_TIME = re.compile(r"0|[1-9][0-9]{0,11}", re.ASCII)
_ASPECT_RATIO = re.compile(r"([1-9][0-9]{0,4})x([1-9][0-9]{0,4})", re.ASCII)
_PRESET_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_TAG = re.compile(r"[!#-+\--~]{1,64}")  # CDNs separate tags by spaces and commas


class ParsedLink(Struct):
    """What the steps of a link request, all but the source."""

    operations: list[Operation] = field(default_factory=list)
    version: str = ""
    expires: int | None = None
    filename: str = ""
    tags: list[str] = field(default_factory=list)
    info: InfoRequest | None = None
    debug: bool = False
    fallback: str = ""
    attachment: bool = False
    preset: str | None = None
    """The last preset that was named; empty where the link asks for none."""

    @property
    def plan(self) -> Plan:
        return Plan(tuple(self.operations))

    @property
    def response_options(self) -> ResponseOptions:
        return ResponseOptions(
            self.expires,
            self.filename,
            tuple(dict.fromkeys(self.tags)),
            self.debug,
            self.fallback,
            is_attachment=self.attachment,
        )

    def to_request(self, source: str) -> ImageRequest:
        """Make the request for a source.

        Raises InvalidLink where ``info`` has operations or a fallback.
        """
        if self.info is not None and self.operations:
            raise InvalidLink(
                "info: describes the original, so it cannot be combined with operations"
            )
        if self.info is not None and self.fallback:
            raise InvalidLink("info: describes the original, so it cannot have a fallback image")
        source_ref = SourceRef(source, self.version)
        return ImageRequest(source_ref, self.plan, self.response_options, self.info)


class StepParser:
    def __init__(
        self,
        operations: OperationRegistry,
        presets: Mapping[str, str],
        fallbacks: Collection[str] = (),
    ) -> None:
        """Parse every preset now. Raises ValueError where one is invalid.

        ``fallbacks`` are the names of the fallback images.
        """
        self._operations = operations
        self._fallbacks = frozenset(fallbacks)
        self._preset_texts = dict(presets)
        self._presets: dict[str, ParsedLink] = {}
        self._open_presets: list[str] = []
        for name in self._preset_texts:
            if not _PRESET_NAME.fullmatch(name):
                raise ValueError(f"preset {name!r}: a name is 1 to 64 of A-Z a-z 0-9 _ -")
            self._load_preset(name)

    def parse(self, steps: Sequence[str]) -> ParsedLink:
        """Parse steps as they are written in a link, such as ``resize:800:600``.

        Question marks need no encoding. Raises InvalidLink or InvalidOperation, naming the step.
        """
        link = ParsedLink()
        for number, step in enumerate(steps, 1):
            with error_location(f"step {number}", step, link):
                self.parse_step(link, step.replace("?", "%3F"))
        self.apply_default(link)
        return link

    def canonical(self, steps: Sequence[str]) -> list[str]:
        """Write each of the steps, which must be valid, in its canonical form, presets by name."""
        return [self._canonical_step(step.replace("?", "%3F")) for step in steps]

    def _canonical_step(self, step: str) -> str:
        link = ParsedLink()
        self.parse_step(link, step)
        if link.preset is not None:
            return f"preset:{link.preset}" if link.preset else "preset"
        if link.operations and link.tags:  # presets in the steps of an overlay keep their names
            return step
        return next(format_steps(link.plan, link.response_options, link.info, link.version))

    @property
    def has_default(self) -> bool:
        """Whether there is a preset for links without steps of their own."""
        return DEFAULT_PRESET in self._preset_texts

    def apply_default(self, link: ParsedLink) -> None:
        """Apply the preset `default` to a link with no operation, no `info` and no preset."""
        is_plain = not link.operations and link.info is None and link.preset is None
        if is_plain and self.has_default:
            self._apply_preset(link, DEFAULT_PRESET)

    def parse_step(self, link: ParsedLink, segment: str) -> None:
        """Parse one step into the link. Raises InvalidLink or InvalidOperation."""
        if not segment:
            raise InvalidLink("empty path segment: a double slash is not allowed")
        if "?" in segment:
            raise InvalidLink("unexpected query string in a step; write ? as %3F")
        head, colon, rest = segment.partition(":")
        name = percent_decode(head)
        if name in self._operations.operations:
            self._operations.check_count(len(link.operations) + 1)
            args = _parse_arguments(rest) if colon else []
            link.operations.append(
                self._operations.from_args(name, args, partial(self._parse_overlay_steps, link))
            )
        elif name in LINK_OPTIONS:
            self._parse_option(link, name, percent_decode(rest))
        else:
            names = [*self._operations.operations, *LINK_OPTIONS]
            raise InvalidLink(
                f"unknown operation, link option or source alias {safe_excerpt(name)}"
                f"{did_you_mean(name, names)}"
            )

    def _parse_overlay_steps(self, link: ParsedLink, text: str) -> tuple[Operation, ...]:
        """Parse what is carried out on an overlay; the tags of its presets go to the link."""
        steps: list[Operation] = []
        for segment in text.split("/") if text else ():
            head, colon, rest = segment.partition(":")
            name = percent_decode(head)
            if name == "preset":
                steps += self._overlay_preset(link, percent_decode(rest))
            else:
                self._operations.check_overlay_step(name)
                args = _parse_arguments(rest) if colon else []
                steps.append(self._operations.from_args(name, args))
        return tuple(steps)

    def _overlay_preset(self, link: ParsedLink, name: str) -> list[Operation]:
        preset = self._find_preset(name)
        bare = ParsedLink(operations=preset.operations, tags=preset.tags, preset=preset.preset)
        if preset != bare:
            raise InvalidLink(f"preset {name}: has link options, so it is none for an overlay")
        for operation in preset.operations:
            self._operations.check_overlay_step(operation_name(operation))
        link.tags += [f"preset:{name}", *preset.tags]
        return preset.operations

    def _parse_option(self, link: ParsedLink, name: str, value: str) -> None:
        match name:
            case "preset":
                self._apply_preset(link, value)
            case "expires":
                _require_first(name, link.expires is None)
                link.expires = _parse_expires(value)
            case "v":
                _require_first(name, not link.version)
                link.version = _check_length(name, value, MAX_VALUE_LENGTH)
            case "filename":
                _require_first(name, not link.filename)
                link.filename = _parse_filename(value)
            case "info":
                _require_first(name, link.info is None)
                link.info = InfoRequest(_parse_aspect_ratios(value))
            case "debug":
                _require_first(name, not link.debug)
                link.debug = _parse_flag(name, value)
            case "attachment":
                _require_first(name, not link.attachment)
                link.attachment = _parse_flag(name, value)
            case "tag":
                link.tags.append(_parse_tag(value, link.tags))
            case "fallback":
                _require_first(name, not link.fallback)
                link.fallback = self._parse_fallback(value)

    def _parse_fallback(self, value: str) -> str:
        if value not in self._fallbacks:
            raise InvalidLink(
                f"fallback: unknown name {safe_excerpt(value)}"
                f"{did_you_mean(value, self._fallbacks)}; the fallback images of this "
                f"server are: {', '.join(sorted(self._fallbacks)) or 'none'} "
                "(FRAMEKEEP_LINKS_FALLBACKS)"
            )
        return value

    def _apply_preset(self, link: ParsedLink, name: str) -> None:
        link.preset = name
        if not name:
            return
        preset = self._find_preset(name)
        self._operations.check_count(len(link.operations) + len(preset.operations))
        if preset.expires is not None:
            _require_first("expires", link.expires is None)
            link.expires = preset.expires
        if preset.version:
            _require_first("v", not link.version)
            link.version = preset.version
        if preset.filename:
            _require_first("filename", not link.filename)
            link.filename = preset.filename
        if preset.fallback:
            _require_first("fallback", not link.fallback)
            link.fallback = preset.fallback
        link.debug |= preset.debug
        link.attachment |= preset.attachment
        link.operations += preset.operations
        link.tags += [f"preset:{name}", *preset.tags]

    def _find_preset(self, name: str) -> ParsedLink:
        if name not in self._preset_texts:
            known = ", ".join(sorted(self._preset_texts)) or "none"
            raise InvalidLink(
                f"preset: unknown name {safe_excerpt(name)}"
                f"{did_you_mean(name, self._preset_texts)}; the presets of this server are: "
                f"{known} (FRAMEKEEP_LINKS_PRESETS)"
            )
        return self._load_preset(name)

    def _load_preset(self, name: str) -> ParsedLink:
        if name in self._presets:
            return self._presets[name]
        if name in self._open_presets:
            raise ValueError(f"preset cycle: {' > '.join((*self._open_presets, name))}")
        self._open_presets.append(name)
        link = ParsedLink()
        for segment in self._preset_texts[name].strip("/").split("/"):
            try:
                self.parse_step(link, segment)
            except ProxyError as error:
                raise ValueError(f"preset {name!r}: {safe_excerpt(segment)}: {error}") from error
        self._open_presets.pop()
        self._presets[name] = link
        return link


@contextmanager
def error_location(location: str, segment: str, link: ParsedLink) -> Iterator[None]:
    """Prefix errors of the block with their location; ``link`` is what was parsed so far."""
    try:
        yield
    except InvalidOperation as error:
        error.segment = segment
        raise InvalidOperation(
            f"{location} ({safe_excerpt(segment)}): {error}",
            operation=len(link.operations),
            field=error.field,
        ) from error
    except (InvalidLink, InvalidSource) as error:
        error.segment = segment
        raise type(error)(f"{location} ({safe_excerpt(segment)}): {error}") from error


def _parse_arguments(text: str) -> list[tuple[str | None, str]]:
    return [_parse_argument(argument) for argument in text.split(":")]


def _parse_argument(text: str) -> tuple[str | None, str]:
    key, equals, value = text.partition("=")
    if not equals:
        return None, percent_decode(text, allow_line_breaks=True)
    return percent_decode(key), percent_decode(value, allow_line_breaks=True)


def _require_first(name: str, is_first: bool) -> None:
    if not is_first:
        raise InvalidLink(f"{name} is given twice")


def _check_length(name: str, value: str, longest: int) -> str:
    if not 1 <= len(value) <= longest:
        raise InvalidLink(f"{name}: must have 1 to {longest} characters, not {len(value)}")
    return value


def _parse_flag(name: str, value: str) -> bool:
    if value:
        raise InvalidLink(f"{name}: takes no value")
    return True


def _parse_tag(value: str, before: Sequence[str]) -> str:
    if sum(tag.startswith("tag:") for tag in before) >= MAX_TAGS:
        raise InvalidLink(f"tag: at most {MAX_TAGS} tags in a link")
    if not _TAG.fullmatch(value):
        raise InvalidLink(
            f"tag: must be 1 to {MAX_VALUE_LENGTH} visible ASCII characters without commas, quotes"
        )
    return f"tag:{value}"


def _parse_expires(value: str) -> int:
    if not _UNIX_TIME.fullmatch(value) or int(value) > MAX_EXPIRES:
        raise InvalidLink(f"expires: must be a Unix time in whole seconds from 0 to {MAX_EXPIRES}")
    return int(value)


def _parse_aspect_ratios(value: str) -> tuple[Size, ...]:
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


def _parse_filename(value: str) -> str:
    if any(character in value for character in '/\\"') or not value.isprintable():
        raise InvalidLink("filename: no slashes, backslashes, quotes or unprintable characters")
    return _check_length("filename", value, MAX_FILENAME_LENGTH)
