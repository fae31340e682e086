from collections.abc import Mapping
from typing import Annotated, ClassVar

from msgspec import Meta

from proxy.formats import FormatName
from proxy.imaging.picture import Picture
from proxy.operations.operation import Operation

QualityLevel = Annotated[int, Meta(ge=1, le=100)]


class Quality(Operation, frozen=True):
    """Set the quality without choosing a format. Lossless formats ignore it.

    Each number is on the scale of its format. At least one is required.
    """

    aliases: ClassVar[Mapping[str, str]] = {"jpg": "jpeg", "heic": "heif"}
    changes_pixels = False

    quality: Annotated[
        QualityLevel | None, Meta(description="For all formats that have no number of their own.")
    ] = None
    jpeg: Annotated[QualityLevel | None, Meta(description="For jpeg.")] = None
    webp: Annotated[QualityLevel | None, Meta(description="For webp.")] = None
    avif: Annotated[QualityLevel | None, Meta(description="For avif.")] = None
    heif: Annotated[QualityLevel | None, Meta(description="For heif.")] = None
    jxl: Annotated[QualityLevel | None, Meta(description="For jxl.")] = None

    def __post_init__(self) -> None:
        if not self._by_format():
            raise ValueError("at least one quality is required")

    def apply(self, picture: Picture) -> Picture:
        return picture.with_output(format_qualities=self._by_format(), score=None)

    def _by_format(self) -> dict[FormatName, int]:
        own: dict[FormatName, int | None] = {
            "jpeg": self.jpeg,
            "webp": self.webp,
            "avif": self.avif,
            "heif": self.heif,
            "jxl": self.jxl,
        }
        qualities = {format: quality or self.quality for format, quality in own.items()}
        return {format: quality for format, quality in qualities.items() if quality is not None}
