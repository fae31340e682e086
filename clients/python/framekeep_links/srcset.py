"""Which images a srcset and a ``<picture>`` have, and how large each is."""

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple, TypeAlias

from framekeep_links.encoding import step_name

Crop: TypeAlias = Literal["smart", "center"]
Ratio: TypeAlias = tuple[int, int]

DEFAULT_WIDTHS = (
    320, 380, 450, 530, 620, 730, 860, 1020, 1200, 1420, 1680, 1980, 2340, 2760, 3250, 3840,
)  # fmt: skip
"""Each has about 30 % more bytes than the one before: bytes grow as pixels to the power of 0.8."""

FORMATS = ("avif", "gif", "heif", "jpeg", "jxl", "png", "webp")
MAX_SIDE = 16_384
"""The longest side that the server's operations take, in pixels."""

SAME_SIZE_STEPS = frozenset(
    (
        "attachment", "auto_contrast", "blur", "blur_detections", "contrast", "convert", "debug",
        "denoise", "encode", "expires", "fallback", "filename", "flip", "flop", "gamma", "gradient",
        "grayscale", "invert_colors", "keep", "modulate", "opacity", "pixelate",
        "pixelate_detections", "quality", "remove_background", "remove_transparency", "sharpen",
        "shift_colors", "strip", "tag", "text", "threshold", "tint", "v", "watermark",
    )
)  # fmt: skip
"""The steps after which a picture has the size that it had before."""


class Candidate(NamedTuple):
    """One image of a srcset, with its true size in pixels."""

    url: str
    width: int
    height: int


class Source(NamedTuple):
    """The attributes of one ``<source>`` in a ``<picture>``; ``media`` is None where it has none.

    ``width`` and ``height`` are the size of the largest image.
    """

    media: str | None
    type: str
    srcset: str
    sizes: str
    width: int
    height: int


class Picture(NamedTuple):
    """The attributes of a ``<picture>``: its sources, and its ``<img>``.

    ``width`` and ``height`` are the size of the largest image.
    """

    sources: tuple[Source, ...]
    src: str
    srcset: str
    sizes: str
    width: int
    height: int


class Art(NamedTuple):
    """Art direction: the aspect ratio that a picture has where a media condition holds.

    ``Art("(max-width: 40em)", (4, 5))``. ``sizes`` is that of the picture if it is None.
    """

    media: str
    ratio: Ratio
    sizes: str | None = None


class Box(NamedTuple):
    """What the images of a srcset are made of, and what bounds them.

    ``widths`` is None for `DEFAULT_WIDTHS`.
    """

    original: tuple[int, int]
    widths: Iterable[int] | None
    ratio: Ratio | None
    crop: Crop
    max_width: int
    max_height: int


def sized_steps(steps: Sequence[str], box: Box) -> list[tuple[tuple[str, ...], int, int]]:
    """The steps of each image, and its width and height; the smallest first."""
    for one in steps:
        _check_same_size(one)
    if box.crop not in ("smart", "center"):
        raise ValueError("crop must be smart or center")
    operation = "smart_crop" if box.crop == "smart" else "resize"
    across, down = box.original if box.ratio is None else box.ratio
    sized: list[tuple[tuple[str, ...], int, int]] = []
    for width in true_widths(box):
        height = max(1, (2 * width * down + across) // (2 * across))
        resize = f"resize:{width}" if box.ratio is None else f"{operation}:{width}:{height}"
        sized.append(((resize, *steps), width, height))
    return sized


def true_widths(box: Box) -> list[int]:
    """The widths, and the largest width that original and box allow in that shape."""
    widths = DEFAULT_WIDTHS if box.widths is None else tuple(box.widths)
    shape = box.original if box.ratio is None else box.ratio
    for name, values in (
        ("original", box.original), ("ratio", shape), ("widths", widths),
        ("max_width", (box.max_width,)), ("max_height", (box.max_height,)),
    ):  # fmt: skip
        if not all(type(value) is int and 1 <= value <= 1_000_000 for value in values):
            raise ValueError(f"srcset: {name} must be whole numbers from 1 to 1000000")
    box_width = min(box.original[0], box.max_width, MAX_SIDE)
    box_height = min(box.original[1], box.max_height, MAX_SIDE)
    largest = min(box_width, box_height * shape[0] // shape[1])
    if not largest:
        raise ValueError("srcset: not one pixel of that shape fits into the original and the box")
    # Less than half a step below the largest is too near to be worth an image.
    margin = 12 if box.widths is None else 11
    return [*sorted({width for width in widths if width * margin < largest * 11}), largest]


def join(candidates: Iterable[Candidate]) -> str:
    return ", ".join(f"{candidate.url} {candidate.width}w" for candidate in candidates)


def check_picture(steps: Iterable[str], formats: Sequence[str], art: Iterable[Art]) -> None:
    if any(step_name(one) == "convert" for one in steps):
        raise ValueError("picture: name the formats in formats, not in a convert step")
    if not formats or not all(format in FORMATS for format in formats):
        raise ValueError(f"picture: formats must be some of {', '.join(FORMATS)}")
    if not all(isinstance(one.media, str) and one.media.strip() for one in art):
        raise ValueError("picture: media must be a media condition, such as (max-width: 40em)")


def _check_same_size(text: str) -> None:
    name = step_name(text)
    if name not in SAME_SIZE_STEPS:
        raise ValueError(
            f"srcset: {name} may change the size; use widths, ratio, max_width and max_height "
            "instead"
        )
