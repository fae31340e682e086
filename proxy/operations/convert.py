from typing import Annotated, Literal

from msgspec import Meta

from proxy.imaging.picture import Picture
from proxy.imaging.score_targets import MAX_TARGET, MIN_TARGET, TARGETS
from proxy.operations.operation import Operation

QualityName = Literal["best", "good", "eco", "low"]


class Convert(Operation, frozen=True):
    """Choose the output format and its quality. The last `convert` of a plan counts.

    With `auto` you get the best format that the client accepts: avif, then webp, then jpeg, or png
    for what has transparency or was lossless. Flat pictures such as screenshots stay lossless where
    that takes fewer bytes, and an original that was not changed is sent as it was if it takes the
    fewest. Animations become webp or gif.

    With a name instead of a number you get the lowest quality at which the result looks as asked:
    `best` is the score 85 of SSIMULACRA2, `good` 75, `eco` 65, `low` 55. It is found by a sample of
    each picture. `ssimulacra2=70` asks for a score of your own. Lossless results and heif have
    none.
    """

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

    def __post_init__(self) -> None:
        if self.quality is not None and self.ssimulacra2 is not None:
            raise ValueError("quality and ssimulacra2 exclude each other")
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

    def apply(self, picture: Picture) -> Picture:
        score = self.score
        if self.quality is not None or score is not None:
            picture = picture.with_output(format_qualities={})
        return picture.with_output(
            format=self.format,
            quality=self.quality if isinstance(self.quality, int) else None,
            score=score,
            keep_lossless=self.keep_lossless,
        )
