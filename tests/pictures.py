"""Draws the pictures that tests look at: arrays of (height, width, bands) bytes, and files."""

import io
from typing import Any

import numpy as np
import numpy.typing as npt
import pyvips
from PIL import Image, ImageSequence

Pixels = npt.NDArray[np.uint8]

RED, GREEN, BLUE = (220, 30, 40), (20, 160, 60), (30, 60, 200)


def plain(width: int, height: int, color: tuple[int, ...] = (120, 120, 120)) -> Pixels:
    return np.full((height, width, len(color)), color, np.uint8)


def gradient(width: int, height: int) -> Pixels:
    """Red grows to the right, green downwards, blue falls to the right: every corner differs."""
    x, y = np.linspace(0, 255, width), np.linspace(0, 255, height)
    across, down = np.meshgrid(x, y)
    return np.dstack([across, down, 255 - across]).astype(np.uint8)


def scene(width: int = 400, height: int = 300) -> Pixels:
    """A sky, a ground, a red disc left of the middle and a striped post on the right."""
    x, y = np.meshgrid(np.arange(width) / width, np.arange(height) / height)
    pixels = np.dstack([90 + 60 * y, 140 + 60 * y, 230 - 40 * y])
    pixels[y > 0.65] = (70, 110, 50)
    disc = (x - 0.32) ** 2 * (width / height) ** 2 + (y - 0.45) ** 2 < 0.2**2
    pixels[disc] = RED
    post = (abs(x - 0.8) < 0.04) & (y > 0.2)
    pixels[post] = np.where(
        (np.floor(y[post] * 24) % 2 == 0)[:, None], (250, 250, 250), (20, 20, 20)
    )
    return pixels.astype(np.uint8)


def see_through(width: int = 400, height: int = 300) -> Pixels:
    """The scene with an alpha that falls to the right; what is hidden is of a glaring colour."""
    alpha = np.tile(np.linspace(255, 0, width), (height, 1))
    pixels = np.dstack([scene(width, height), alpha]).astype(np.uint8)
    pixels[:, width - width // 8 :, :3] = (255, 0, 255)
    pixels[:, width - width // 8 :, 3] = 0
    return pixels


def square(width: int, height: int, left: int, top: int, side: int) -> Pixels:
    """A red square on grey."""
    pixels = plain(width, height)
    pixels[top : top + side, left : left + side] = RED
    return pixels


def frames(count: int = 4, width: int = 80, height: int = 60) -> list[Pixels]:
    """A red square that moves to the right."""
    return [square(width, height, 5 + at * 15, 20, 20) for at in range(count)]


def file(pixels: Pixels, form: str = "png", **options: Any) -> bytes:
    """The picture as a file of that format; ``options`` are Pillow's."""
    kept = io.BytesIO()
    Image.fromarray(pixels).save(kept, form, **options)
    return kept.getvalue()


def animation(pixels: list[Pixels], form: str = "gif", duration: int = 70, loop: int = 0) -> bytes:
    kept = io.BytesIO()
    first, *rest = map(Image.fromarray, pixels)
    first.save(kept, form, save_all=True, append_images=rest, duration=duration, loop=loop)
    return kept.getvalue()


def opened(body: bytes) -> Pixels:
    """The pixels of a finished file, read by another library than the one that wrote it."""
    with Image.open(io.BytesIO(body)) as image:
        return np.asarray(image if image.mode in ("RGB", "RGBA") else image.convert("RGBA"))


def opened_frames(body: bytes) -> list[Pixels]:
    """The pixels of every frame of a finished animation."""
    with Image.open(io.BytesIO(body)) as image:
        return [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(image)]


def sixteen_bit(width: int, height: int) -> bytes:
    """The scene as a PNG of 16 bits a channel."""
    deep = pyvips.Image.new_from_array(scene(width, height)).cast("ushort") * 257
    body: bytes = deep.cast("ushort").copy(interpretation="rgb16").pngsave_buffer(bitdepth=16)
    return body


def frame_count(body: bytes) -> int:
    with Image.open(io.BytesIO(body)) as image:
        return getattr(image, "n_frames", 1)


def drifting(count: int, width: int, height: int) -> list[Pixels]:
    """The scene moving to the right: every part of every frame differs from the one before."""
    step = width // count
    return [np.roll(scene(width, height), at * step, axis=1) for at in range(count)]
