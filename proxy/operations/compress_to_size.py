from typing import Annotated

from msgspec import Meta

from proxy.imaging.image import Picture
from proxy.operations.plan import Operation


class CompressToSize(Operation, frozen=True):
    """Keep the file within so many bytes, whatever it takes.

    Formats with loss lower their quality, down to 10, and then their size; formats without loss
    only their size. It counts for the format that the plan ends in. A picture that does not fit
    at one pixel is refused.
    """

    touches_pixels = False

    max_file_size_in_bytes: Annotated[int, Meta(ge=1, le=1_073_741_824)]

    def apply(self, picture: Picture) -> Picture:
        return picture.packaged(max_bytes=self.max_file_size_in_bytes)
