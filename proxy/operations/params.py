"""The bounds that many operations share."""

from typing import Annotated

from msgspec import Meta

from proxy.geometry import Size

Side = Annotated[int, Meta(ge=1, le=16_384)]
Offset = Annotated[int, Meta(ge=0, le=1_000_000)]
Density = Annotated[float, Meta(ge=0.1, le=5)]


def dense(side: int | None, dpr: float) -> int | None:
    """A side at the screen's density: so many device pixels for each one that was asked for."""
    return None if side is None else max(1, round(side * dpr))


def dense_size(width: int, height: int, dpr: float) -> Size:
    return Size(max(1, round(width * dpr)), max(1, round(height * dpr)))
