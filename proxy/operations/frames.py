from typing import Annotated

from msgspec import Meta

from proxy.imaging.image import Picture
from proxy.operations.plan import Operation

Number = Annotated[int, Meta(ge=1, le=10_000)]


class Frames(Operation, frozen=True):
    """Take the frames of an animation from one to another, both included; the first is 1."""

    touches_pixels = False

    first: Number
    last: Number

    def __post_init__(self) -> None:
        if self.last < self.first:
            raise ValueError("last must not be less than first")

    def pages(self) -> tuple[int, int]:
        return self.first, self.last

    def apply(self, picture: Picture) -> Picture:
        return picture  # the decoder read these frames alone
