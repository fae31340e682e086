"""Draw scans: pages as a flat-bed scanner sees them, with paper, ink, noise and uneven light."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter, ImageFont

_FONT = Path(__file__).parents[2] / "proxy" / "data" / "fonts" / "DejaVuSans.ttf"
_TEXT = "Sphinx of black quartz, judge my vow: pack my box with five dozen liquor jugs. " * 3
_SIZE = (720, 540)

Pixels = npt.NDArray[np.uint8]


def draw_scans() -> dict[str, Image.Image]:
    """Scans by name: a letter, a receipt, a form with handwriting and a page with a halftone."""
    return {
        "letter": _scan(_letter(), seed=1, paper=(250, 248, 240), turn=0.6),
        "receipt": _scan(_receipt(), seed=2, paper=(238, 238, 242), turn=-1.1),
        "form": _scan(_form(), seed=3, paper=(252, 246, 226), turn=0.3),
        "halftone": _scan(_halftone(), seed=4, paper=(244, 240, 232), turn=-0.4),
    }


def _scan(ink: Image.Image, *, seed: int, paper: tuple[int, int, int], turn: float) -> Image.Image:
    """Put the ink (black on white) on paper, turned by so many degrees."""
    random = np.random.default_rng(seed)
    turned = ink.rotate(turn, Image.Resampling.BICUBIC, fillcolor="white")
    soft = np.asarray(turned.filter(ImageFilter.GaussianBlur(0.7)), dtype=np.float64) / 255
    height, width = soft.shape[:2]
    fibers = Image.fromarray(random.integers(0, 256, (height, width), dtype=np.uint8))
    grain = np.asarray(fibers.filter(ImageFilter.GaussianBlur(1.6)), dtype=np.float64) - 128
    across, down = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
    light = 1 - 0.05 * across - 0.04 * down**2
    page = soft * np.array(paper) * light[..., None] + 0.25 * grain[..., None]
    noisy = page + random.normal(0, 2.2, page.shape)
    return Image.fromarray(np.clip(noisy + 14 * (1 - soft), 0, 255).astype(np.uint8))


def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(_FONT), size)


def _page() -> tuple[Image.Image, ImageDraw.ImageDraw]:
    image = Image.new("RGB", _SIZE, "white")
    return image, ImageDraw.Draw(image)


def _letter() -> Image.Image:
    image, draw = _page()
    draw.text((40, 24), "Liquor & Sons", "#303060", _font(26))
    for row in range(22):
        start = row * 17 % 70
        end = start + (46 if row % 6 == 5 else 84)
        draw.text((40, 84 + row * 20), _TEXT[start:end], "#181818", _font(14))
    return image


def _receipt() -> Image.Image:
    image, draw = _page()
    for row in range(20):
        name = _TEXT[row * 9 % 60 :][:18]
        draw.text((60, 20 + row * 25), name, "#404048", _font(17))
        draw.text((440, 20 + row * 25), f"{row * 7919 % 9000 / 100:8.2f}", "#404048", _font(17))
    return image


def _form() -> Image.Image:
    """Printed lines and boxes, and loops of blue ink."""
    image, draw = _page()
    random = np.random.default_rng(5)
    for row in range(7):
        y = 40 + row * 70
        draw.text((30, y), _TEXT[row * 11 % 60 :][:16], "#202020", _font(12))
        draw.rectangle((200, y - 8, 690, y + 40), outline="#505050")
        x, points = 215.0, []
        phase = random.uniform(0, 6)
        while x < 215 + 60 * (4 + row % 4):
            points.append((x, y + 16 + 13 * np.sin(x / 7 + phase) * np.cos(x / 31)))
            x += 1.5 + np.sin(x / 9)
        draw.line(points, fill="#1b3a8c", width=3, joint="curve")
    return image


def _halftone() -> Image.Image:
    """A printed picture of dots above two columns of text."""
    image, draw = _page()
    for row in range(52):
        for column in range(108):
            x, y = 40 + column * 6 + row % 2 * 3, 24 + row * 5
            tone = 0.5 + 0.5 * np.sin(x / 90) * np.cos(y / 60 + x / 240)
            radius = 0.4 + 2.4 * tone
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill="#2a2320")
    for row in range(12):
        for column in (0, 1):
            start = (row * 13 + column * 29) % 70
            draw.text((40 + column * 330, 300 + row * 19), _TEXT[start:][:40], "black", _font(13))
    return image
