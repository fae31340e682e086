"""Types of fields that many operations share, with their bounds."""

from typing import Annotated

from msgspec import Meta

from proxy.geometry import Size

Side = Annotated[int, Meta(ge=1, le=16_384)]
Border = Annotated[int, Meta(ge=0, le=16_384)]
Offset = Annotated[int, Meta(ge=0, le=1_000_000)]
Percent = Annotated[int, Meta(ge=0, le=100)]
Degrees = Annotated[float, Meta(ge=-36_000, le=36_000)]
Factor = Annotated[float, Meta(ge=0, le=10)]
InwardOffset = Annotated[
    float,
    Meta(
        ge=-16_384,
        le=16_384,
        description="From 1 on, pixels; below 1, a fraction of the side.",
    ),
]
PageNumber = Annotated[int, Meta(ge=1, le=10_000)]
Dpr = Annotated[
    float,
    Meta(ge=0.1, le=5, description="Device pixel ratio: multiplies width and height."),
]


def scale_by_dpr(side: int | None, dpr: float) -> int | None:
    """A side in device pixels; None stays None."""
    return None if side is None else max(1, round(side * dpr))


def size_at_dpr(width: int, height: int, dpr: float) -> Size:
    """A size in device pixels."""
    return Size(max(1, round(width * dpr)), max(1, round(height * dpr)))
