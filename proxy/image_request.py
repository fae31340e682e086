"""A job: which original, and what shall become of it. Equal wishes are equal keys."""

from functools import cached_property

from msgspec import Struct, field

from proxy.geometry import Size
from proxy.operations.plan import Plan
from proxy.originals import Reference, digest

EPOCH = b"2"
"""Bumped when pixels change for equal plans, so that nothing rendered before is served again."""


class Delivery(Struct, frozen=True):
    """What a link says about its answer and not about the pixels: no part of the key.

    ``expires`` is in Unix seconds; ``labels`` are words that the rendition can be purged by;
    ``debug`` asks for the times of all stages.
    """

    expires: int | None = None
    filename: str = ""
    labels: tuple[str, ...] = ()
    debug: bool = False


class Inquiry(Struct, frozen=True):
    """What is asked about an original itself: besides all else, its windows of these ratios."""

    windows: tuple[Size, ...] = ()


class Job(Struct, frozen=True, dict=True):
    """``inquiry`` asks about the original; such a job has no operations and makes no picture."""

    source: Reference
    plan: Plan = field(default_factory=Plan)
    delivery: Delivery = field(default_factory=Delivery)
    inquiry: Inquiry | None = None

    @cached_property
    def key(self) -> str:
        """What the rendition is kept under: SHA-256 in hexadecimal."""
        return digest(EPOCH, self.plan.text.encode(), self.source.key.encode())
