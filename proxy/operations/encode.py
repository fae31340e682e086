from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from proxy.errors import OperationNotApplicable
from proxy.imaging.encoder_options import Chroma, EncoderOptions, check_options
from proxy.imaging.picture import Picture
from proxy.operations.operation import Operation


class Encode(Operation, frozen=True):
    """Set options of one encoder, without choosing the format.

    They count if the result has that format, so they go well with `convert:auto`, as in
    `convert:auto/encode:webp:effort=6/encode:jpeg:progressive=true`. Put them after `convert`,
    whose options they are added to. An option that the format does not know is an error.
    """

    aliases: ClassVar[Mapping[str, str]] = {"chroma": "chroma_subsampling"}
    changes_pixels = False

    encoder: Annotated[
        Literal["jpeg", "png", "webp", "avif", "gif", "jxl"],
        Meta(description="The format whose encoder it is."),
    ]
    lossless: Annotated[
        bool, Meta(description="Keep every pixel as it is: webp, avif and jxl.")
    ] = False
    effort: Annotated[
        Annotated[int, Meta(ge=0, le=10)] | None,
        Meta(
            description="CPU time for fewer bytes: 0 to 6 for webp, 0 to 9 for avif and png, 1 to "
            "10 for gif, 1 to 9 for jxl."
        ),
    ] = None
    progressive: Annotated[
        bool | None,
        Meta(
            description="Show a coarse picture first while it loads: a progressive jpeg, an "
            "interlaced png or gif."
        ),
    ] = None
    chroma_subsampling: Annotated[
        Chroma | None,
        Meta(
            description="Resolution of colors in jpeg and avif: `444` is full, `420` half in both "
            "directions."
        ),
    ] = None

    def __post_init__(self) -> None:
        check_options(self.encoder, self._options)
        if self._options == EncoderOptions():
            raise ValueError("at least one option is required")

    @property
    def _options(self) -> EncoderOptions:
        return EncoderOptions(self.lossless, self.effort, self.progressive, self.chroma_subsampling)

    def apply(self, picture: Picture) -> Picture:
        options = picture.output.encoder(self.encoder).updated(self._options)
        try:
            check_options(self.encoder, options)
        except ValueError as error:
            raise OperationNotApplicable(f"encode: {error}") from error
        return picture.with_output(encoders={**picture.output.encoders, self.encoder: options})
