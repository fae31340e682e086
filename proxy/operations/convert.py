from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from proxy.formats import FormatName
from proxy.imaging.encoder_options import (
    CHROMA,
    PROGRESSIVE,
    Chroma,
    EncoderOptions,
    check_options,
    describe_efforts,
)
from proxy.imaging.picture import Picture
from proxy.imaging.score_targets import MAX_TARGET, MIN_TARGET, TARGETS
from proxy.operations.operation import Operation

QualityName = Literal["best", "good", "eco", "low"]


class Convert(Operation, frozen=True):
    """Choose the output format and its quality. The last `convert` of a plan counts.

    With `auto` you get the best format that the client accepts: avif, then webp, then jpeg, or png
    for what has transparency or was lossless. Flat pictures such as screenshots stay lossless where
    that takes fewer bytes, and an original that was not changed is sent as it was if it takes the
    fewest. Animations become avif, webp or gif.

    With a name instead of a number you get the lowest quality at which the result looks as asked:
    `best` is the score 85 of SSIMULACRA2, `good` 75, `eco` 65, `low` 55. It is found by a sample of
    each picture. `ssimulacra2=70` asks for a score of your own. Lossless results and heif have
    none.

    `lossless`, `effort`, `progressive` and `chroma_subsampling` are options of encoders. Each
    format knows some of them, and any other is an error that says which. With `auto`, give the
    options of single formats with `encode`.
    """

    aliases: ClassVar[Mapping[str, str]] = {"chroma": "chroma_subsampling"}
    changes_pixels = False

    format: Annotated[
        Literal["png", "jpeg", "webp", "avif", "gif", "heif", "jxl", "auto"],
        Meta(description="Output format."),
    ]
    quality: Annotated[
        Annotated[int, Meta(ge=1, le=100)] | QualityName | None,
        Meta(
            description="Quality on the scale of the format, with `auto` on that of JPEG. Without "
            "it, the default of the format. Lossless formats ignore it. A name is a look, which is "
            "equal in all formats."
        ),
    ] = None

    keep_lossless: Annotated[
        bool,
        Meta(
            description="With `auto`, keep a lossless original lossless where that takes fewer "
            "bytes, or where the client accepts neither avif nor webp."
        ),
    ] = True

    ssimulacra2: Annotated[
        Annotated[float, Meta(ge=MIN_TARGET, le=MAX_TARGET)] | None,
        Meta(
            description="Look of the result, instead of a quality: its score, where 90 cannot be "
            "told from the original, 70 is good and 50 fair."
        ),
    ] = None

    lossless: Annotated[
        bool,
        Meta(
            description="Keep every pixel as it is, with webp, avif and jxl. With `auto` you get "
            "webp where the client accepts it, else png; of an animation gif. There is no quality."
        ),
    ] = False

    effort: Annotated[
        Annotated[int, Meta(ge=0, le=10)] | None,
        Meta(
            description="CPU time for fewer bytes: 0 to 6 for webp, 0 to 9 for avif and png, 1 to "
            "10 for gif, 1 to 9 for jxl. Without it, a low one that depends on the format and the "
            "size. Where it would take longer than a render may, the request is an error."
        ),
    ] = None

    progressive: Annotated[
        bool | None,
        Meta(
            description="Show a coarse picture first while it loads: a progressive jpeg, an "
            "interlaced png or gif. With `auto`, counts for these. Without it they are not, but "
            "the optimizer may make a jpeg progressive."
        ),
    ] = None

    chroma_subsampling: Annotated[
        Chroma | None,
        Meta(
            description="Resolution of colors in jpeg and avif: `444` is full, as for red text, "
            "`420` half in both directions. With `auto` and `444`, lossy webp is left out, which "
            "has only 420. Without it, `444` from quality 90 on."
        ),
    ] = None

    def __post_init__(self) -> None:
        if self.quality is not None and self.ssimulacra2 is not None:
            raise ValueError("quality and ssimulacra2 exclude each other")
        self._check_encoder()
        if self.score is not None and self.format == "heif":
            raise ValueError(
                "heif has no quality by look: give quality a number, or use auto, avif, webp, "
                "jpeg or jxl"
            )

    @property
    def score(self) -> float | None:
        """The score of SSIMULACRA2 that is asked for; None for a quality."""
        if isinstance(self.quality, str):
            return TARGETS[self.quality]
        return self.ssimulacra2

    @property
    def _encoder(self) -> EncoderOptions:
        return EncoderOptions(self.lossless, self.effort, self.progressive, self.chroma_subsampling)

    def _check_encoder(self) -> None:
        if self.lossless and (self.quality is not None or self.score is not None):
            raise ValueError("quality: lossless=true has none; leave one of them out")
        if self.format != "auto":
            check_options(self.format, self._encoder)
            return
        if self.effort is not None:
            raise ValueError(
                f"effort: {describe_efforts()}; with auto, give each format its own, as "
                "encode:webp:effort=6 does"
            )
        if self.lossless and not self.keep_lossless:
            raise ValueError("keep_lossless: contradicts lossless; leave one of them out")
        if self.lossless and self.chroma_subsampling is not None:
            raise ValueError(
                "chroma_subsampling: what is lossless has full resolution; leave one of them out"
            )

    def _encoders(self) -> Mapping[FormatName, EncoderOptions]:
        if self.format != "auto":
            return {self.format: self._encoder}
        return {
            format: EncoderOptions(
                progressive=self.progressive if format in PROGRESSIVE else None,
                chroma=self.chroma_subsampling if format in CHROMA else None,
            )
            for format in PROGRESSIVE | CHROMA
        }

    def apply(self, picture: Picture) -> Picture:
        score = self.score
        if self.quality is not None or score is not None:
            picture = picture.with_output(format_qualities={})
        return picture.with_output(
            format=self.format,
            quality=self.quality if isinstance(self.quality, int) else None,
            score=score,
            keep_lossless=self.keep_lossless,
            encoders=self._encoders(),
            lossless=self.lossless and self.format == "auto",
            full_chroma=self.chroma_subsampling == "444",
        )
