"""Draw graphics that no constant of the quality search was fitted to."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

_FONT = Path(__file__).parents[2] / "proxy" / "data" / "fonts" / "DejaVuSans.ttf"
_SENTENCE = "Sphinx of black quartz, judge my vow: pack my box with five dozen liquor jugs. "


def draw_graphics() -> dict[str, Image.Image]:
    """Screenshots, drawings and art by name."""
    return {
        "terminal": _terminal(),
        "spreadsheet": _spreadsheet(),
        "article": _article(),
        "map": _map(),
        "diagram": _diagram(),
        "landscape": _landscape(),
        "mosaic": _mosaic(),
    }


def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(_FONT), size)


def _terminal() -> Image.Image:
    image = Image.new("RGB", (1100, 700), "#11151c")
    draw = ImageDraw.Draw(image)
    colors = ("#c9d1d9", "#7ee787", "#79c0ff", "#ffa657", "#8b949e")
    for row in range(32):
        x = 16
        for column in range(1 + row * 7 % 5):
            text = _SENTENCE[(row * 5 + column * 11) % 60 :][: 4 + row * column % 17]
            draw.text((x, 12 + row * 21), text, colors[(row + column) % 5], _font(15))
            x += 190
    return image


def _spreadsheet() -> Image.Image:
    image = Image.new("RGB", (1000, 640), "white")
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, 1000, 26), fill="#217346")
    for row in range(25):
        y = 26 + row * 25
        draw.line((0, y, 1000, y), fill="#d4d4d4")
        for column in range(10):
            value = (row * 7919 + column * 104729) % 100_000 / 100
            fill = "#b00020" if value < 200 else "#222222"
            draw.text((column * 100 + 20, y + 5), f"{value:,.2f}", fill, _font(13))
    for column in range(10):
        draw.line((column * 100, 0, column * 100, 640), fill="#d4d4d4")
    return image


def _article() -> Image.Image:
    """Black type in three sizes with a soft colored header."""
    image = Image.new("RGB", (900, 1100), "#fffdf7")
    across = np.linspace(0, 1, 900)
    header = np.stack([40 + 160 * across, 90 + 60 * across, 190 - 60 * across], axis=-1)
    image.paste(Image.fromarray(np.tile(header.astype(np.uint8), (180, 1, 1))), (0, 0))
    draw = ImageDraw.Draw(image)
    draw.text((50, 70), "Sphinx of black quartz", "white", _font(52))
    for row in range(36):
        start = row * 13 % 60
        draw.text((50, 210 + row * 24), (_SENTENCE * 3)[start : start + 92], "#1a1a1a", _font(16))
    return image


def _map() -> Image.Image:
    image = Image.new("RGB", (1000, 800), "#f2efe9")
    draw = ImageDraw.Draw(image)
    chance = np.random.default_rng(7)
    for color in ("#c8facc", "#aad3df", "#d6e8c0", "#e8e0d8") * 4:
        x, y = chance.uniform((0, 0), (1000, 800))
        angles = np.sort(chance.uniform(0, 2 * math.pi, 11))
        radii = chance.uniform(40, 160, 11)
        corners = [
            (x + radius * math.cos(angle), y + radius * math.sin(angle))
            for angle, radius in zip(angles, radii, strict=True)
        ]
        draw.polygon(corners, fill=color)
    for width, color in ((9, "#e892a2"), (6, "#fcd6a4"), (3, "#ffffff"), (2, "#b8b0a8")):
        for _ in range(9):
            points = chance.uniform((-50, -50), (1050, 850), (4, 2))
            draw.line([tuple(point) for point in points], fill=color, width=width)
    for index in range(30):
        place = chance.uniform((0, 0), (920, 780))
        draw.text(tuple(place), _SENTENCE[index : index + 9], "#444455", _font(12))
    return image


def _diagram() -> Image.Image:
    image = Image.new("RGB", (800, 600), "white")
    draw = ImageDraw.Draw(image)
    colors = ("#fde68a", "#bfdbfe", "#fecaca", "#bbf7d0")
    for index in range(12):
        x, y = 40 + index % 4 * 190, 50 + index // 4 * 190
        if index % 4 < 3:
            draw.line((x + 130, y + 40, x + 190, y + 40), fill="black", width=2)
        draw.line((x + 65, y + 80, x + 65 + index * 9 % 50, y + 190), fill="#555555", width=2)
        draw.rounded_rectangle((x, y, x + 130, y + 80), 12, colors[index % 4], "black", 2)
        draw.text((x + 14, y + 30), _SENTENCE[index * 5 :][:13], "black", _font(14))
    return image


def _landscape() -> Image.Image:
    """Flat shapes with gradients and a little blur, as in illustrations."""
    down = np.linspace(0, 1, 700)[:, None]
    sky = np.stack([255 - 90 * down, 190 - 40 * down, 120 + 110 * down], axis=-1)
    image = Image.fromarray(np.tile(sky.astype(np.uint8), (1, 1000, 1)))
    draw = ImageDraw.Draw(image)
    draw.ellipse((640, 90, 780, 230), fill="#fff4d0")
    for layer, color in enumerate(("#8a6fa8", "#5d4a82", "#38305e", "#1c1b3a")):
        heights = [
            420 + layer * 70 - 90 * math.sin(x / (170 - layer * 28) + layer * 2)
            for x in range(1001)
        ]
        draw.polygon([(0, 700), *enumerate(heights), (1000, 700)], fill=color)
    return image.filter(ImageFilter.GaussianBlur(0.8))


def _mosaic() -> Image.Image:
    """Saturated pieces with dark seams: hard for halved color resolution."""
    chance = np.random.default_rng(11)
    image = Image.new("RGB", (720, 720), "#202020")
    draw = ImageDraw.Draw(image)
    for row in range(30):
        for column in range(30):
            color = tuple(int(value) for value in chance.integers(0, 256, 3))
            x, y = column * 24 + 1, row * 24 + 1
            draw.rectangle((x, y, x + 21, y + 21), fill=color)
    return image
