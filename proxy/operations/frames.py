from typing import Annotated

from msgspec import Meta

from proxy.imaging.picture import Picture
from proxy.operations.operation import Operation
from proxy.operations.params import PageNumber


class Frames(Operation, frozen=True):
    """Keep only a range of the frames of an animation."""

    changes_pixels = False

    first: Annotated[PageNumber, Meta(description="First frame to keep, counted from 1.")]
    last: Annotated[PageNumber, Meta(description="Last frame to keep.")]

    def __post_init__(self) -> None:
        if self.last < self.first:
            raise ValueError("last must not be less than first")

    def page_range(self) -> tuple[int, int]:
        return self.first, self.last

    def apply(self, picture: Picture) -> Picture:
        return picture  # only these frames were decoded
