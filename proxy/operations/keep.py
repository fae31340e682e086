from typing import Annotated, Literal

from msgspec import Meta

from proxy.imaging.picture import Picture
from proxy.operations.operation import Operation


class Keep(Operation, frozen=True):
    """Keep metadata that is removed by default."""

    changes_pixels = False

    metadata: Annotated[
        Literal["copyright"],
        Meta(
            description="`copyright` keeps the copyright notice, the author's name and the terms "
            "of use, from EXIF, IPTC and XMP, word for word."
        ),
    ] = "copyright"

    def apply(self, picture: Picture) -> Picture:
        return picture.with_output(keep_metadata=(self.metadata,))
