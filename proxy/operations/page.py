from typing import Annotated

from msgspec import Meta

from proxy.imaging.image import Picture
from proxy.operations.plan import Operation


class Page(Operation, frozen=True):
    """Take one page of a document, or one frame of an animation; the first is 1."""

    touches_pixels = False

    number: Annotated[int, Meta(ge=1, le=10_000)]

    def pages(self) -> tuple[int, int]:
        return self.number, self.number

    def apply(self, picture: Picture) -> Picture:
        return picture  # the decoder read this page alone
