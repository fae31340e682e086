from typing import Annotated

from msgspec import Meta

from proxy.imaging.picture import Picture
from proxy.operations.operation import Operation
from proxy.operations.params import PageNumber


class Page(Operation, frozen=True):
    """Take one page of a document, or one frame of an animation."""

    changes_pixels = False

    number: Annotated[PageNumber, Meta(description="Number of the page, counted from 1.")]

    def page_range(self) -> tuple[int, int]:
        return self.number, self.number

    def apply(self, picture: Picture) -> Picture:
        return picture  # only this page was decoded
