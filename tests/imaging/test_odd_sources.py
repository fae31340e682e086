"""Pictures of every kind in every format: two other decoders show the pixels of the original."""

import io
from typing import Any

import numpy as np
import numpy.typing as npt
import pictures
import pytest
import pyvips
from PIL import Image, ImageSequence
from render_helper import DETECTOR, REGISTRY, step

from proxy.formats import FORMATS, FormatName, sniff
from proxy.imaging.results import Rendition
from proxy.limits import Limits
from proxy.operations.pipeline import render

WIDTH, HEIGHT = 41, 30
Frames = list[npt.NDArray[np.uint8]]
"""RGBA, of this height and width."""


def opaque(pixels: pictures.Pixels) -> npt.NDArray[np.uint8]:
    rgb = pixels if pixels.ndim > 2 else np.dstack([pixels] * 3)
    return np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8)])


def smooth(width: int = WIDTH, height: int = HEIGHT) -> npt.NDArray[np.uint8]:
    """Colors that change slowly, so that lossy formats keep them."""
    y, x = np.mgrid[0:height, 0:width]
    red, green = 255 * x // max(1, width - 1), 255 * y // max(1, height - 1)
    return np.stack([red, green, 255 - (red + green) // 2], axis=-1).astype(np.uint8)


def soft_alpha() -> npt.NDArray[np.uint8]:
    return np.tile(np.linspace(60, 255, WIDTH).astype(np.uint8), (HEIGHT, 1))


def saved(image: Image.Image, format: str, **options: Any) -> bytes:
    output = io.BytesIO()
    image.save(output, format, **options)
    return output.getvalue()


def deep_png(pixels: npt.NDArray[np.uint8], interpretation: str) -> bytes:
    image = pyvips.Image.new_from_array(pixels.astype(np.uint16) * 257)
    return bytes(image.copy(interpretation=interpretation).pngsave_buffer(bitdepth=16))


def palette_with_alpha() -> tuple[bytes, npt.NDArray[np.uint8]]:
    """Four colors in large squares, one of them transparent."""
    colors = np.array([(255, 0, 0), (0, 160, 0), (0, 0, 255), (250, 250, 250)], np.uint8)
    indexes = (np.arange(HEIGHT)[:, None] // 15 * 2 + np.arange(WIDTH)[None, :] // 21) % 4
    image = Image.fromarray(indexes.astype(np.uint8), "P")
    image.putpalette(colors.tobytes())
    expected = opaque(colors[indexes])
    expected[indexes == 2, 3] = 0
    return saved(image, "PNG", transparency=2), expected


def moving_alpha(format: str) -> tuple[bytes, Frames]:
    frames = []
    for at in range(3):
        frame = np.dstack([np.roll(smooth(), 9 * at, axis=0), soft_alpha()])
        frames.append(frame)
    first, *rest = map(Image.fromarray, frames)
    lossless = {"lossless": True, "exact": True} if format == "WEBP" else {}
    body = saved(first, format, save_all=True, append_images=rest, duration=90, **lossless)
    return body, frames


GRAY = smooth()[..., 0]
MOVING_WEBP, MOVING_PNG = moving_alpha("WEBP"), moving_alpha("PNG")
PALETTE, PALETTE_PIXELS = palette_with_alpha()
RGBA = np.dstack([smooth(), soft_alpha()])
ORIGINALS: dict[str, tuple[bytes, Frames]] = {
    "png of 16 bits": (deep_png(smooth(), "rgb16"), [opaque(smooth())]),
    "gray png of 16 bits": (deep_png(GRAY, "grey16"), [opaque(GRAY)]),
    "png of 16 bits with alpha": (deep_png(RGBA, "rgb16"), [RGBA]),
    "gray tiff of 16 bits": (
        saved(Image.fromarray(GRAY.astype(np.uint16) * 257), "TIFF"),
        [opaque(GRAY)],
    ),
    "gray png with alpha": (
        saved(Image.fromarray(np.dstack([GRAY, soft_alpha()]), "LA"), "PNG"),
        [np.dstack([GRAY, GRAY, GRAY, soft_alpha()])],
    ),
    "gray jpeg": (saved(Image.fromarray(GRAY), "JPEG", quality=97), [opaque(GRAY)]),
    "png of one bit": (
        saved(Image.fromarray(GRAY > 127), "PNG"),
        [opaque((GRAY > 127).astype(np.uint8) * 255)],
    ),
    "palette with alpha": (PALETTE, [PALETTE_PIXELS]),
    "one column": (saved(Image.fromarray(smooth(1, 40)), "PNG"), [opaque(smooth(1, 40))]),
    "one row": (saved(Image.fromarray(smooth(40, 1)), "PNG"), [opaque(smooth(40, 1))]),
    "one pixel": (
        saved(Image.fromarray(pictures.plain(1, 1)), "PNG"),
        [opaque(pictures.plain(1, 1))],
    ),
    "animated webp with alpha": MOVING_WEBP,
    "animated png with alpha": MOVING_PNG,
}
CMYK = saved(Image.fromarray(smooth()).convert("CMYK"), "JPEG", quality=97)

STILLS: tuple[FormatName, ...] = ("jpeg", "png", "webp", "avif", "gif", "jxl", "heif")
CLIENTS: tuple[tuple[FormatName, ...], ...] = (
    ("jxl", "avif", "webp"),
    ("jxl",),
    ("avif", "webp"),
    ("avif",),
    ("webp",),
    (),
)
TARGETS = [*((format, ()) for format in STILLS), *(("auto", accepted) for accepted in CLIENTS)]


def rendered(original: bytes, format: str, accepted: tuple[FormatName, ...]) -> Rendition:
    quality = {} if format in ("png", "gif") else {"quality": 92}
    plan = REGISTRY.plan([step("convert", format=format, **quality)])
    plan = plan.with_accepted_formats(accepted)
    return render(original, plan, Limits(), detector=DETECTOR).rendition


def by_pillow(body: bytes) -> Frames:
    with Image.open(io.BytesIO(body)) as image:
        return [np.asarray(frame.convert("RGBA")) for frame in ImageSequence.Iterator(image)]


def by_libvips(body: bytes, format: str, count: int) -> Frames | None:
    """None for what it cannot read."""
    loaders: dict[str, tuple[Any, bool]] = {
        "jpeg": (pyvips.Image.jpegload_buffer, False),
        "png": (pyvips.Image.pngload_buffer, False),
        "webp": (pyvips.Image.webpload_buffer, True),
        "gif": (pyvips.Image.gifload_buffer, True),
        "avif": (pyvips.Image.heifload_buffer, False),
    }
    if format not in loaders:
        return None
    load, reads_frames = loaders[format]
    image = load(body, n=count) if reads_frames else load(body)
    image = image.colourspace("srgb").cast("uchar")
    pixels = image if image.bands == 4 else image.bandjoin(255)
    height = image.height // (count if reads_frames else 1)
    return list(pixels.numpy().reshape(-1, height, image.width, 4))


def on(background: int, frame: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """What is shown on a gray of this level."""
    alpha = frame[..., 3:] / 255
    return frame[..., :3] * alpha + background * (1 - alpha)


def difference(shown: npt.NDArray[np.uint8], expected: npt.NDArray[np.uint8], format: str) -> float:
    """On white and on black; what jpeg and gif cannot hold is not counted."""
    backgrounds = (255,) if format == "jpeg" else (255, 0)
    if format == "gif":  # it has no soft edges
        visible = (expected[..., 3:] > 230) & (shown[..., 3:] > 0)
        return float((np.abs(shown[..., :3] - expected[..., :3].astype(float)) * visible).mean())
    shades = (np.abs(on(level, shown) - on(level, expected)) for level in backgrounds)
    return max(float(shade.mean()) for shade in shades)


def most(format: str) -> float:
    """Levels of 255 on average. A png is exact but for the loss of an original that is a jpeg."""
    return 1.5 if format == "png" else 7.0


@pytest.mark.parametrize("name", ORIGINALS)
@pytest.mark.parametrize(("format", "accepted"), TARGETS)
def test_every_format_shows_every_original(
    name: str, format: str, accepted: tuple[FormatName, ...]
) -> None:
    original, expected = ORIGINALS[name]
    result = rendered(original, format, accepted)
    if format == "auto":
        assert result.format in {"jpeg", "png", "gif", *accepted}
    else:
        assert result.format == format
    found = sniff(result.body[:64])
    assert found is not None
    assert found.name == result.format
    if not FORMATS[result.format].animated:
        expected = expected[:1]
    shown = by_pillow(result.body)
    assert [frame.shape for frame in shown] == [frame.shape for frame in expected]
    for frame, other in zip(shown, expected, strict=True):
        assert difference(frame, other, result.format) < most(result.format)
    seen = by_libvips(result.body, result.format, len(shown))
    for frame, other in zip(seen or (), expected, strict=False):
        assert difference(frame, other, result.format) < most(result.format)


@pytest.mark.parametrize(("format", "accepted"), TARGETS)
def test_print_colors_look_alike_in_every_format(
    format: str, accepted: tuple[FormatName, ...]
) -> None:
    (expected,) = by_pillow(rendered(CMYK, "png", ()).body)
    result = rendered(CMYK, format, accepted)
    (shown,) = by_pillow(result.body)
    assert difference(shown, expected, result.format) < most(result.format)
