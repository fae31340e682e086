"""Draw the pictures of `bench/auto.py` that are no photographs: graphics of every usual kind."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter, ImageFont

_FONT = Path(__file__).parents[1] / "proxy" / "data" / "fonts" / "DejaVuSans.ttf"
_WORDS = "The quick brown fox jumps over the lazy dog while seven wizards pack five dozen jugs"


def drawn_pictures(photo: Image.Image) -> dict[str, tuple[str, bytes]]:
    """Kind and file by name; the photograph appears inside a screenshot."""
    return {
        "qr.png": ("screenshot", _file(_qr(12))),
        "code.png": ("screenshot", _file(_screenshot(None))),
        "page-with-photo.png": ("screenshot", _file(_screenshot(photo))),
        "chart.png": ("screenshot", _file(_chart())),
        "icon.png": ("icon", _file(_icon(64))),
        "logo.png": ("icon", _file(_icon(512))),
        "line-art.png": ("art", _file(_line_art())),
        "poster.png": ("art", _file(_poster())),
        "gradient.png": ("art", _file(_gradient())),
        "photo.png": ("art", _file(photo)),
        "scan.png": ("scan", _file(_scan())),
        "scan-85.jpg": ("scan", _file(_scan(), "JPEG", quality=85)),
        "fax.png": ("scan", _file(_scan().convert("1"))),
        "line-art-75.jpg": ("art", _file(_line_art(), "JPEG", quality=75)),
        "photo-40.jpg": ("photograph", _file(photo, "JPEG", quality=40)),
    }


def _file(image: Image.Image, format: str = "PNG", **options: int) -> bytes:
    output = io.BytesIO()
    image.save(output, format, optimize=True, **options)
    return output.getvalue()


def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(_FONT), size)


def _noise(shape: tuple[int, ...], sigma: float) -> npt.NDArray[np.float64]:
    return np.random.default_rng(1).normal(0, sigma, shape)


def _qr(module: int) -> Image.Image:
    modules = np.random.default_rng(2).integers(0, 2, (41, 41)).astype(np.uint8) * 255
    side = 41 * module
    return Image.fromarray(modules).resize((side, side), Image.Resampling.NEAREST).convert("RGB")


def _screenshot(photo: Image.Image | None) -> Image.Image:
    image = Image.new("RGB", (1280, 800), "#fafafa")
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, 1280, 48), fill="#24292f")
    draw.rectangle((0, 48, 240, 800), fill="#eef1f4")
    for row in range(24):
        color = ("#1f2328", "#0550ae", "#116329", "#82071e")[row % 4]
        draw.text((260, 64 + row * 30), _WORDS[row : row + 70], color, _font(17))
        draw.text((16, 64 + row * 30), _WORDS[: 12 + row % 9], "#57606a", _font(14))
    if photo is not None:
        image.paste(photo.resize((640, 480)), (560, 160))
    return image


def _chart() -> Image.Image:
    image = Image.new("RGB", (900, 500), "white")
    draw = ImageDraw.Draw(image)
    for bar in range(12):
        height = 60 + (bar * 97) % 380
        draw.rectangle((60 + bar * 68, 460 - height, 108 + bar * 68, 460), fill="#4e79a7")
        draw.text((62 + bar * 68, 468), f"M{bar + 1}", "#333333", _font(16))
    return image


def _icon(side: int) -> Image.Image:
    """A disc with a gradient and a soft shadow, on a transparent ground."""
    scale = 4
    large = Image.new("RGBA", (side * scale, side * scale))
    shadow = Image.new("L", large.size)
    ImageDraw.Draw(shadow).ellipse([side * scale * part for part in (0.15, 0.2, 0.9, 0.95)], 140)
    shadow = shadow.filter(ImageFilter.GaussianBlur(side * scale * 0.03))
    large.putalpha(shadow)
    disc = Image.new("L", large.size)
    ImageDraw.Draw(disc).ellipse([side * scale * part for part in (0.1, 0.1, 0.85, 0.85)], 255)
    large.paste(Image.linear_gradient("L").resize(large.size).convert("RGBA"), (0, 0), disc)
    ImageDraw.Draw(large).polygon(
        [(side * scale * x, side * scale * y) for x, y in ((0.35, 0.3), (0.7, 0.48), (0.35, 0.66))],
        "#ffffff",
    )
    return large.resize((side, side), Image.Resampling.LANCZOS)


def _line_art() -> Image.Image:
    image = Image.new("L", (2000, 1600), 255)
    draw = ImageDraw.Draw(image)
    points = np.random.default_rng(4).integers(0, 1600, (120, 4))
    for x0, y0, x1, y1 in points.tolist():
        draw.arc((min(x0, x1), min(y0, y1), max(x0, x1) + 9, max(y0, y1) + 9), y0 % 360, x1, 0, 4)
    return image.resize((1000, 800), Image.Resampling.LANCZOS).convert("RGB")


def _poster() -> Image.Image:
    image = Image.new("RGB", (1600, 1200), "#f4e9cd")
    draw = ImageDraw.Draw(image)
    for step, color in enumerate(("#c1666b", "#48a9a6", "#d4b483", "#4281a4", "#2d3047")):
        draw.ellipse((100 + step * 240, 150 + step * 90, 700 + step * 200, 800 + step * 70), color)
    draw.text((200, 60), "A POSTER", "#2d3047", _font(150))
    return image.resize((800, 600), Image.Resampling.LANCZOS)


def _gradient() -> Image.Image:
    x, y = np.meshgrid(np.linspace(0, 1, 900), np.linspace(0, 1, 600))
    pixels = np.dstack([60 + 150 * x, 40 + 120 * y, 200 - 80 * x * y])
    return Image.fromarray(np.rint(pixels).astype(np.uint8))


def _scan() -> Image.Image:
    """A page of type as a scanner sees it: gray paper, soft edges, noise."""
    image = Image.new("L", (1000, 1300), 236)
    draw = ImageDraw.Draw(image)
    for row in range(42):
        draw.text((80, 80 + row * 28), _WORDS[row % 9 :][:78], 40, _font(19))
    soft = np.asarray(image.filter(ImageFilter.GaussianBlur(0.8)), np.float64)
    return Image.fromarray(np.clip(soft + _noise(soft.shape, 4), 0, 255).astype(np.uint8))
