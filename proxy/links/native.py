"""The native dialect: ``/{signature}/{step}/{step}/…/{source}``.

Where fields of steps are open, such as ``resize:{320,640}``, a choice follows the signature:
``/{signature}/choose:640/{step}/…``. The signature does not cover it.

The rules, in the order in which they are applied:

1. The length of a link is limited.
2. The signature is verified on the raw bytes that follow it, and if that fails, on these bytes as
   they may have been before a CDN or a proxy rewrote them (`proxy.links.repair`).
3. What is parsed is exactly what was verified. Nothing is parsed before that.
4. Steps are split at ``/``, ``:`` and ``=`` first and percent-decoded after that, so a value may
   contain any character. The source is the rest of the link from the first segment that is not a
   step.
5. An error names the segment, the reason and the limit.
"""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import chain

from msgspec import Struct

from proxy.errors import InvalidLink, InvalidSignature, InvalidSource, LinkExpired
from proxy.image_request import ImageRequest
from proxy.links.client_hints import NO_HEADERS
from proxy.links.dialect import DialectContext
from proxy.links.native_steps import format_steps
from proxy.links.open_fields import AUTO, OpenField
from proxy.links.parsed_link import ParsedLink
from proxy.links.parser import LINK_OPTIONS, error_location
from proxy.links.repair import repaired_paths, restore_merged_slashes
from proxy.links.unsigned import UnsignedBounds
from proxy.originals import SourceRef

UNSIGNED = "_"
"""What replaces the signature in an unsigned link."""

_SIGNATURE = re.compile(rb"[A-Za-z0-9_-]{22}|[A-Za-z0-9_-]{43}")
_CHOICE = re.compile(rb"/(choose(?:(?::|%3[Aa])([^/?]*))?)(?=/)")
_RESERVED = frozenset((*LINK_OPTIONS, "b64", "choose", "http", "https", "upload"))


class Rule(Struct, frozen=True):
    """What a link with open fields allows; ``renditions`` are those of one original."""

    open_fields: tuple[OpenField, ...]
    round_up: bool
    renditions: int
    has_choice: bool
    hint_headers: tuple[str, ...]
    """The request headers by which client hints choose; none where they do not."""

    @classmethod
    def from_link(cls, link: ParsedLink, renditions: int, *, has_choice: bool) -> "Rule":
        fields = tuple(link.open_fields)
        hints = link.hint_rule_for([AUTO if field.hint else field.options[0] for field in fields])
        names = hints.header_names if hints else ()
        return cls(fields, link.round_up, renditions, has_choice, names)

    @property
    def is_complete(self) -> bool:
        """Whether the link has an answer without a choice, or has one."""
        return self.has_choice or all(field.hint for field in self.open_fields)


class NativeDialect:
    def __init__(self, context: DialectContext, *, now: Callable[[], float] = time.time) -> None:
        """``now`` is in Unix seconds. Raises ValueError for an alias that the grammar needs."""
        for alias in context.aliases:
            if alias in _RESERVED or alias in context.operations.operations:
                raise ValueError(
                    f"source alias {alias!r} is also an operation or a word of the grammar; rename "
                    "it in FRAMEKEEP_SOURCES_ALIASES"
                )
        self._steps = context.steps
        self._sources = context.sources
        self._keyring = context.keyring
        self._allow_unsigned = context.config.allow_unsigned
        self._unsigned = UnsignedBounds(
            context.config.unsigned, context.operations, context.steps, context.aliases
        )
        self._max_bytes = context.limits.max_url_bytes
        self._now = now

    def parse(self, path: bytes) -> ImageRequest:
        """Parse a raw path with its query string, for a client without client hints."""
        return self.parse_with_headers(path, NO_HEADERS)

    def parse_with_headers(self, path: bytes, headers: Mapping[bytes, bytes]) -> ImageRequest:
        """Parse a raw path with its query string; client hints may choose what is open.

        Raises:
            InvalidLink: the link is too long, or a step is invalid.
            InvalidSignature: before anything but the length is checked.
            InvalidOperation, InvalidSource: naming the segment, the reason and the limit.
            LinkExpired: the time of ``expires`` has passed.
        """
        if len(path) > self._max_bytes:
            raise InvalidLink(
                f"link too long: {len(path)} bytes, at most {self._max_bytes} bytes are allowed "
                "(FRAMEKEEP_LIMITS_MAX_URL_BYTES)"
            )
        try:
            rule, choice = self._split(path)
        except UnicodeDecodeError:
            raise InvalidLink("link is not UTF-8: percent-encode non-ASCII characters") from None
        link, source = self._parse_segments(rule, 2 if choice is None else 3)
        link = self._choose(link, choice, headers)
        if rule.startswith(f"/{UNSIGNED}/"):
            self._unsigned.check(link, source, allow_others=self._allow_unsigned)
        if link.expires is not None and self._now() >= link.expires:
            raise LinkExpired(f"link expired at {_format_time(link.expires)}")
        return link.to_request(source)

    def build(self, request: ImageRequest) -> str:
        """Build the link, signed with the newest key; unsigned if there are no keys.

        Presets are spelled out as the steps that they stand for. Raises InvalidSource for an
        uploaded original and for an unknown alias.
        """
        if not isinstance(request.source, SourceRef):
            raise InvalidSource("an uploaded original has no link")
        steps = list(
            format_steps(
                request.plan, request.response_options, request.info, request.source.version
            )
        )
        if self._steps.has_default and request.info is None and not request.plan.operations:
            steps.insert(0, "preset")
        return self._sign(steps, request.source.text)

    def build_link(
        self, source: str, steps: Sequence[str], choice: Sequence[str] | None = None
    ) -> str:
        """Build the link of a source and steps as `build` does, but with presets by their names.

        Where fields are open, ``choice`` has a value for each; without it the link is one to which
        others add a choice. Every choice is checked.

        Raises InvalidLink, InvalidOperation or InvalidSource, naming the step.
        """
        source = self._sources.normalize(source)
        rule = self._steps.parse_rule(steps)
        self._steps.count_renditions(rule)
        rule.to_request(source)
        if choice is not None:
            self._steps.choose(rule, ":".join(choice))
        return self._sign(self._steps.canonical(steps), source, choice)

    def _sign(self, steps: Sequence[str], source: str, choice: Sequence[str] | None = None) -> str:
        rest = "/" + "/".join((*steps, self._sources.encode(source)))
        signature = self._keyring.sign(rest.encode()) if len(self._keyring) else UNSIGNED
        chosen = "" if choice is None else "/" + ":".join(("choose", *choice))
        return f"/{signature}{chosen}{rest}"

    def read_rule(self, path: bytes) -> Rule | None:
        """Return what a link with open fields allows, with a choice or without; None for others.

        Raises as `parse` does.
        """
        text, choice = self._split(path)
        rule, _ = self._parse_segments(text, 2 if choice is None else 3)
        if not rule.open_fields:
            return None
        count = self._steps.count_renditions(rule)
        return Rule.from_link(rule, count, has_choice=choice is not None)

    def _choose(
        self, rule: ParsedLink, choice: str | None, headers: Mapping[bytes, bytes]
    ) -> ParsedLink:
        if choice is None:
            return self._steps.choose(rule, None, headers)
        with error_location("segment 2", choice, ParsedLink()):
            if "%" in choice:
                raise InvalidLink("choose: values are written without percent-escapes")
            values = choice.removeprefix("choose").removeprefix(":")
            return self._steps.choose(rule, values, headers)

    def _split(self, path: bytes) -> tuple[str, str | None]:
        """Return the path as it was signed, and the segment of the choice where there is one.

        Raises InvalidSignature.
        """
        signed, choice = self._verify(path)
        return signed.decode(), None if choice is None else choice.decode()

    def _verify(self, path: bytes) -> tuple[bytes, bytes | None]:
        end = path.find(b"/", 1)
        end = end if end > 0 else len(path)
        signature, rest = path[1:end], path[end:]
        if signature == UNSIGNED.encode():
            if not self._allow_unsigned and not self._unsigned:
                raise InvalidSignature(
                    "unsigned links are not allowed here (FRAMEKEEP_LINKS_UNSIGNED, "
                    "FRAMEKEEP_LINKS_ALLOW_UNSIGNED)"
                )
            rest, choice = _split_choice(restore_merged_slashes(rest))
            return path[:end] + rest, choice
        if not _SIGNATURE.fullmatch(signature):
            raise InvalidSignature("signature missing: a link is /{signature}/{step}/…/{source}")
        for candidate in chain((rest,), repaired_paths(rest)):
            signed, choice = _split_choice(candidate)
            if self._keyring.verify(signature, signed):
                return path[:end] + signed, choice
        raise InvalidSignature(
            "signature mismatch: the link was signed with another key, or changed after signing"
        )

    def _parse_segments(self, path: str, number: int) -> tuple[ParsedLink, str]:
        """Parse what follows the signature: the steps and, at the end, the source.

        ``number`` is that of the first step, as errors count segments.
        """
        link = ParsedLink()
        start = path.find("/", 1) + 1
        while 0 < start < len(path):
            end = path.find("/", start)
            segment = path[start:] if end < 0 else path[start:end]
            with error_location(f"segment {number}", segment, link):
                if source := self._sources.decode(segment, path[start:]):
                    self._steps.apply_default(link)
                    return link, source
                self._steps.parse_step(link, segment)
            start = end + 1
            number += 1
        raise InvalidLink(f"segment {number}: source missing: a link ends with its source")


def _format_time(seconds: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(seconds))


def _split_choice(path: bytes) -> tuple[bytes, bytes | None]:
    """Cut the choice off what follows the signature, which does not cover it."""
    found = _CHOICE.match(path)
    return (path[found.end() :], found[1]) if found else (path, None)
