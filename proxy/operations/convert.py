from typing import Annotated, Literal

from msgspec import Meta

from proxy.imaging.image import Picture
from proxy.operations.plan import Operation


class Convert(Operation, frozen=True):
    """Write the picture in another format. The last one in a plan counts.

    `auto` is the best of avif, webp, and jpeg or png that the asker accepts. `quality` runs from 1
    to 100 on the format's own scale, with `auto` on JPEG's; left out, it is the format's default.
    Formats without loss ignore it.
    """

    touches_pixels = False

    format: Literal["png", "jpeg", "webp", "avif", "gif", "heif", "jxl", "auto"]
    quality: Annotated[int, Meta(ge=1, le=100)] | None = None

    def apply(self, picture: Picture) -> Picture:
        return picture.packaged(format=self.format, quality=self.quality)
