"""Write pictures of few colors as PNGs with a palette: three to four times fewer bytes to compress.

Colors are counted, never quantized. Counting ends at the 257th color, which most pictures have
within their first rows.
"""

import io
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from proxy.imaging.flatness import Pixels

_MAX_COLORS = 256
_MAX_GRAYS = 16
"""Up to here a palette needs fewer bits a pixel than grayscale."""

_HASH_BITS = 17
"""Multiplicative hashing puts two colors in the same of so many places with a chance of at most
2 / 2**17. So at least every second multiplier tells 256 colors apart."""

_PART = 1 << 15
"""So many pixels at a time stay in the processor's cache: twice as fast as all at once."""

Color = tuple[int, int, int, int]
Keys = npt.NDArray[np.uint32]


class PaletteImage:
    """A picture as indexes of at most 256 colors."""

    def __init__(self, indexes: Pixels, colors: Sequence[Color]) -> None:
        """The indexes have the shape (height, width)."""
        self._image = Image.fromarray(indexes).convert("L")
        self._image.putpalette([value for color in colors for value in color[:3]])
        self._alphas = bytes(alpha for *_, alpha in colors if alpha < 255)

    def encode(self, level: int) -> bytes:
        """The file, with as few bits a pixel as the colors need; ``level`` is zlib's."""
        options = {"transparency": self._alphas} if self._alphas else {}
        output = io.BytesIO()
        self._image.save(output, "PNG", compress_level=level, **options)
        return output.getvalue()


def find_palette(pixels: Pixels) -> PaletteImage | None:
    """The picture of the shape (height, width, 3 or 4) with a palette, if that is smaller.

    None if it has too many colors, or only grays but many: one band is better then.
    """
    height, width, bands = pixels.shape
    rows = pixels.reshape(-1, bands)
    colors = _find_colors(rows)
    if colors is None or (len(colors) > _MAX_GRAYS and all(map(_is_gray, colors))):
        return None
    return PaletteImage(_find_indexes(rows, colors).reshape(height, width), colors)


def _find_colors(rows: Pixels) -> list[Color] | None:
    """The colors of pixels of the shape (count, bands); None where there are more than 256.

    Those that are not opaque come first, because only their alphas are written.
    """
    colors: set[Color] = set()
    for part in _parts(rows):
        found: list[tuple[int, Any]] | None = _as_image(part).getcolors(_MAX_COLORS)
        colors.update((*color, 255)[:4] for _, color in found or ())
        if found is None or len(colors) > _MAX_COLORS:
            return None
    return sorted(colors, key=lambda color: (color[3], color))


def _parts(rows: Pixels) -> Iterator[Pixels]:
    return (rows[start : start + _PART] for start in range(0, len(rows), _PART))


def _as_image(rows: Pixels) -> Image.Image:
    mode = "RGB" if rows.shape[1] == 3 else "RGBA"
    return Image.frombuffer(mode, (len(rows), 1), rows, "raw", mode, 0, 1)


def _is_gray(color: Color) -> bool:
    return color[0] == color[1] == color[2]


def _find_indexes(rows: Pixels, colors: Sequence[Color]) -> Pixels:
    """The index in ``colors`` of each pixel, found by a perfect hash of its four bytes."""
    color_keys = np.array(colors, np.uint8).view(np.uint32).ravel()
    multiplier = _find_multiplier(color_keys)
    table = np.zeros(1 << _HASH_BITS, np.uint8)
    table[_hash(color_keys, multiplier)] = np.arange(len(colors), dtype=np.uint8)
    four_bytes = "RGBX" if rows.shape[1] == 3 else "RGBA"
    keys = (
        np.frombuffer(_as_image(part).tobytes("raw", four_bytes), np.uint32)
        for part in _parts(rows)
    )
    return np.concatenate([table[_hash(part, multiplier)] for part in keys])


def _find_multiplier(keys: Keys) -> np.uint32:
    """An odd number that hashes no two of the keys alike."""
    random = np.random.default_rng(0)
    while True:
        multiplier = np.uint32(random.integers(1 << 31) * 2 + 1)
        if np.unique(_hash(keys, multiplier)).size == keys.size:
            return multiplier


def _hash(keys: Keys, multiplier: np.uint32) -> Keys:
    return (keys * multiplier) >> np.uint32(32 - _HASH_BITS)
