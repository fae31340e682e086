"""Image files for clients to send."""

import io
from pathlib import Path
from typing import Any

import pictures
from PIL import Image

PORTRAIT = (Path(__file__).parent / "photographs" / "portrait.jpg").read_bytes()


def encode_scene(format: str, width: int = 400, height: int = 300, **options: Any) -> bytes:
    """The scene as a file; format and options are Pillow's."""
    data = io.BytesIO()
    Image.fromarray(pictures.scene(width, height)).save(data, format, **options)
    return data.getvalue()


def off_center(format: str = "JPEG") -> bytes:
    """A red square far on the right of a wide gray picture."""
    data = io.BytesIO()
    Image.fromarray(pictures.red_square(800, 300, 640, 100, 100)).save(data, format)
    return data.getvalue()


def decode(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def translucent_png() -> bytes:
    """The scene with alpha."""
    data = io.BytesIO()
    Image.fromarray(pictures.translucent_scene()).save(data, "PNG")
    return data.getvalue()


def animated_gif() -> bytes:
    """A moving red square, 4 frames."""
    first, *rest = (Image.fromarray(frame) for frame in pictures.moving_square())
    data = io.BytesIO()
    first.save(data, "GIF", save_all=True, append_images=rest, duration=100)
    return data.getvalue()


def rotated_exif() -> Image.Exif:
    """EXIF with orientation 6: viewers rotate the picture by 90 degrees."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def cmyk_jpeg() -> bytes:
    """The scene in CMYK."""
    data = io.BytesIO()
    Image.fromarray(pictures.scene()).convert("CMYK").save(data, "JPEG")
    return data.getvalue()


FACE_BOX = (686, 110, 818, 265)
"""The face in `face_on_the_right`: left, top, right, bottom in pixels, without margin."""


def face_on_the_right() -> bytes:
    """The portrait at the right end of a wide gray picture, 900 x 384 pixels."""
    canvas = Image.new("RGB", (900, 384), (120, 120, 120))
    canvas.paste(decode(PORTRAIT), (620, 0))
    data = io.BytesIO()
    canvas.save(data, "JPEG", quality=92)
    return data.getvalue()
