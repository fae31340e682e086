from typing import Annotated

from msgspec import Meta

from proxy.imaging.picture import Picture
from proxy.operations.operation import Operation


class CompressToSize(Operation, frozen=True):
    """Make the file no larger than a number of bytes.

    Lossy formats lower the quality first, down to 10, and then width and height. Lossless formats
    lower only width and height. The bound applies to the output format of the whole plan. If even
    one pixel does not fit, the request fails.
    """

    changes_pixels = False

    max_file_size_in_bytes: Annotated[
        int, Meta(ge=1, le=1_073_741_824, description="Largest allowed file, in bytes.")
    ]

    def apply(self, picture: Picture) -> Picture:
        return picture.with_output(max_bytes=self.max_file_size_in_bytes)
