"""Pictures as files, for clients to send."""

import io
from pathlib import Path
from typing import Any

import pictures
from PIL import Image

PORTRAIT = (Path(__file__).parent / "photographs" / "portrait.jpg").read_bytes()


def encoded(kind: str, width: int = 400, height: int = 300, **options: Any) -> bytes:
    """The scene in a format by Pillow's name for it."""
    data = io.BytesIO()
    Image.fromarray(pictures.scene(width, height)).save(data, kind, **options)
    return data.getvalue()


def off_centre(kind: str = "JPEG") -> bytes:
    """A red square far on the right of a wide grey picture."""
    data = io.BytesIO()
    Image.fromarray(pictures.square(800, 300, 640, 100, 100)).save(data, kind)
    return data.getvalue()


def opened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def see_through() -> bytes:
    """A PNG with alpha."""
    data = io.BytesIO()
    Image.fromarray(pictures.see_through()).save(data, "PNG")
    return data.getvalue()


def moving() -> bytes:
    """A GIF of several frames."""
    first, *rest = (Image.fromarray(frame) for frame in pictures.frames())
    data = io.BytesIO()
    first.save(data, "GIF", save_all=True, append_images=rest, duration=100)
    return data.getvalue()


def turned() -> Image.Exif:
    """Says that the picture is to be turned by a quarter."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return exif


def cmyk() -> bytes:
    """A JPEG in four inks."""
    data = io.BytesIO()
    Image.fromarray(pictures.scene()).convert("CMYK").save(data, "JPEG")
    return data.getvalue()


FACE = (686, 110, 818, 265)
"""Where the face is in `face_on_the_right`: left, top, right, bottom, drawn a little closely."""


def face_on_the_right() -> bytes:
    """The portrait at the right end of a wide grey picture, 900 by 384."""
    canvas = Image.new("RGB", (900, 384), (120, 120, 120))
    canvas.paste(opened(PORTRAIT), (620, 0))
    data = io.BytesIO()
    canvas.save(data, "JPEG", quality=92)
    return data.getvalue()
