"""Draw pictures for tests: uint8 arrays of shape (height, width, bands), and files of them."""

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
    """Red increases to the right, green downwards, blue decreases to the right."""
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


def translucent_scene(width: int = 400, height: int = 300) -> Pixels:
    """The scene with alpha that decreases to the right; what is transparent is magenta."""
    alpha = np.tile(np.linspace(255, 0, width), (height, 1))
    pixels = np.dstack([scene(width, height), alpha]).astype(np.uint8)
    pixels[:, width - width // 8 :, :3] = (255, 0, 255)
    pixels[:, width - width // 8 :, 3] = 0
    return pixels


def red_square(width: int, height: int, left: int, top: int, side: int) -> Pixels:
    """A red square on gray."""
    pixels = plain(width, height)
    pixels[top : top + side, left : left + side] = RED
    return pixels


def moving_square(count: int = 4, width: int = 80, height: int = 60) -> list[Pixels]:
    """Frames of a red square that moves to the right."""
    return [red_square(width, height, 5 + at * 15, 20, 20) for at in range(count)]


def encode(pixels: Pixels, format: str = "png", **options: Any) -> bytes:
    """The picture as a file; format and options are Pillow's."""
    data = io.BytesIO()
    Image.fromarray(pixels).save(data, format, **options)
    return data.getvalue()


def encode_animation(
    pixels: list[Pixels], format: str = "gif", duration: int = 70, loop: int = 0
) -> bytes:
    data = io.BytesIO()
    first, *rest = map(Image.fromarray, pixels)
    first.save(data, format, save_all=True, append_images=rest, duration=duration, loop=loop)
    return data.getvalue()


def decode(body: bytes) -> Pixels:
    """The pixels of a file, decoded by Pillow: another library than the one under test."""
    with Image.open(io.BytesIO(body)) as image:
        return np.asarray(image if image.mode in ("RGB", "RGBA") else image.convert("RGBA"))


def decode_frames(body: bytes) -> list[Pixels]:
    """The pixels of every frame of an animation."""
    with Image.open(io.BytesIO(body)) as image:
        return [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(image)]


def frame_delays(body: bytes) -> list[int]:
    """Of every frame of an animation, in milliseconds."""
    with Image.open(io.BytesIO(body)) as image:
        found = []
        for frame in ImageSequence.Iterator(image):
            frame.load()
            found.append(round(frame.info["duration"]))
        return found


def png_16_bit(width: int, height: int) -> bytes:
    """The scene as a PNG of 16 bits a channel."""
    deep = pyvips.Image.new_from_array(scene(width, height)).cast("ushort") * 257
    body: bytes = deep.cast("ushort").copy(interpretation="rgb16").pngsave_buffer(bitdepth=16)
    return body


def frame_count(body: bytes) -> int:
    with Image.open(io.BytesIO(body)) as image:
        return getattr(image, "n_frames", 1)


def moving_scene(count: int, width: int, height: int) -> list[Pixels]:
    """Frames of the scene moving to the right: all parts of a frame differ from the one before."""
    step = width // count
    return [np.roll(scene(width, height), at * step, axis=1) for at in range(count)]
