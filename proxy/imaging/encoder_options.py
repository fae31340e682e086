"""What a plan may ask of an encoder beyond format and quality, and which format knows what."""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from proxy.formats import FormatName

Chroma = Literal["420", "444"]

EFFORTS: Mapping[FormatName, tuple[int, int]] = {
    "webp": (0, 6),
    "avif": (0, 9),
    "png": (0, 9),
    "gif": (1, 10),
    "jxl": (1, 9),
}
"""The lowest and the highest effort of each encoder that has one."""

LOSSLESS: frozenset[FormatName] = frozenset(("webp", "avif", "jxl"))
"""The formats that can be lossy or lossless."""

PROGRESSIVE: frozenset[FormatName] = frozenset(("jpeg", "png", "gif"))
CHROMA: frozenset[FormatName] = frozenset(("jpeg", "avif"))

_NEVER_LOSSLESS = {
    "gif": "gif has at most 256 colors; use webp, avif, jxl or png",
    "jpeg": "jpeg cannot be lossless; use webp, avif, jxl, png or auto",
    "heif": "heif is always lossy here; use webp, avif, jxl, png or auto",
}
_OTHER_CHROMA = {
    "webp": "webp is always 420, and full resolution with lossless=true; for 444 use avif or jpeg",
    "jxl": "jxl always has full resolution",
    "heif": "heif is always 420; for 444 use avif or jpeg",
}


class EncoderOptions(Struct, frozen=True):
    """None leaves a choice to the encoder.

    ``effort`` is on the scale of the format, see `EFFORTS`. ``chroma`` is the resolution of colors:
    "444" is full, "420" half in both directions. ``graphic`` takes AVIF's encoder for graphics, or
    that for photographs.
    """

    lossless: bool = False
    effort: int | None = None
    progressive: bool | None = None
    chroma: Chroma | None = None
    graphic: bool | None = None

    def updated(self, other: "EncoderOptions") -> "EncoderOptions":
        """These options, with what the other ones set."""
        return EncoderOptions(
            self.lossless or other.lossless,
            self.effort if other.effort is None else other.effort,
            self.progressive if other.progressive is None else other.progressive,
            other.chroma or self.chroma,
            self.graphic if other.graphic is None else other.graphic,
        )

    @property
    def fixes_coding(self) -> bool:
        """Whether another file with the same pixels need not be what was asked for."""
        return self.progressive is not None or self.chroma is not None


def check_options(format: FormatName, options: EncoderOptions) -> None:
    """Raise ValueError, beginning with the option, where the format does not know one."""
    if options.lossless and format not in LOSSLESS:
        reason = _NEVER_LOSSLESS.get(format, f"{format} is always lossless; leave it out")
        raise ValueError(f"lossless: {reason}")
    if options.effort is not None:
        _check_effort(format, options.effort)
    if options.progressive is not None and format not in PROGRESSIVE:
        raise ValueError(
            f"progressive: is possible with {_join(PROGRESSIVE)}, not with {format}; leave it out"
        )
    if options.chroma is None:
        return
    if format not in CHROMA:
        reason = _OTHER_CHROMA.get(format, f"{format} always has full resolution")
        raise ValueError(
            f"chroma_subsampling: is possible with {_join(CHROMA)}, not with {format}: {reason}"
        )
    if options.lossless:
        raise ValueError(
            "chroma_subsampling: what is lossless has full resolution; leave one of them out"
        )


def _check_effort(format: FormatName, effort: int) -> None:
    if format not in EFFORTS:
        raise ValueError(f"effort: {format} has none; {describe_efforts()}")
    low, high = EFFORTS[format]
    if not low <= effort <= high:
        nearest = min(max(effort, low), high)
        raise ValueError(
            f"effort: must be from {low} to {high} for {format}, not {effort}; the nearest is "
            f"{nearest}"
        )


def describe_efforts() -> str:
    """The scales of all formats, in words."""
    scales = (f"{format} {low} to {high}" for format, (low, high) in EFFORTS.items())
    return f"the scales are {', '.join(scales)}"


def _join(formats: frozenset[FormatName]) -> str:
    return ", ".join(sorted(formats))
