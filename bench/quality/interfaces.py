"""Draw what is saved as PNG: interfaces, code, charts, pixel art and logos, also scaled down."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

_FONT = Path(__file__).parents[2] / "proxy" / "data" / "fonts" / "DejaVuSans.ttf"
_SENTENCE = "Sphinx of black quartz, judge my vow: pack my box with five dozen liquor jugs. "
_SIZE = (640, 480)

Color = tuple[int, ...]


def draw_interfaces(seed: int) -> dict[str, Image.Image]:
    """Pictures by kind; other ones for each seed. Logos are transparent."""
    large = _interface(seed + 100, (1280, 960))
    return {
        "interface": _interface(seed, _SIZE),
        "interface, half": large.resize(_SIZE, Image.Resampling.LANCZOS),
        "code": _code(seed, _SIZE),
        "code, half": _code(seed + 100, (1100, 800)).resize((550, 400), Image.Resampling.LANCZOS),
        "chart": _chart(seed, is_soft=False),
        "chart, soft": _chart(seed, is_soft=True),
        "pixel art": _pixel_art(seed),
        "logo": _logo(seed),
        "soft background": _background(seed),
    }


def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(str(_FONT), size)


def _color(random: np.random.Generator, low: int = 30, high: int = 250) -> Color:
    return tuple(int(value) for value in random.integers(low, high, 3))


def _gradient(size: tuple[int, int], first: Color, last: Color) -> Image.Image:
    down = np.linspace(0, 1, size[1])[:, None]
    rows = (np.array(first) * (1 - down) + np.array(last) * down).astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(np.broadcast_to(rows[:, None], (*size[::-1], 3))))


def _interface(seed: int, size: tuple[int, int]) -> Image.Image:
    """Cards with gradients, round corners, shadows and text."""
    random = np.random.default_rng(seed)
    image = _gradient(
        size, _color(random, 20 + seed % 2 * 170), _color(random, 20 + seed % 2 * 170)
    )
    unit = size[0] // 640
    card_size = (182 * unit, 170 * unit)
    for index in range(6):
        corner = (20 + index % 3 * 205) * unit, (60 + index // 3 * 200) * unit
        box = (*corner, corner[0] + card_size[0], corner[1] + card_size[1])
        shadow = Image.new("L", size, 0)
        ImageDraw.Draw(shadow).rounded_rectangle(box, 14 * unit, fill=110)
        image.paste((0, 0, 0), (0, 0), shadow.filter(ImageFilter.GaussianBlur(6 * unit)))
        mask = Image.new("L", (card_size[0] * 2, card_size[1] * 2), 0)
        ImageDraw.Draw(mask).rounded_rectangle((0, 0, *(side - 1 for side in mask.size)), 28, 255)
        card = _gradient(card_size, _color(random), _color(random))
        image.paste(card, corner, mask.resize(card_size, Image.Resampling.LANCZOS))
        draw = ImageDraw.Draw(image)
        for row in range(5):
            text = _SENTENCE[(index * 7 + row * 13 + seed) % 60 :][:18]
            place = corner[0] + 12 * unit, corner[1] + (12 + row * 22) * unit
            draw.text(place, text, "white", _font(12 * unit))
    return image


def _code(seed: int, size: tuple[int, int]) -> Image.Image:
    random = np.random.default_rng(seed)
    paper, colors = [
        ("#1e1e1e", ("#d4d4d4", "#569cd6", "#ce9178", "#6a9955", "#dcdcaa")),
        ("#ffffff", ("#000000", "#0000ff", "#a31515", "#008000", "#795e26")),
    ][seed % 2]
    image = Image.new("RGB", size, paper)
    draw, font = ImageDraw.Draw(image), _font(12 + seed % 4)
    for number, y in enumerate(range(6, size[1], 20)):
        draw.text((6, y), f"{number + 1:3d}", "#858585", font)
        x = 40 + int(random.integers(0, 4)) * 24
        for _ in range(int(random.integers(1, 7))):
            word = _SENTENCE[int(random.integers(0, 60)) :][: int(random.integers(2, 12))]
            draw.text((x, y), word, colors[int(random.integers(0, 5))], font)
            x += int(draw.textlength(word, font)) + 4
    return image


def _chart(seed: int, *, is_soft: bool) -> Image.Image:
    random, unit = np.random.default_rng(seed), 2 if is_soft else 1
    image = Image.new("RGB", (_SIZE[0] * unit, _SIZE[1] * unit), "white")
    draw = ImageDraw.Draw(image)
    for row in range(8):
        y = (40 + row * 50) * unit
        draw.line((50 * unit, y, 620 * unit, y), fill="#dddddd", width=unit)
    if seed % 2:
        for index in range(18):
            x, height = 60 + index * 31, int(random.integers(30, 360))
            box = [side * unit for side in (x, 400 - height, x + 22, 400)]
            draw.rectangle(box, fill=("#4472c4", "#ed7d31", "#a5a5a5")[index % 3])
    else:
        for color in ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728"):
            heights = 200 + np.cumsum(random.normal(0, 9, 115))
            points = [((55 + i * 5) * unit, float(y) * unit) for i, y in enumerate(heights)]
            draw.line(points, fill=color, width=2 * unit)
    image = image.resize(_SIZE, Image.Resampling.LANCZOS)
    draw = ImageDraw.Draw(image)
    for row in range(8):
        draw.text((8, 32 + row * 50), f"{(8 - row) * 125}", "#444444", _font(12))
    return image


def _pixel_art(seed: int) -> Image.Image:
    """A landscape of large pixels of few colors, with sprites."""
    random, scale, count = np.random.default_rng(seed), 2 + seed % 4, 8 * 2 ** (seed % 4)
    height, width = _SIZE[1] // scale, _SIZE[0] // scale
    noise = Image.fromarray(random.integers(0, 256, (height, width), dtype=np.uint8))
    soft = np.asarray(noise.filter(ImageFilter.GaussianBlur(6)), dtype=np.float64)
    order = np.argsort(np.argsort(soft.ravel())).reshape(height, width)
    numbers = order * count // order.size
    sprite = random.integers(0, count, (8, 8))
    for _ in range(30):
        y, x = int(random.integers(0, height - 8)), int(random.integers(0, width - 8))
        numbers[y : y + 8, x : x + 8] = sprite
    colors = random.integers(0, 256, (count, 3), np.uint8)
    return Image.fromarray(colors[numbers].repeat(scale, axis=0).repeat(scale, axis=1))


def _logo(seed: int) -> Image.Image:
    """Shapes and letters with a soft shadow, on nothing."""
    random, side, unit = np.random.default_rng(seed), 400, 3
    image = Image.new("RGBA", (side * unit, side * unit), (0, 0, 0, 0))
    draw = ImageDraw.Draw(image)
    for index in range(5):
        x, y, radius = random.uniform((80, 80, 30), (320, 320, 120)) * unit
        shape = draw.ellipse if index % 2 else draw.rectangle
        shape((x - radius, y - radius, x + radius, y + radius), fill=(*_color(random), 255))
    draw.text((40 * unit, 170 * unit), _SENTENCE[seed : seed + 9], "#141e1e", _font(60 * unit))
    image = image.resize((side, side), Image.Resampling.LANCZOS)
    alpha = image.getchannel("A").filter(ImageFilter.GaussianBlur(4)).point(lambda one: one // 2)
    shadow = Image.new("RGBA", image.size, (0, 0, 0, 0))
    shadow.putalpha(alpha)
    shadow.alpha_composite(image)
    return shadow


def _background(seed: int) -> Image.Image:
    """Large spots of color that flow into each other, some with a little noise."""
    random = np.random.default_rng(seed)
    across, down = np.meshgrid(np.arange(_SIZE[0]), np.arange(_SIZE[1]))
    pixels = np.full((*_SIZE[::-1], 3), 128.0)
    for _ in range(5):
        x, y, width = random.uniform((0, 0, 100), (*_SIZE, 300))
        spot = np.exp(-((across - x) ** 2 + (down - y) ** 2) / (2 * width**2))
        pixels += spot[..., None] * random.uniform(-120, 160, 3)
    pixels += random.normal(0, seed % 2, pixels.shape)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
