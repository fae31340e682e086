"""Pictures as Framekeep renders and encodes them, and what files show."""

import io
from typing import Any

import numpy as np
import pyvips
from PIL import Image

from proxy.formats import FormatName
from proxy.geometry import Size
from proxy.imaging.picture import OutputOptions, Picture
from proxy.imaging.ssimulacra2 import Pixels
from proxy.limits import Limits
from proxy.operations import OPERATIONS
from proxy.operations.pipeline import render
from proxy.operations.registry import OperationRegistry
from proxy.smartcrop.detector import SubjectDetector

_REGISTRY = OperationRegistry(OPERATIONS)
_DETECTOR = SubjectDetector()


def resized(original: bytes, side: int) -> Pixels:
    """The pixels that Framekeep would encode."""
    steps = [{"type": "resize", "width": side, "height": side, "fit": "inside"}]
    body = render_steps(original, [*steps, {"type": "convert", "format": "png"}])
    with Image.open(io.BytesIO(body)) as image:
        return np.asarray(image.convert("RGB"))


def render_steps(original: bytes, steps: list[dict[str, Any]]) -> bytes:
    plan = _REGISTRY.plan(steps)
    return render(original, plan, Limits(), detector=_DETECTOR).rendition.body


def picture_of(pixels: Pixels, format: FormatName) -> Picture:
    image = pyvips.Image.new_from_array(pixels).copy(interpretation="srgb")
    size = Size(image.width, image.height)
    return Picture(image, size, output=OutputOptions(format), detector=_DETECTOR)


def decode(body: bytes) -> Pixels:
    image = pyvips.Image.new_from_buffer(body, "") if body[4:8] == b"ftyp" else None
    if image is not None:
        decoded: Pixels = image.colourspace("srgb").numpy()[:, :, :3]
        return decoded
    with Image.open(io.BytesIO(body)) as file:
        return np.asarray(file.convert("RGB"))
