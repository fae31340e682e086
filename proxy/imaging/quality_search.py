"""Find the lowest quality at which a picture looks as asked, by SSIMULACRA2 on a sample of it.

Up to 16 tiles that stand for the picture, or all of a small one, are encoded as one small file and
compared with what they were. Tiles look other than the whole: nothing around them is seen, nor what
is between them. So their score is corrected by constants, which `bench/quality/fit.py` fits to
pictures. Then the quality is read from the usual curve of the format, shifted to meet the sample;
where that is far away, it is measured again, up to three times in all.

Sums of floats end in other digits on other processors. They are rounded before a quality is chosen
by them, so that the same picture gets the same quality everywhere.
"""

import io
import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pyvips
from msgspec import structs
from PIL import Image

from proxy.formats import FormatName
from proxy.imaging.encoders import choose_coding, encode_as
from proxy.imaging.picture import Picture
from proxy.imaging.score_targets import MAX_SAMPLE_ENCODES
from proxy.imaging.shrink_on_load import MAX_IN_MEMORY_PIXELS
from proxy.imaging.ssimulacra2 import Pixels, Reference
from proxy.imaging.tile_sample import take_sample

_MIN_SIDE = 32
"""A picture with a shorter side is too small for a score; it gets the usual quality."""

_CLOSE = 0.1
"""An error whose logarithm is off by no more is not measured again at the better quality."""

_MIN_SLOPE, _MAX_SLOPE = 0.4, 2.0

_NEIGHBORS = 3
"""Of two qualities that are no farther apart, of which one is too low, the other one is taken: JPEG
gets full color at 90, so that no curve fits both."""

_DIGITS = 4


class _Curve(NamedTuple):
    """What is usual for a format.

    ``errors`` are the logarithms of 100 minus the score of a picture at ``qualities``. ``first``
    are weights for the features of a picture, and a constant: how much more its errors are.
    ``correction`` has weights for the error of its tiles, the usual one at that quality, and the
    features: how much more than that of the tiles the error of the whole is.
    """

    qualities: tuple[int, ...]
    errors: tuple[float, ...]
    first: tuple[float, ...]
    correction: tuple[float, ...]

    def error_at(self, quality: int) -> float:
        return float(np.interp(quality, self.qualities, self.errors))

    def quality_for(self, error: float) -> int:
        falling = [-value for value in self.errors]
        quality = float(np.interp(-error, falling, self.qualities))
        return math.floor(round(quality, _DIGITS) + 0.5)


_CURVES: Mapping[FormatName, _Curve] = {
    "jpeg": _Curve(
        (8, 15, 25, 35, 50, 65, 80, 89, 90, 95, 98),
        (4.603, 4.231, 3.932, 3.749, 3.557, 3.352, 3.064, 2.728, 2.458, 2.047, 1.581),
        (0.012, 0.011, -0.784, -0.325, 0.086, -0.579, -0.276, 0.127, 0.321),
        (-0.093, 0.167, 0.009, -0.039, 0.038, 0.006, -0.020, -0.003, -0.039, -0.056, 0.083),
    ),
    "webp": _Curve(
        (2, 10, 20, 35, 50, 65, 80, 90, 97),
        (4.441, 4.165, 3.968, 3.766, 3.597, 3.437, 3.201, 2.819, 2.454),
        (0.038, -0.100, -0.866, -0.759, 0.250, -0.422, -0.241, 0.132, 0.423),
        (-0.137, 0.172, 0.019, -0.041, -0.156, -0.098, 0.041, -0.034, -0.034, -0.054, 0.247),
    ),
    "avif": _Curve(
        (10, 25, 35, 45, 55, 65, 75, 85, 94),
        (4.500, 4.194, 3.919, 3.593, 3.316, 3.046, 2.750, 2.440, 1.632),
        (0.022, 0.027, -0.469, -0.879, 0.187, -0.626, -0.019, 0.001, 0.309),
        (-0.062, 0.048, 0.018, -0.020, 0.145, 0.025, -0.014, 0.338, -0.049, -0.101, 0.278),
    ),
    "jxl": _Curve(
        (25, 40, 55, 70, 80, 90, 95),
        (3.953, 3.761, 3.595, 3.322, 3.038, 2.569, 2.109),
        (0.035, 0.034, -0.679, -0.974, 0.283, -0.928, -0.290, 0.223, 0.359),
        (-0.103, 0.139, 0.006, 0.008, 0.248, -0.136, 0.054, -0.283, 0.027, 0.010, 0.083),
    ),
}


def find_quality(picture: Picture, format: FormatName, score: float) -> tuple[Picture, int]:
    """The quality from 1 to 100 on the format's scale, and the picture in memory.

    ``score`` is that of SSIMULACRA2. A picture of more than 16 megapixels, which is never held in
    memory, and one with a side below 32 pixels get the quality that is usual for the score.
    """
    curve = _CURVES[format]
    wanted = log_error(score)
    size = picture.frame_size
    if picture.image.width * picture.image.height > MAX_IN_MEMORY_PIXELS:
        return picture, curve.quality_for(wanted)
    if min(size.width, size.height) < _MIN_SIDE:
        return picture, curve.quality_for(wanted)
    picture = picture.materialize()
    return picture, _find(TileSample(picture, format), curve, wanted)


def _find(sample: "TileSample", curve: _Curve, wanted: float) -> int:
    quality = curve.quality_for(round(wanted - _weigh(curve.first, sample.features), _DIGITS))
    worse: _Measured | None = None
    better: _Measured | None = None
    slope = 1.0
    for _ in range(MAX_SAMPLE_ENCODES):
        usual, error = curve.error_at(quality), sample.error_at(quality)
        if not sample.is_whole:
            error += _weigh(curve.correction, (error, usual, *sample.features))
        measured = _Measured(quality, usual, round(error, _DIGITS))
        slope = max((measured.slope_from(last) for last in (worse, better) if last), default=slope)
        if measured.error > wanted:
            worse = measured
        else:
            better = measured
        if worse and better and better.quality - worse.quality <= _NEIGHBORS:
            return better.quality
        quality = curve.quality_for(round(usual + (wanted - measured.error) / slope, _DIGITS))
        if worse and better:
            quality = max(worse.quality + 1, min(quality, better.quality - 1))
        if abs(wanted - measured.error) <= _CLOSE or quality == measured.quality:
            break
    return quality


class _Measured(NamedTuple):
    """The logarithm of the error at a quality, and what is usual there."""

    quality: int
    usual: float
    error: float

    def slope_from(self, other: "_Measured") -> float:
        """How much faster than usual the error falls between two qualities, within reason."""
        if self.usual == other.usual:
            return 1.0
        slope = (self.error - other.error) / (self.usual - other.usual)
        return max(_MIN_SLOPE, min(slope, _MAX_SLOPE))


def can_find_quality(format: FormatName) -> bool:
    """Whether the format has qualities that are known by their look."""
    return format in _CURVES


def log_error(score: float) -> float:
    """What the constants are fitted to: the logarithm of 100 minus the score."""
    return math.log(max(100.0 - score, 0.5))


def _weigh(weights: tuple[float, ...], values: tuple[float, ...]) -> float:
    """The weighted sum, and the last weight as a constant."""
    return sum(weight * value for weight, value in zip(weights, (*values, 1.0), strict=True))


class TileSample:
    """Tiles of a picture that are encoded as one picture, one below the other."""

    def __init__(self, picture: Picture, format: FormatName) -> None:
        sample = take_sample(_opaque_frame(picture))
        self.features = sample.features
        self.is_whole = sample.is_whole
        self._tiles = sample.tiles
        self._reference = Reference(self._tiles, np.float32)
        self._format = format
        encoders = {format: choose_coding(picture, format)}
        output = structs.replace(picture.output, keep_metadata=(), encoders=encoders)
        self._picture = structs.replace(
            picture, image=self._stack(), animation=None, gain_map=None, output=output
        )

    def error_at(self, quality: int) -> float:
        """The logarithm of 100 minus the score of the tiles."""
        body = encode_as(self._picture, self._format, quality)
        decoded = _decode(body, self._format).reshape(self._tiles.shape)
        return log_error(self._reference.score(decoded))

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


def _decode(body: bytes, format: FormatName) -> Pixels:
    if format == "avif":
        image = pyvips.Image.heifload_buffer(body).colourspace("srgb")
        decoded: Pixels = image.numpy()[:, :, :3]
        return decoded
    with Image.open(io.BytesIO(body), formats=(format.upper(),)) as file:
        return np.asarray(file.convert("RGB"))
