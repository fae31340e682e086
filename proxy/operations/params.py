"""Types of fields that many operations share, with their bounds."""

from typing import Annotated

from msgspec import Meta

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
