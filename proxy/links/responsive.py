"""Responsive images: which candidates a ``srcset`` and a ``<picture>`` have.

No candidate is larger than the original or the box, and each width is the true one. The default
widths are a ladder by bytes: bytes grow as pixels to the power of 0.8 (``bench/ladder.py``), so
each width has about 30 % more bytes than the one before.
"""

from collections.abc import Callable, Iterable, Sequence
from html import escape
from typing import Literal, NamedTuple, Required, TypedDict

from proxy.errors import InvalidLink
from proxy.operations import OPERATIONS
from proxy.operations.operation import operation_name

DEFAULT_WIDTHS = (
    320, 380, 450, 530, 620, 730, 860, 1020, 1200, 1420, 1680, 1980, 2340, 2760, 3250, 3840,
)  # fmt: skip
DEFAULT_FORMATS = ("avif", "webp", "jpeg")
FORMATS = ("avif", "gif", "heif", "jpeg", "jxl", "png", "webp")
MAX_SIDE = 16_384
"""The longest side that operations take, in pixels."""

_MAX_NUMBER = 1_000_000
_RESPONSE_OPTIONS = ("attachment", "debug", "expires", "fallback", "filename", "tag", "v")
SAME_SIZE_STEPS = frozenset(
    {operation_name(kind) for kind in OPERATIONS if kind.changes_size is False}
    | {"convert", "encode", "keep", "quality", "strip", *_RESPONSE_OPTIONS}
)
"""The steps after which an image has the size that it had before."""

BuildLink = Callable[[Sequence[str]], str]
"""Builds the link of steps; the source is known."""


class SrcsetOptions(TypedDict, total=False):
    """What the candidates are made of, and what bounds them."""

    original: Required[tuple[int, int]]
    """Width and height of the original as it is shown, as ``info`` links tell."""
    widths: Iterable[int] | None
    """In pixels; `DEFAULT_WIDTHS` without them."""
    ratio: tuple[int, int] | None
    """The aspect ratio to crop to, such as ``(16, 9)``; without one nothing is cropped."""
    crop: Literal["smart", "center"]
    """What to keep with a ratio: the subject, which is the default, or the center."""
    max_width: int
    """The width of the box, in pixels."""
    max_height: int
    """The height of the box, in pixels."""


class ArtDirection(NamedTuple):
    """The aspect ratio that a picture has where a media condition holds.

    ``ArtDirection("(max-width: 40em)", (4, 5))``. ``sizes`` is that of the picture if it is None.
    """

    media: str
    ratio: tuple[int, int]
    sizes: str | None = None


class PictureOptions(SrcsetOptions, total=False):
    """What the sources of a ``<picture>`` are made of."""

    formats: Sequence[str]
    """The last one is that of the ``<img>``; AVIF, WebP and JPEG without them."""
    sizes: str
    """``100vw`` without it."""
    art: Sequence[ArtDirection | tuple[str, tuple[int, int]]]
    """The first condition that holds counts."""


class SrcsetCandidate(NamedTuple):
    """One image of a srcset, with its true size in pixels."""

    url: str
    width: int
    height: int


class PictureSource(NamedTuple):
    """The attributes of one ``<source>``; the size is that of its largest image."""

    media: str | None
    type: str
    srcset: str
    sizes: str
    width: int
    height: int


class PictureElement(NamedTuple):
    """The attributes of a ``<picture>``: its sources and its ``<img>``."""

    sources: tuple[PictureSource, ...]
    src: str
    srcset: str
    sizes: str
    width: int
    height: int

    def html(self, alt: str = "") -> str:
        """Write the element, escaped."""
        sources = [f"  <source{_attributes(source._asdict())}>" for source in self.sources]
        img = {**self._asdict(), "sources": None, "alt": alt}
        return "\n".join(["<picture>", *sources, f"  <img{_attributes(img)}>", "</picture>"])


def make_candidates(
    build: BuildLink, steps: Sequence[str], options: SrcsetOptions
) -> tuple[SrcsetCandidate, ...]:
    """Build one link for each width that the original and the box allow, smallest first.

    Each link resizes first; the steps come after that and may not change the size. Raises
    InvalidLink.
    """
    for step in steps:
        name = step.partition(":")[0]
        if name not in SAME_SIZE_STEPS:
            raise InvalidLink(
                f"srcset: {name} may change the size; use widths, ratio, max_width and max_height "
                "instead"
            )
    crop = options.get("crop", "smart")
    if crop not in ("smart", "center"):
        raise InvalidLink("srcset: crop must be smart or center")
    operation = "smart_crop" if crop == "smart" else "resize"
    ratio = options.get("ratio")
    across, down = ratio or options["original"]
    candidates = []
    for width in true_widths(options):
        height = max(1, (2 * width * down + across) // (2 * across))
        resize = f"{operation}:{width}:{height}" if ratio else f"resize:{width}"
        candidates.append(SrcsetCandidate(build((resize, *steps)), width, height))
    return tuple(candidates)


def make_picture(build: BuildLink, steps: Sequence[str], options: PictureOptions) -> PictureElement:
    """Build the attributes of a ``<picture>``. Raises InvalidLink."""
    formats = options.get("formats", DEFAULT_FORMATS)
    if any(step.partition(":")[0] == "convert" for step in steps):
        raise InvalidLink("picture: name the formats in formats, not in a convert step")
    if not formats or not all(format in FORMATS for format in formats):
        raise InvalidLink(f"picture: formats must be some of {', '.join(FORMATS)}")
    art = [ArtDirection(*one) for one in options.get("art", ())]
    if not all(one.media.strip() for one in art):
        raise InvalidLink("picture: media must be a media condition, such as (max-width: 40em)")
    widths = options.get("widths")
    bounds: PictureOptions = {**options, "widths": None if widths is None else tuple(widths)}
    shapes = [(one.media, one.ratio, one.sizes) for one in art]
    sources = []
    for media, ratio, sizes in [*shapes, (None, options.get("ratio"), None)]:
        bounds["ratio"] = ratio
        for format in formats:
            candidates = make_candidates(build, (*steps, f"convert:{format}"), bounds)
            largest = candidates[-1]
            sources.append(
                PictureSource(
                    media, f"image/{format}", join_candidates(candidates),
                    sizes or options.get("sizes", "100vw"), largest.width, largest.height,
                )
            )  # fmt: skip
    fallback = sources.pop()
    return PictureElement(tuple(sources), largest.url, *fallback[2:])


def true_widths(options: SrcsetOptions) -> list[int]:
    """The widths, and the largest width that original and box allow in that shape."""
    original = options["original"]
    shape = options.get("ratio") or original
    asked = options.get("widths")
    widths = DEFAULT_WIDTHS if asked is None else tuple(asked)
    max_width, max_height = options.get("max_width", MAX_SIDE), options.get("max_height", MAX_SIDE)
    for name, values in (
        ("original", original), ("ratio", shape), ("widths", widths),
        ("max_width", (max_width,)), ("max_height", (max_height,)),
    ):  # fmt: skip
        if not all(type(value) is int and 1 <= value <= _MAX_NUMBER for value in values):
            raise InvalidLink(f"srcset: {name} must be whole numbers from 1 to {_MAX_NUMBER}")
    box_width = min(original[0], max_width, MAX_SIDE)
    box_height = min(original[1], max_height, MAX_SIDE)
    largest = min(box_width, box_height * shape[0] // shape[1])
    if not largest:
        raise InvalidLink("srcset: not one pixel of that shape fits into the original and the box")
    # Less than half a step below the largest is too near to be worth an image.
    margin = 12 if asked is None else 11
    return [*sorted({width for width in widths if width * margin < largest * 11}), largest]


def join_candidates(candidates: Iterable[SrcsetCandidate]) -> str:
    return ", ".join(f"{candidate.url} {candidate.width}w" for candidate in candidates)


def _attributes(values: dict[str, object]) -> str:
    return "".join(
        f' {name}="{escape(str(value))}"' for name, value in values.items() if value is not None
    )
