"""Write out the choices of links with open fields, such as ``resize:{320,640}``, to warm each."""

import re
from collections.abc import Sequence
from contextlib import suppress
from math import prod

from proxy.errors import InvalidLink, ProxyError
from proxy.links.open_fields import OpenField
from proxy.links.parsed_link import ParsedLink
from proxy.links.parser import LINK_OPTIONS, StepParser
from proxy.links.rules import every_choice
from proxy.operations import OPERATIONS
from proxy.operations.registry import OperationRegistry

DEFAULT_MAX_CHOICES, MAX_CHOICES = 1000, 100_000

_SIGNATURE = re.compile(r"_|[A-Za-z0-9_-]{22}|[A-Za-z0-9_-]{43}")


class RuleExpander:
    """Expands links by their text alone, so that neither keys nor settings of a server are needed.

    What presets leave open is not in the text; see `write_choices`.
    """

    def __init__(self, max_choices: int = DEFAULT_MAX_CHOICES) -> None:
        registry = OperationRegistry(OPERATIONS, max_operations=1000)
        self._max_choices = max_choices
        self._names = frozenset((*registry.operations, *LINK_OPTIONS))
        self._steps = StepParser(registry, {}, max_renditions=MAX_CHOICES)

    def expand(self, link: str) -> Sequence[str]:
        """The link with each of its choices; the link itself where it has none or one already.

        What is invalid stays as it is: the server says why. Raises InvalidLink for a link with too
        many choices.
        """
        segments = link.split("/")
        signature = self._find_signature(segments)
        parsed = ParsedLink()
        for segment in segments[signature + 1 :] if signature else ():
            if self._name_of(segment) not in self._names:
                break
            if not segment.startswith("preset"):
                with suppress(ProxyError):
                    self._steps.parse_step(parsed, segment)
        return self.write_choices(link, parsed.open_fields)

    def write_choices(self, link: str, fields: Sequence[OpenField]) -> Sequence[str]:
        """The link with each choice for these fields. Raises InvalidLink for too many."""
        segments = link.split("/")
        signature = self._find_signature(segments)
        if not fields or not signature:
            return (link,)
        count = prod(len(field.options) for field in fields)
        if count > self._max_choices:
            raise InvalidLink(
                f"the link has {count:,} choices, more than {self._max_choices:,} (--max-choices)"
            )
        before, after = "/".join(segments[: signature + 1]), "/".join(segments[signature + 1 :])
        return [f"{before}/choose:{':'.join(values)}/{after}" for values in every_choice(fields)]

    def _find_signature(self, segments: Sequence[str]) -> int:
        """The position of the signature in front of the first step; 0 where there is none."""
        for position in range(1, len(segments) - 1):
            is_step = self._name_of(segments[position + 1]) in self._names
            if is_step and _SIGNATURE.fullmatch(segments[position]):
                return position
        return 0

    @staticmethod
    def _name_of(segment: str) -> str:
        return segment.partition(":")[0]
