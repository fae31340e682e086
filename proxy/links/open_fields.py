"""Open fields of a link: ``resize:{320,640,960}``, where whoever requests it chooses a value.

A list is written ``{320,640,960}``, a range ``{100..2000..100}``: start, end and step, as shells
write brace expansion. Each value has one spelling. From ``{auto,640,320,960}`` client hints choose,
and the first value is for clients that send none.
"""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

from msgspec import Struct, structs

from proxy.errors import InvalidLink
from proxy.links.client_hints import HINT_HEADERS, Hint
from proxy.links.percent_encoding import safe_excerpt
from proxy.text_values import FORMAT_ALIASES, canonical_color, did_you_mean

MAX_OPEN_FIELDS = 8
AUTO = "auto"
"""What stands first in a list from which client hints choose."""

_MAX_SHOWN = 12

_EXAMPLES: Mapping[Hint, str] = {
    Hint.WIDTH: "{auto,800,320,640,1280}",
    Hint.DPR: "{auto,1,2}",
    Hint.SAVE_DATA: "{auto,80,50}",
}

_OPEN = re.compile(r"\{.*\}", re.DOTALL)
_RANGE = re.compile(r"(-?[0-9.]+?)\.\.(-?[0-9.]+?)(?:\.\.(-?[0-9.]+))?", re.ASCII)
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,6})(?:\.[0-9]{1,6})?", re.ASCII)
_SPELLED_NUMBER = re.compile(r"(?!-0$)-?(?:0|[1-9][0-9]{0,6})(?:\.[0-9]{0,5}[1-9])?", re.ASCII)
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}", re.ASCII)


class OpenField(Struct, frozen=True):
    """A field and the values that may be chosen for it.

    ``label`` names it in errors, such as ``resize: width_in_px``. ``range`` is how a range is
    written, such as ``100..2000..100``. ``are_shares`` is set where all options are shares of the
    picture's side, which no number of pixels is rounded to. With ``hint``, client hints choose
    where nobody else does.
    """

    label: str
    options: tuple[str, ...]
    range: str = ""
    are_shares: bool = False
    hint: Hint | None = None

    @property
    def text(self) -> str:
        """As it is written in a link, percent-encoded."""
        return f"%7B{self.range or ','.join(self._words)}%7D"

    @property
    def numbers(self) -> Sequence[Decimal]:
        """The options that are numbers, in ascending order."""
        return sorted(Decimal(text) for text in self.options if _NUMBER.fullmatch(text))

    def describe(self) -> str:
        """Say what may be chosen, such as ``resize: width_in_px: 320, 640, 960``."""
        described = f"{self.label}: {self.range or ', '.join(self.options)}"
        if self.hint is None:
            return described
        return f"{described}; {AUTO}: by {HINT_HEADERS[self.hint][0]}, else {self.options[0]}"

    def round_up(self, wanted: Fraction | Decimal) -> str:
        """Return the smallest option that is a number and not below ``wanted``, or the largest."""
        numbers = self.numbers
        return format_number(next((one for one in numbers if one >= wanted), numbers[-1]))

    @property
    def _words(self) -> tuple[str, ...]:
        """What a choice may say."""
        return (AUTO, *self.options) if self.hint else self.options

    def choose(self, text: str, *, round_up: bool) -> str:
        """Return the option that a text chooses.

        With ``round_up`` a number between two options chooses the larger one, and a number above
        all of them the largest. Where client hints may choose, ``auto`` leaves it to them. Raises
        InvalidLink, naming the nearest options.
        """
        if text in self._words:
            return text
        numbers = self.numbers
        if numbers and _SPELLED_NUMBER.fullmatch(text):
            wanted = Decimal(text)
            below = [number for number in numbers if number < wanted]
            above = [number for number in numbers if number > wanted]
            if round_up and not (self.are_shares and wanted >= 1):
                return self.round_up(wanted)
            near = [format_number(number) for number in (*below[-1:], *above[:1])]
            raise InvalidLink(
                f"choose: {self.label}: {text} is not one of its values; "
                f"{'the nearest are' if len(near) > 1 else 'the nearest is'} {' and '.join(near)}"
            )
        raise InvalidLink(
            f"choose: {self.label}: must be one of {_shorten(self._words)}, written exactly so, "
            f"not {safe_excerpt(text)}{did_you_mean(text, self._words)}"
        )


def is_open(text: str) -> bool:
    """Whether a decoded value is written as that of an open field."""
    return _OPEN.fullmatch(text) is not None


def can_be_open(schemas: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a field of these JSON Schemas can be left open: numbers, choices, fixed forms.

    Texts, lists and tables cannot: braces are characters of theirs.
    """
    return all(
        schema.get("type") not in ("array", "object")
        and (schema.get("type") != "string" or "enum" in schema or "title" in schema)
        for schema in schemas
    )


def parse_open_field(
    label: str, text: str, *, max_options: int, hint: Hint | None = None
) -> OpenField:
    """Parse ``{320,640}`` or ``{100..2000..100}``. Raises InvalidLink, also for ``auto`` alone.

    ``hint`` is what chooses where the list begins with ``auto``; None where ``auto`` is a value
    like others.
    """
    inner = text[1:-1] if is_open(text) else text
    if hint is not None and AUTO in inner.split(","):
        return _parse_auto(label, inner, max_options, hint)
    found = _RANGE.fullmatch(inner)
    if found:
        return _parse_range(label, *found.groups(), max_options=max_options)
    return OpenField(label, _parse_list(label, inner, max_options))


def mark_shares(field: OpenField) -> OpenField:
    """The open field of one that takes pixels and shares of the picture's side.

    Raises InvalidLink where both are listed: 1 is one pixel, and not the whole side.
    """
    shares = [number for number in field.numbers if 0 < number < 1]
    if not shares:
        return field
    if len(shares) < len(field.options):
        raise InvalidLink(
            f"{field.label}: {shares[0]} is a share of the picture and "
            f"{format_number(field.numbers[-1])} is in pixels; list only the one or the other"
        )
    return structs.replace(field, are_shares=True)


def format_number(number: Decimal) -> str:
    """Write a number in its only spelling: a plain decimal without zeros at its end."""
    text = f"{number or Decimal(0):f}"  # without the sign of -0
    return text.rstrip("0").rstrip(".") if "." in text else text


def _parse_list(label: str, text: str, max_options: int) -> tuple[str, ...]:
    parts = text.split(",", max_options)
    _check_count(label, len(parts), max_options)
    options = tuple(_parse_option(label, part) for part in parts)
    if len(set(options)) < len(options):
        repeated = next(one for one in options if options.count(one) > 1)
        raise InvalidLink(f"{label}: {repeated} is given twice in {safe_excerpt(text)}")
    return options


def _parse_auto(label: str, text: str, max_options: int, hint: Hint) -> OpenField:
    first, _, rest = text.partition(",")
    if first != AUTO or ".." in rest or "," not in rest:
        raise InvalidLink(
            f"{label}: where client hints choose, write a list of at least two values after auto, "
            f"the first one for clients without hints, such as {_EXAMPLES[hint]}; not "
            f"{safe_excerpt(text)}"
        )
    options = _parse_list(label, rest, max_options)
    is_number = [_NUMBER.fullmatch(one) is not None for one in options]
    if hint is not Hint.SAVE_DATA and not all(is_number):
        raise InvalidLink(f"{label}: client hints choose from numbers, not {safe_excerpt(text)}")
    if hint is Hint.WIDTH and any(Decimal(one) < 1 for one in options):
        raise InvalidLink(f"{label}: client hints choose from pixels, so from numbers of 1 or more")
    return OpenField(label, options, hint=hint)


def _parse_option(label: str, text: str) -> str:
    if _NUMBER.fullmatch(text):
        number = Decimal(text)
        return format_number(number)
    if not _WORD.fullmatch(text):
        if color := canonical_color(text):  # with its #, which a link cannot contain
            return color.removeprefix("#")
        raise InvalidLink(
            f"{label}: an open field is a list such as {{320,640,960}} or a range such as "
            f"{{100..2000..100}} of numbers with up to 7 digits, or words; not {safe_excerpt(text)}"
        )
    return FORMAT_ALIASES.get(text.lower(), text)


def _parse_range(
    label: str, first: str, last: str, step: str | None, *, max_options: int
) -> OpenField:
    texts = (first, last, step or "1")
    if not all(_NUMBER.fullmatch(text) for text in texts):
        raise InvalidLink(
            f"{label}: a range is {{start..end..step}} of numbers with up to 7 digits before and 6 "
            "after the point, such as {100..2000..100}"
        )
    start, end, width = map(Decimal, texts)
    if end < start or width <= 0:
        raise InvalidLink(f"{label}: the end of a range is not below its start, its step above 0")
    count = int((end - start) // width) + 1
    _check_count(label, count, max_options)
    options = tuple(format_number(start + width * index) for index in range(count))
    written = "..".join(format_number(number) for number in (start, end, width))
    return OpenField(label, options, written)


def _check_count(label: str, count: int, most: int) -> None:
    if count > most:
        raise InvalidLink(
            f"{label}: has more than {most:,} values, the renditions that one link may have "
            "(FRAMEKEEP_LINKS_MAX_RENDITIONS)"
        )


def _shorten(options: Sequence[str]) -> str:
    shown = ", ".join(options[:_MAX_SHOWN])
    return f"{shown}, …" if len(options) > _MAX_SHOWN else shown


def format_choice(value: str | float) -> str:
    """Write a value as a choice has it: numbers in their only spelling, words as they are."""
    return value if isinstance(value, str) else format_number(Decimal(repr(value)))
