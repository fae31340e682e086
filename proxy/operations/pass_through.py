from typing import Annotated

from msgspec import Meta

from proxy.formats import FormatName
from proxy.imaging.headers import ImageHeader
from proxy.imaging.picture import Picture
from proxy.operations.operation import Operation


class PassThrough(Operation, frozen=True):
    """Send the original's own bytes, with its metadata; no other operation is carried out.

    With `formats`, only where the original has one of these formats and the result would have the
    same one.
    """

    changes_pixels = False
    reads_original = True

    formats: Annotated[
        tuple[FormatName, ...], Meta(description="Formats of originals; empty: all.")
    ] = ()

    def apply(self, picture: Picture) -> Picture:
        return picture  # the original is of another format

    def sends_original(self, header: ImageHeader, output_formats: tuple[str, ...]) -> bool:
        if not self.formats:
            return True
        return header.format in self.formats and header.format in output_formats
