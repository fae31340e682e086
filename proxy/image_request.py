"""What every API turns its request into: an original, a plan, and options of the response.

Equal requests are equal values and have one cache key, however they came in.
"""

from collections.abc import Mapping
from functools import cached_property
from typing import Protocol

from msgspec import Struct, field

from proxy.geometry import Size
from proxy.operations.plan import Plan
from proxy.originals import OriginalRef, digest

CACHE_KEY_VERSION = b"7"
"""Bumped when pixels change for equal plans: every rendition cached before becomes a miss."""


class ChoiceByHints(Protocol):
    """How client hints choose what a link leaves open."""

    @property
    def header_names(self) -> tuple[str, ...]:
        """The request headers that may change the choice, as ``Vary`` names them."""
        ...

    @property
    def requested_headers(self) -> tuple[str, ...]:
        """Those that browsers send only where they are asked to, as ``Accept-CH`` names them."""
        ...

    def choose(self, headers: Mapping[bytes, bytes]) -> str:
        """Return the choice for a request with these headers, by names in lower case."""
        ...


class ResponseOptions(Struct, frozen=True):
    """The part of a link that affects the response and not the pixels; not in the cache key.

    ``expires`` is in Unix seconds; a purge can name any of ``tags``; ``debug`` asks for the
    duration of each stage in the response; ``fallback`` names the image that replaces an original
    that cannot be used. ``dialect`` is that of the link, for the access log and metrics. With
    ``is_attachment`` browsers save the image. ``max_age`` is in seconds, and bounds how long caches
    may keep the response. ``hint_choice`` is what client hints chose by the ``hint_rule``.
    """

    expires: int | None = None
    filename: str = ""
    tags: tuple[str, ...] = ()
    debug: bool = False
    fallback: str = ""
    dialect: str = "native"
    is_attachment: bool = False
    max_age: int | None = None
    hint_rule: ChoiceByHints | None = None
    hint_choice: str = ""


class InfoRequest(Struct, frozen=True):
    """A request for information about an original, with its best crop for each aspect ratio.

    With ``plan`` the response has the form of thumbor's ``meta``, and says what the plan would do.
    """

    aspect_ratios: tuple[Size, ...] = ()
    plan: Plan | None = None


class ImageRequest(Struct, frozen=True, dict=True):
    """With ``info`` the response describes the original: there are no operations and no image."""

    source: OriginalRef
    plan: Plan = field(default_factory=Plan)
    response_options: ResponseOptions = field(default_factory=ResponseOptions)
    info: InfoRequest | None = None

    @cached_property
    def sources(self) -> tuple[OriginalRef, ...]:
        """The main original, then the second images that the operations name."""
        return (self.source, *self.plan.extra_sources())

    @cached_property
    def key(self) -> str:
        """The cache key of the rendition: SHA-256 in hexadecimal."""
        return digest(CACHE_KEY_VERSION, self.plan.canonical.encode(), self.source.key.encode())
