"""Write PNGs losslessly in fewer bytes: with a palette for few colors, in one band for gray.

Colors are counted, never quantized: only the color of invisible pixels changes.
"""

import io

import numpy as np
import numpy.typing as npt
import pyvips
from PIL import Image

_MAX_PALETTE_COLORS = 256
_MAX_PALETTE_GRAYS = 16
"""Up to here a palette needs fewer bits a pixel than grayscale."""

_SAMPLE = 4096  # pixels that are looked at first

Pixels = npt.NDArray[np.uint8]


def encode_palette_png(image: pyvips.Image, effort: int | None = None) -> bytes | None:
    """Encode an 8-bit sRGB image as a PNG with a palette; ``effort`` is from 0 to 9.

    None if it has too many colors, or only grays but many: `to_single_band_if_gray` is better then.
    """
    keys = _color_keys(image)
    if np.unique(keys[:: max(1, keys.size // _SAMPLE)]).size > _MAX_PALETTE_COLORS:
        return None
    colors, indexes = np.unique(keys, return_inverse=True)
    entries = colors.astype(">u4").view(np.uint8).reshape(-1, 4)
    if colors.size > (_MAX_PALETTE_GRAYS if _is_gray(entries) else _MAX_PALETTE_COLORS):
        return None
    shape = (image.height, image.width)
    indexed = Image.fromarray(indexes.reshape(shape).astype(np.uint8)).convert("L")
    indexed.putpalette(entries[:, :3].tobytes())
    options = {"transparency": entries[:, 3].tobytes()} if image.hasalpha() else {}
    level = {"optimize": True} if effort is None else {"compress_level": effort}
    output = io.BytesIO()
    indexed.save(output, "PNG", **level, **options)
    return output.getvalue()


def to_single_band_if_gray(image: pyvips.Image) -> pyvips.Image:
    """Replace red, green and blue by one band where all pixels are gray."""
    pixels = image.numpy().reshape(-1, image.bands)
    if not _is_gray(pixels[:: max(1, len(pixels) // _SAMPLE)]) or not _is_gray(pixels):
        return image
    bands = image[0].bandjoin(image[3]) if image.hasalpha() else image[0]
    return bands.copy(interpretation="b-w")


def _is_gray(pixels: Pixels) -> bool:
    red, green, blue = pixels[:, 0], pixels[:, 1], pixels[:, 2]
    return bool((red == green).all() and (green == blue).all())


def _color_keys(image: pyvips.Image) -> npt.NDArray[np.uint32]:
    """Each pixel as one number; all invisible pixels have the same."""
    rgba = image if image.hasalpha() else image.bandjoin(255)
    keys: npt.NDArray[np.uint32] = rgba.numpy().reshape(-1, 4).view(">u4").ravel()
    return np.where(keys & 0xFF, keys, 0).astype(np.uint32)
