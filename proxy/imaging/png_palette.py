"""PNG with a palette where a picture has few colours: the same pixels in a fraction of the bytes.

The palette is counted, never estimated, so not a pixel changes but the colour of what is invisible.
"""

import io

import numpy as np
import numpy.typing as npt
import pyvips
from PIL import Image

_MOST_COLOURS = 256
_FEW_GREYS = 16
"""Up to here a palette takes fewer bits than a grey scale does."""

_SAMPLE = 4096

Pixels = npt.NDArray[np.uint8]


def indexed(image: pyvips.Image) -> bytes | None:
    """The 8-bit sRGB image, with or without alpha, as such a PNG; None if it has too many colours.

    A grey picture of many greys is left to the grey scale, see `grey`.
    """
    keys = _keys(image)
    if np.unique(keys[:: max(1, keys.size // _SAMPLE)]).size > _MOST_COLOURS:
        return None
    colours, places = np.unique(keys, return_inverse=True)
    entries = colours.astype(">u4").view(np.uint8).reshape(-1, 4)
    if colours.size > (_FEW_GREYS if _is_grey(entries) else _MOST_COLOURS):
        return None
    shape = (image.height, image.width)
    written = Image.fromarray(places.reshape(shape).astype(np.uint8)).convert("L")
    written.putpalette(entries[:, :3].tobytes())
    options = {"transparency": entries[:, 3].tobytes()} if image.hasalpha() else {}
    kept = io.BytesIO()
    written.save(kept, "PNG", optimize=True, **options)
    return kept.getvalue()


def grey(image: pyvips.Image) -> pyvips.Image:
    """The image with one band for its greys if it has no other colours."""
    pixels = image.numpy().reshape(-1, image.bands)
    if not _is_grey(pixels[:: max(1, len(pixels) // _SAMPLE)]) or not _is_grey(pixels):
        return image
    bands = image[0].bandjoin(image[3]) if image.hasalpha() else image[0]
    return bands.copy(interpretation="b-w")


def _is_grey(pixels: Pixels) -> bool:
    red, green, blue = pixels[:, 0], pixels[:, 1], pixels[:, 2]
    return bool((red == green).all() and (green == blue).all())


def _keys(image: pyvips.Image) -> npt.NDArray[np.uint32]:
    """Each pixel as one number; all that is invisible is the same."""
    four = image if image.hasalpha() else image.bandjoin(255)
    keys: npt.NDArray[np.uint32] = four.numpy().reshape(-1, 4).view(">u4").ravel()
    return np.where(keys & 0xFF, keys, 0).astype(np.uint32)
