"""Rule links: fields that are left open with the values that whoever opens the link may choose."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from framekeep_links.encoding import RESERVED, STEP, encode_source, to_base64

_GRID = r"[A-Za-z0-9._-]+(?:,[A-Za-z0-9._-]+)*"
_OPEN = re.compile(rf"(:(?:[a-z][a-z0-9_]*=)?)\{{({_GRID})\}}(?=:|\Z)")
_OPEN_IN_LINK = re.compile(rf"(?:[a-z][a-z0-9_]*=)?(?:%7B|\{{)({_GRID})(?:%7D|\}})", re.IGNORECASE)
_RANGE = re.compile(r"([0-9]+)\.\.([0-9]+)(?:\.\.([0-9]+))?")
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_SIGNATURE = re.compile(r"_|[A-Za-z0-9_-]{22}|[A-Za-z0-9_-]{43}")
_MAX_GRID = 10_000


class _Rule(NamedTuple):
    before: str
    after: str
    open_fields: list[list[str]]


def rule_path(source: str, steps: Sequence[str]) -> str:
    """Write the path of a rule link, all but its signature."""
    written = [_OPEN.sub(r"\1%7B\2%7D", one) for one in steps]
    for one in written:
        match = STEP.fullmatch(one)
        if match is None or match[1] in RESERVED:
            raise ValueError(
                f"step {one[:60]!r} is not written as in a rule link, such as "
                "resize:{320,640,1280}"
            )
    if written == list(steps):
        raise ValueError(
            "rule: no field is left open; write the values that it may have, such as "
            "resize:{320,640,1280}"
        )
    encoded = encode_source(source)
    if re.search("%7B|%7D|[{}]", encoded, re.IGNORECASE) and not encoded.startswith("b64:"):
        encoded = to_base64(encoded if encoded.startswith(("http://", "https://")) else source)
    return "/" + "/".join((*written, encoded))


def choose(link: str, *values: str | float) -> str:
    """Choose the values of a rule link's open fields, in their order. This needs no key.

        choose(rule, 600, "webp")

    A number that is not among the values of its field becomes the next larger one, or the largest.
    Values that were chosen before are replaced.

    Raises ValueError for another number of values, a word that the field does not allow, and a link
    that is not a rule link.
    """
    rule = _read(link)
    if len(values) != len(rule.open_fields):
        raise ValueError(
            f"choose: the link has {len(rule.open_fields)} open fields, and {len(values)} values "
            "are given"
        )
    chosen = map(_nearest, rule.open_fields, values)
    return f"{rule.before}/choose:{':'.join(chosen)}/{rule.after}"


def _read(link: str) -> _Rule:
    """Find the signature: the nearest segment before the first open field that looks like one."""
    segments = link.split("/")
    fields = [[_grid(value) for value in segment.split(":")[1:]] for segment in segments]
    first = next((at for at, found in enumerate(fields) if any(found)), 0)
    signature = next((at for at in range(first, 0, -1) if _SIGNATURE.fullmatch(segments[at])), 0)
    if not signature:
        raise ValueError("choose: this is not a rule link")
    open_fields = [grid for found in fields[signature:] for grid in found if grid]
    before, after = segments[: signature + 1], segments[signature + 1 :]
    if after[0].startswith("choose:"):
        del after[0]
    return _Rule("/".join(before), "/".join(after), open_fields)


def _grid(value: str) -> list[str]:
    """The values of an open field; none if it is not one."""
    match = _OPEN_IN_LINK.fullmatch(value)
    if match is None:
        return []
    found = _RANGE.fullmatch(match[1])
    if found is None:
        return match[1].split(",")
    start, end, step = (int(part) for part in found.groups("1"))
    grid = [str(number) for number in range(start, end + 1, step)] if step else []
    if not 0 < len(grid) <= _MAX_GRID:
        raise ValueError(f"choose: {match[1]} is not a range of 1 to {_MAX_GRID} values")
    return grid


def _nearest(grid: list[str], value: str | float) -> str:
    text = str(value)
    if text in grid:
        return text
    numbers = sorted((one for one in grid if _NUMBER.fullmatch(one)), key=float)
    if not numbers or isinstance(value, bool) or not _NUMBER.fullmatch(text):
        raise ValueError(f"choose: {text[:40]!r} is not one of {', '.join(grid)}")
    return next((one for one in numbers if float(one) >= float(text)), numbers[-1])
