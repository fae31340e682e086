from typing import Annotated, Literal

from msgspec import Meta

from proxy.imaging.picture import Picture
from proxy.operations.operation import Operation


class Keep(Operation, frozen=True):
    """Keep what is removed by default: words about rights, or the brightness for HDR screens.

    Photos of many phones are Ultra HDR: a JPEG with a gain map, which says how much brighter each
    pixel is on an HDR screen. With `hdr` it is scaled, cut out and turned with the picture, and the
    result is a JPEG with a gain map (ISO 21496-1), also with `convert:auto`. Other formats, and
    operations that change colors or add pixels, are an error then. Originals without a gain map
    become what they are without `hdr`. Use `keep` twice to keep both.
    """

    changes_pixels = False

    metadata: Annotated[
        Literal["copyright", "hdr"],
        Meta(
            description="`copyright` keeps the copyright notice, the author's name and the terms "
            "of use, from EXIF, IPTC and XMP, word for word. `hdr` keeps the gain map of a JPEG."
        ),
    ] = "copyright"

    def keeps_hdr(self) -> bool | None:
        return True if self.metadata == "hdr" else None

    def apply(self, picture: Picture) -> Picture:
        kept = dict.fromkeys((*picture.output.keep_metadata, self.metadata))
        return picture.with_output(keep_metadata=tuple(kept))
