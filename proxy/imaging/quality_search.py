"""Find the lowest quality at which a picture looks as asked, by SSIMULACRA2 on a sample of it.

Up to 16 square tiles, spread over the picture, are encoded as one small file and compared with what
they were. A sample looks a little better than the whole, since nothing around a tile is seen, so
its score is corrected by constants that were fitted to pictures. After one or two encodes, the
quality is read from the usual curve of the format, shifted to meet the sample.

Sums of floats end in other digits on other processors. They are rounded before a quality is chosen
by them, so that the same picture gets the same quality everywhere.
"""

import io
import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyvips
from msgspec import structs
from PIL import Image

from proxy.formats import FormatName
from proxy.imaging.encoders import encode_as
from proxy.imaging.picture import Picture
from proxy.imaging.score_targets import SAMPLE_PIXELS
from proxy.imaging.shrink_on_load import MAX_IN_MEMORY_PIXELS
from proxy.imaging.ssimulacra2 import Pixels, Reference

_TILE_SIDE = 64
_MIN_TILES, _MAX_TILES = 4, SAMPLE_PIXELS // _TILE_SIDE**2
_SAMPLED_SHARE = 0.02
_MIN_SIDE = 32
"""A picture with a shorter side is too small for a score; it gets the usual quality."""

_ENOUGH = 2
"""A first guess that is off by no more is not tried again."""

_DIGITS = 6


class _Curve(NamedTuple):
    """What is usual for a format.

    ``errors`` are the logarithms of 100 minus the score of a picture at ``qualities``. The others
    estimate the same of a picture by its sample: the factor for the sample, for the logarithm of
    megapixels, for the contrast of the whole, for how much that is more than the sample's, and a
    constant.
    """

    qualities: tuple[int, ...]
    errors: tuple[float, ...]
    sample: float
    size: float
    contrast: float
    more_contrast: float
    constant: float

    def error_at(self, quality: int) -> float:
        return float(np.interp(quality, self.qualities, self.errors))

    def quality_for(self, error: float) -> int:
        falling = [-value for value in self.errors]
        quality = float(np.interp(-error, falling, self.qualities))
        return math.floor(round(quality, _DIGITS) + 0.5)


_CURVES: Mapping[FormatName, _Curve] = {
    "jpeg": _Curve(
        (20, 30, 40, 50, 60, 70, 76, 82, 88, 89, 90, 94, 98),
        (4.06, 3.813, 3.656, 3.524, 3.422, 3.274, 3.137, 2.995, 2.79, 2.751, 2.433, 2.118, 1.541),
        *(1.109, 0.031, -0.067, 0.2, 0.003),
    ),
    "webp": _Curve(
        (10, 25, 40, 50, 60, 70, 80, 88, 94, 98),
        (4.035, 3.775, 3.572, 3.465, 3.367, 3.274, 3.085, 2.815, 2.554, 2.382),
        *(1.057, 0.042, -0.035, 0.116, 0.166),
    ),
    "avif": _Curve(
        (25, 38, 50, 63, 74, 85, 94),
        (4.087, 3.758, 3.361, 3.0, 2.694, 2.361, 1.565),
        *(0.997, 0.049, -0.002, 0.173, 0.296),
    ),
    "jxl": _Curve(
        (20, 40, 55, 68, 78, 88, 95),
        (3.955, 3.652, 3.478, 3.248, 2.999, 2.594, 2.039),
        *(1.04, 0.043, 0.009, 0.297, 0.092),
    ),
}


def find_quality(picture: Picture, format: FormatName, score: float) -> tuple[Picture, int]:
    """The quality from 1 to 100 on the format's scale, and the picture in memory.

    ``score`` is that of SSIMULACRA2. A picture of more than 16 megapixels, which is never held in
    memory, and one with a side below 32 pixels get the quality that is usual for the score.
    """
    curve = _CURVES[format]
    wanted = _log_error(score)
    usual = curve.quality_for(wanted)
    size = picture.frame_size
    if picture.image.width * picture.image.height > MAX_IN_MEMORY_PIXELS:
        return picture, usual
    if min(size.width, size.height) < _MIN_SIDE:
        return picture, usual
    picture = picture.materialize()
    sample = _TileSample(picture, format, curve)
    quality = _shifted(curve, wanted, usual, sample.error_at(usual))
    if abs(quality - usual) > _ENOUGH:
        quality = _shifted(curve, wanted, quality, sample.error_at(quality))
    return picture, quality


def can_find_quality(format: FormatName) -> bool:
    """Whether the format has qualities that are known by their look."""
    return format in _CURVES


def _shifted(curve: _Curve, wanted: float, quality: int, error: float) -> int:
    """The quality for the wanted error, where the error at ``quality`` is this one."""
    return curve.quality_for(round(wanted - error + curve.error_at(quality), _DIGITS))


def _log_error(score: float) -> float:
    return math.log(max(100.0 - score, 0.5))


class _TileSample:
    """Tiles of a picture that are encoded as one picture, one below the other."""

    def __init__(self, picture: Picture, format: FormatName, curve: _Curve) -> None:
        pixels = _opaque_frame(picture)
        self._tiles = np.stack(_tiles(pixels))
        self._reference = Reference(self._tiles)
        self._format = format
        self._curve = curve
        output = structs.replace(picture.output, keep_metadata=())
        self._picture = structs.replace(
            picture, image=self._stack(), animation=None, gain_map=None, output=output
        )
        contrast = _contrast(pixels[::2, :, 1])
        self._offset = (
            curve.size * math.log(pixels.shape[0] * pixels.shape[1] / 1e6)
            + curve.contrast * contrast
            + curve.more_contrast * (contrast - _contrast(self._tiles[..., 1]))
            + curve.constant
        )

    def error_at(self, quality: int) -> float:
        """The logarithm of 100 minus the score that the whole picture is expected to have."""
        body = encode_as(self._picture, self._format, quality)
        decoded = _decode(body, self._format).reshape(self._tiles.shape)
        score = self._reference.score(decoded)
        return self._curve.sample * _log_error(score) + self._offset

    def _stack(self) -> pyvips.Image:
        image = pyvips.Image.new_from_array(self._tiles.reshape(-1, *self._tiles.shape[2:]))
        return image.copy(interpretation="srgb")


def _opaque_frame(picture: Picture) -> Pixels:
    """The middle frame on white."""
    image = picture.frame(picture.frame_count // 2)
    if image.hasalpha():
        image = image.flatten(background=[255.0, 255.0, 255.0])
    pixels: Pixels = image.numpy().reshape(image.height, image.width, 3)
    return pixels


def _tiles(pixels: Pixels) -> list[Pixels]:
    """All tiles of a small picture; of a larger one some, at places of a sequence without gaps."""
    height, width = pixels.shape[:2]
    tile_height, tile_width = min(height, _TILE_SIDE), min(width, _TILE_SIDE)
    rows, columns = height // tile_height, width // tile_width
    share = round(height * width * _SAMPLED_SHARE / _TILE_SIDE**2)
    count = min(_MAX_TILES, max(_MIN_TILES, share))
    if rows * columns <= count:
        top, left = (height - rows * tile_height) // 2, (width - columns * tile_width) // 2
        corners = [
            (top + row * tile_height, left + column * tile_width)
            for row in range(rows)
            for column in range(columns)
        ]
    else:
        corners = [
            (_part(index, _R2_Y, height - tile_height), _part(index, _R2_X, width - tile_width))
            for index in range(1, count + 1)
        ]
    return [pixels[top : top + tile_height, left : left + tile_width] for top, left in corners]


# Martin Roberts' sequence R2 in fractions of 2**32: the powers of 1 / 1.3247.
_R2_Y, _R2_X = 3242174889, 2447445414


def _part(index: int, step: int, length: int) -> int:
    return ((1 << 31) + index * step) % (1 << 32) * length >> 32


def _contrast(green: npt.NDArray[np.uint8]) -> float:
    """The logarithm of how much a pixel differs from its neighbor on average."""
    differences = np.abs(np.diff(green.astype(np.int16), axis=-1))
    return math.log(float(differences.mean()) + 0.1)


def _decode(body: bytes, format: FormatName) -> Pixels:
    if format == "avif":
        image = pyvips.Image.heifload_buffer(body).colourspace("srgb")
        decoded: Pixels = image.numpy()[:, :, :3]
        return decoded
    with Image.open(io.BytesIO(body), formats=(format.upper(),)) as file:
        return np.asarray(file.convert("RGB"))
