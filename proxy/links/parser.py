"""The steps of a native link: operations, and link options that are about the response."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from functools import partial

from msgspec.structs import replace

from proxy.errors import InvalidLink, InvalidOperation, InvalidSource, ProxyError
from proxy.formats import AUTO_FORMATS
from proxy.image_request import InfoRequest
from proxy.links.client_hints import NO_HEADERS, Hint
from proxy.links.config import DEFAULT_MAX_RENDITIONS
from proxy.links.native_steps import format_steps
from proxy.links.open_fields import AUTO, format_number, is_open, parse_open_field
from proxy.links.option_values import (
    MAX_VALUE_LENGTH,
    check_length,
    parse_aspect_ratios,
    parse_expires,
    parse_filename,
    parse_flag,
    parse_tag,
)
from proxy.links.parsed_link import ParsedLink, require_first
from proxy.links.percent_encoding import percent_decode, safe_excerpt
from proxy.links.pixel_ratio import parse_dpr, scale_plan
from proxy.links.rules import (
    OpenOperation,
    check_size,
    choose_values,
    every_choice,
    may_negotiate,
    parse_operation,
)
from proxy.operations.operation import Operation, operation_name
from proxy.operations.plan import Plan
from proxy.operations.registry import OperationRegistry
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
    "dpr",
    "round",
    "save_data",
)
DEFAULT_PRESET = "default"

_PRESET_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


class StepParser:
    def __init__(
        self,
        operations: OperationRegistry,
        presets: Mapping[str, str],
        fallbacks: Collection[str] = (),
        *,
        max_renditions: int = DEFAULT_MAX_RENDITIONS,
        accept_groups: int = 1 << len(AUTO_FORMATS),
    ) -> None:
        """Parse every preset now. Raises ValueError where one is invalid.

        ``fallbacks`` are the names of the fallback images. With its open fields a link has at most
        ``max_renditions``; with `convert:auto` there is one for each group of Accept headers.
        """
        self._max_renditions = max_renditions
        self._accept_groups = accept_groups
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
        return self.choose(self.parse_rule(steps), None)

    def parse_rule(self, steps: Sequence[str]) -> ParsedLink:
        """Parse steps of which some fields may be open, as `parse` does."""
        link = ParsedLink()
        for number, step in enumerate(steps, 1):
            with error_location(f"step {number}", step, link):
                self.parse_step(link, step.replace("?", "%3F"))
        self.apply_default(link)
        return link

    def choose(
        self, rule: ParsedLink, choice: str | None, headers: Mapping[bytes, bytes] = NO_HEADERS
    ) -> ParsedLink:
        """Fill the open fields, and apply the device pixel ratio.

        ``choice`` has a value for each open field, separated by colons; None where a link has no
        choice. The client hints in the ``headers`` of the request choose what is left to them.
        Raises InvalidLink or InvalidOperation.
        """
        self._check_size(rule)
        values = choose_values(rule.open_fields, choice, round_up=rule.round_up)
        hint_rule = rule.hint_rule_for(values)
        if hint_rule is None:
            return self._fill(rule, values)
        chosen = hint_rule.choose(headers)
        link = self._fill(rule, chosen.split(":"))
        return replace(link, hint_rule=hint_rule, hint_choice=chosen)

    def count_renditions(self, rule: ParsedLink) -> int:
        """Count the different renditions of one source that a rule allows, trying every choice.

        Raises InvalidLink or InvalidOperation for a choice that would be refused.
        """
        self._check_size(rule)
        counts: dict[str, int] = {}
        for values in every_choice(rule.open_fields):
            try:
                plan = self._fill(rule, values).plan
            except (InvalidLink, InvalidOperation) as error:
                choice = f"choose:{':'.join(values)}: " if values else ""
                raise InvalidLink(f"{choice}{error}") from error
            counts[plan.canonical] = self._accept_groups if plan.negotiates_format else 1
        return sum(counts.values())

    def _check_size(self, rule: ParsedLink) -> None:
        if rule.round_up and not rule.open_fields:
            raise InvalidLink("round: no field of this link is open, so there is nothing to round")
        if rule.save_data and not any(
            field.hint in (Hint.WIDTH, Hint.DPR) for field in rule.open_fields
        ):
            raise InvalidLink(
                "save_data: needs a width or dpr that client hints choose, such as dpr:{auto,1,2}"
            )
        if rule.open_fields:
            negotiates = any(may_negotiate(operation) for operation in rule.operations)
            most = self._max_renditions
            factor = self._accept_groups if negotiates else 1
            check_size(rule.open_fields, factor=factor, most=most)

    def _fill(self, rule: ParsedLink, values: Sequence[str]) -> ParsedLink:
        rest, overlays = list(values), ParsedLink()
        parse_steps = partial(self._parse_overlay_steps, overlays)
        dpr = rule.dpr if rule.open_dpr is None else parse_dpr(rest.pop(rule.open_dpr))
        remaining = iter(rest)
        operations = [
            one.with_values(remaining, self._operations, parse_steps)
            if isinstance(one, OpenOperation)
            else one
            for one in rule.operations
        ]
        if dpr is not None:
            plan = Plan(tuple(operations))
            operations = list(scale_plan(plan, dpr, self._operations).operations)
        return replace(
            rule,
            operations=operations,
            open_fields=[],
            open_dpr=None,
            dpr=None,
            tags=[*rule.tags, *overlays.tags],
        )

    def canonical(self, steps: Sequence[str]) -> list[str]:
        """Write each of the steps, which must be valid, in its canonical form, presets by name."""
        return [self._canonical_step(step.replace("?", "%3F")) for step in steps]

    def _canonical_step(self, step: str) -> str:
        link = ParsedLink()
        self.parse_step(link, step)
        if link.preset is not None:
            return f"preset:{link.preset}" if link.preset else "preset"
        if option := _format_rule_option(link):
            return option
        if link.operations and link.tags:  # presets in the steps of an overlay keep their names
            return step
        for operation in link.operations:
            if isinstance(operation, OpenOperation):
                return operation.text
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
        link.written.append(name)
        if name in self._operations.operations:
            self._operations.check_count(len(link.operations) + 1)
            args = _parse_arguments(rest) if colon else []
            operation = parse_operation(
                name,
                args,
                self._operations,
                partial(self._parse_overlay_steps, link),
                max_options=self._max_renditions,
            )
            link.operations.append(operation)
            if isinstance(operation, OpenOperation):
                link.open_fields += operation.open_fields
        elif name == "dpr":
            self._parse_dpr(link, percent_decode(rest))
        elif name == "round":
            self._parse_round(link, percent_decode(rest))
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
        bare = ParsedLink(
            operations=list(preset.plan),
            tags=preset.tags,
            written=preset.written,
            preset=preset.preset,
        )
        if preset != bare:
            raise InvalidLink(
                f"preset {name}: has link options or open fields, so it is none for an overlay"
            )
        steps = list(preset.plan)
        for operation in steps:
            self._operations.check_overlay_step(operation_name(operation))
        link.tags += [f"preset:{name}", *preset.tags]
        return steps

    def _parse_option(self, link: ParsedLink, name: str, value: str) -> None:
        match name:
            case "preset":
                self._apply_preset(link, value)
            case "expires":
                require_first(name, link.expires is None)
                link.expires = parse_expires(value)
            case "v":
                require_first(name, not link.version)
                link.version = check_length(name, value, MAX_VALUE_LENGTH)
            case "filename":
                require_first(name, not link.filename)
                link.filename = parse_filename(value)
            case "info":
                require_first(name, link.info is None)
                link.info = InfoRequest(parse_aspect_ratios(value))
            case "debug" | "attachment" | "save_data":
                require_first(name, not getattr(link, name))
                setattr(link, name, parse_flag(name, value))
            case "tag":
                link.tags.append(parse_tag(value, link.tags))
            case "fallback":
                require_first(name, not link.fallback)
                link.fallback = self._parse_fallback(value)

    def _parse_round(self, link: ParsedLink, value: str) -> None:
        require_first("round", not link.round_up)
        if value != "up":
            raise InvalidLink(f"round: must be `up`, not {safe_excerpt(value)}")
        link.round_up = True

    def _parse_dpr(self, link: ParsedLink, value: str) -> None:
        require_first("dpr", link.dpr is None and link.open_dpr is None)
        if is_open(value) or value == AUTO:
            link.open_dpr = len(link.open_fields)
            link.open_fields.append(
                parse_open_field("dpr", value, max_options=self._max_renditions, hint=Hint.DPR)
            )
        else:
            link.dpr = parse_dpr(value)

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
        link.add_preset(name, preset)

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


def _format_rule_option(link: ParsedLink) -> str:
    """Write the option of rules that a step is; empty for other steps."""
    if link.open_dpr is not None:
        return f"dpr:{link.open_fields[link.open_dpr].text}"
    if link.dpr is not None:
        return f"dpr:{format_number(Decimal(repr(link.dpr)))}"
    if link.save_data:
        return "save_data"
    return "round:up" if link.round_up else ""


def _parse_arguments(text: str) -> list[tuple[str | None, str]]:
    return [_parse_argument(argument) for argument in text.split(":")]


def _parse_argument(text: str) -> tuple[str | None, str]:
    key, equals, value = text.partition("=")
    if not equals:
        return None, percent_decode(text, allow_line_breaks=True)
    return percent_decode(key), percent_decode(value, allow_line_breaks=True)
