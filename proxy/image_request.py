"""A job: which original, and what shall become of it. Equal wishes are equal keys."""

from functools import cached_property

from msgspec import Struct, field

from proxy.geometry import Size
from proxy.operations.plan import Plan
from proxy.originals import OriginalRef, digest

CACHE_KEY_VERSION = b"2"
"""Bumped when pixels change for equal plans, so that nothing rendered before is served again."""


class ResponseOptions(Struct, frozen=True):
    """What a link says about its answer and not about the pixels: no part of the key.

    ``expires`` is in Unix seconds; ``labels`` are words that the rendition can be purged by;
    ``debug`` asks for the times of all stages.
    """

    expires: int | None = None
    filename: str = ""
    tags: tuple[str, ...] = ()
    debug: bool = False


class InfoRequest(Struct, frozen=True):
    """What is asked about an original itself: besides all else, its windows of these ratios."""

    aspect_ratios: tuple[Size, ...] = ()


class ImageRequest(Struct, frozen=True, dict=True):
    """``inquiry`` asks about the original; such a job has no operations and makes no picture."""

    source: OriginalRef
    plan: Plan = field(default_factory=Plan)
    response_options: ResponseOptions = field(default_factory=ResponseOptions)
    info: InfoRequest | None = None

    @property
    def sources(self) -> tuple[OriginalRef, ...]:
        """The main original, then the second images that the operations name."""
        return (self.source, *self.plan.also())

    @cached_property
    def key(self) -> str:
        """What the rendition is kept under: SHA-256 in hexadecimal."""
        return digest(CACHE_KEY_VERSION, self.plan.text.encode(), self.source.key.encode())
