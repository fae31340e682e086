from typing import Annotated, Literal

from msgspec import Meta

from proxy.imaging.picture import Picture
from proxy.operations.operation import Operation


class Convert(Operation, frozen=True):
    """Choose the output format and its quality. The last `convert` of a plan counts.

    With `auto` you get the best format that the client accepts: avif, then webp, then jpeg, or png
    for what has transparency or was lossless. Flat pictures such as screenshots stay lossless where
    that takes fewer bytes, and an original that was not changed is sent as it was if it takes the
    fewest. Animations become webp or gif.
    """

    changes_pixels = False

    format: Annotated[
        Literal["png", "jpeg", "webp", "avif", "gif", "heif", "jxl", "auto"],
        Meta(description="Output format."),
    ]
    quality: Annotated[
        Annotated[int, Meta(ge=1, le=100)] | None,
        Meta(
            description="Quality on the scale of the format, with `auto` on that of JPEG. Without "
            "it, the default of the format. Lossless formats ignore it."
        ),
    ] = None

    keep_lossless: Annotated[
        bool,
        Meta(
            description="With `auto`, keep a lossless original lossless where that takes fewer "
            "bytes, or where the client accepts neither avif nor webp."
        ),
    ] = True

    def apply(self, picture: Picture) -> Picture:
        if self.quality is not None:
            picture = picture.with_output(format_qualities={})
        return picture.with_output(
            format=self.format, quality=self.quality, keep_lossless=self.keep_lossless
        )
