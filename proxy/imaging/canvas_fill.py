"""Put a picture on a larger canvas, and fill the rest: with a color, or with the picture itself."""

from typing import Annotated

import pyvips
from msgspec import Meta

from proxy.geometry import Box, Size, contain
from proxy.imaging.alpha import add_alpha, composite
from proxy.imaging.blur import gaussian_blur
from proxy.imaging.color import HEX_COLOR
from proxy.imaging.picture import Picture
from proxy.imaging.resize import embed, resize_image

CanvasBackground = Annotated[
    str,
    Meta(
        pattern=f"^(?:transparent|auto|dominant|blur|{HEX_COLOR})$",
        title="a color such as `#ff8800` or `tomato`, `transparent`, `auto`, `dominant`, or `blur`",
        extra_json_schema={"format": "color"},
    ),
]

FILLS = (
    "`auto` is the average color of the picture, `dominant` its most frequent color, and `blur` "
    "the picture itself, stretched and blurred."
)
"""What the words of a `CanvasBackground` mean, for the descriptions of fields."""

_WHITE = [255.0, 255.0, 255.0]
"""What shows through transparent parts of a blurred picture, as in JPEG."""

_BLUR_SIGMA = 27.0
"""Pixels, on a canvas of up to `_BLUR_SIDE` pixels a side; on a larger one as much more."""
_BLUR_SIDE = 1080
_SMALL_SIGMA = 4.0
"""The blur is computed on a picture that is so much smaller that this is its sigma there."""


_BLUR_COST = 15.0
"""Nanoseconds of CPU time for each pixel of a canvas with the background `blur`."""


def fill_cost(background: str | None) -> float:
    """Nanoseconds for each pixel of the canvas, more than for a color."""
    return _BLUR_COST if background == "blur" else 0.0


def put_on_canvas(picture: Picture, canvas: Size, box: Box, background: str) -> Picture:
    """Put every frame at ``box`` on a canvas; ``background`` is a `CanvasBackground`."""
    if not picture.has_pixels:
        return _embed(picture, canvas, box, "transparent")
    if background not in ("auto", "dominant", "blur"):
        return _embed(picture, canvas, box, background)
    if canvas == box.size:
        return picture  # nothing is left to fill
    picture = picture.materialize()  # all pixels are read before the first is written
    if background == "blur":
        return picture.with_frame(
            picture.map_frames(lambda frame: _embed_in_blurred(frame, canvas, box))
        )
    find_color = _average_color if background == "auto" else _dominant_color
    return _embed(picture, canvas, box, find_color(picture.frame(0)))


def _embed(picture: Picture, canvas: Size, box: Box, color: str) -> Picture:
    return picture.with_frame(picture.map_frames(lambda frame: embed(frame, canvas, box, color)))


def _average_color(image: pyvips.Image) -> str:
    """Of the visible pixels, by how visible they are."""
    if not image.hasalpha():
        return "#" + "".join(f"{int(band.avg()):02x}" for band in image.bandsplit()[:3])
    alpha = image[-1]
    total = max(alpha.avg(), 1e-9)
    shares = [(band * alpha).avg() / total for band in image.bandsplit()[:3]]
    return "#" + "".join(f"{min(255, int(share)):02x}" for share in shares)


def _dominant_color(image: pyvips.Image) -> str:
    """The most frequent one, as `info` has it; black where everything is transparent."""
    # Only render processes need numpy.
    from proxy.imaging.placeholders import THUMBNAIL_SIDE, dominant_colors  # noqa: PLC0415

    thumbnail = image.thumbnail_image(THUMBNAIL_SIDE, height=THUMBNAIL_SIDE, size="down")
    colors = dominant_colors(add_alpha(thumbnail).numpy(), 5)
    return colors[0].hex if colors else "#000000"


def _embed_in_blurred(image: pyvips.Image, canvas: Size, box: Box) -> pyvips.Image:
    sigma = _BLUR_SIGMA * max(1.0, max(canvas.width, canvas.height) / _BLUR_SIDE)
    side = max(1, round(max(canvas.width, canvas.height) * _SMALL_SIGMA / sigma))
    opaque = image.flatten(background=_WHITE) if image.hasalpha() else image
    small = resize_image(opaque, contain(canvas, Size(side, side)))
    background = gaussian_blur(small, _SMALL_SIGMA).resize(
        canvas.width / small.width, vscale=canvas.height / small.height, kernel="cubic"
    )
    background = background.copy(interpretation="srgb")
    if image.hasalpha():
        return composite(background, image, box.left, box.top)
    return background.insert(image, box.left, box.top).copy(interpretation="srgb")
