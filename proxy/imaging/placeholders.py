"""Placeholders for a picture that is still loading: BlurHash, ThumbHash, dominant colors.

Each is computed from a thumbnail: an array of (height, width, 4) bytes in sRGB with straight alpha,
at most 100 pixels a side. BlurHash (Wolt) and ThumbHash (Evan Wallace) are short sums of cosines.

Sums of floats end in other digits on other processors. What is quantized is rounded before, so that
a value between two levels, such as a term that is 0, falls to the same one everywhere.
"""

from base64 import b64encode
from typing import Any

import numpy as np
import numpy.typing as npt
from msgspec import Struct

from proxy.imaging.results import Color

Thumbnail = npt.NDArray[np.uint8]
Plane = npt.NDArray[np.float64]

THUMBNAIL_SIDE = 64
"""Pixels of a thumbnail's longer side: more make no visible difference."""

_BASE83 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz#$%*+,-.:;=?@[]^_{|}~"
_BLURHASH_X, _BLURHASH_Y = 4, 3  # components

_CUBE_SIDE = 24  # of 256: colors in one cube of the color space are counted as one
_MIN_COLOR_DISTANCE = 48  # of 256, between dominant colors
_MIN_ALPHA = 128  # of pixels that count for dominant colors


def blurhash(thumbnail: Thumbnail) -> str:
    """The BlurHash with 4 by 3 components; transparent pixels count as white."""
    terms = _cosine_transform(
        _to_linear(_flatten_on_white(thumbnail)), _BLURHASH_X, _BLURHASH_Y, sample_at=0
    )
    terms[:, 1:, :] *= 2
    terms[:, :1, 1:] *= 2
    mean = [_to_srgb(value) for value in terms[:, 0, 0]]
    rest = terms.reshape(3, -1)[:, 1:].T
    maximum = float(np.abs(rest).max())
    scale = int(np.clip(np.floor(_round(maximum * 166) - 0.5), 0, 82))
    steps = np.sign(rest) * np.sqrt(np.abs(rest) / ((scale + 1) / 166))
    levels = np.clip(np.floor(_round(steps * 9) + 9.5), 0, 18).astype(int)
    return "".join(
        (
            _encode_base83(_BLURHASH_X - 1 + (_BLURHASH_Y - 1) * 9, 1),
            _encode_base83(scale, 1),
            _encode_base83(mean[0] << 16 | mean[1] << 8 | mean[2], 4),
            *(
                _encode_base83(red * 361 + green * 19 + blue, 2)
                for red, green, blue in levels.tolist()
            ),
        )
    )


def thumbhash(thumbnail: Thumbnail) -> str:
    """The ThumbHash in base64."""
    height, width = thumbnail.shape[:2]
    alpha = thumbnail[:, :, 3] / 255.0
    visible = float(alpha.sum())
    colors = thumbnail[:, :, :3].transpose(2, 0, 1) / 255.0
    mean = (colors * alpha).sum(axis=(1, 2)) / visible if visible else np.zeros(3)
    red, green, blue = mean[:, None, None] * (1 - alpha) + colors * alpha
    has_alpha = visible < width * height
    max_terms = 5 if has_alpha else 7
    x_terms = max(1, _round_half_up(max_terms * width / max(width, height)))
    y_terms = max(1, _round_half_up(max_terms * height / max(width, height)))
    luminance = _encode_channel((red + green + blue) / 3, max(3, x_terms), max(3, y_terms))
    yellow_blue = _encode_channel((red + green) / 2 - blue, 3, 3)
    red_green = _encode_channel(red - green, 3, 3)
    is_landscape = width > height
    header = (
        _round_half_up(63 * luminance.mean)
        | _round_half_up(31.5 + 31.5 * yellow_blue.mean) << 6
        | _round_half_up(31.5 + 31.5 * red_green.mean) << 12
        | _round_half_up(31 * luminance.scale) << 18
        | has_alpha << 23
    )
    second_header = (
        (y_terms if is_landscape else x_terms)
        | _round_half_up(63 * yellow_blue.scale) << 3
        | _round_half_up(63 * red_green.scale) << 9
        | is_landscape << 15
    )
    body = bytearray(header.to_bytes(3, "little") + second_header.to_bytes(2, "little"))
    channels = [luminance, yellow_blue, red_green]
    if has_alpha:
        opacity = _encode_channel(alpha, 5, 5)
        body.append(_round_half_up(15 * opacity.mean) | _round_half_up(15 * opacity.scale) << 4)
        channels.append(opacity)
    levels = [_round_half_up(15 * term) for channel in channels for term in channel.terms]
    levels += [0] * (len(levels) % 2)
    body += bytes(low | high << 4 for low, high in zip(levels[::2], levels[1::2], strict=True))
    return b64encode(body).decode()


def dominant_colors(thumbnail: Thumbnail, max_colors: int = 5) -> tuple[Color, ...]:
    """Colors that are frequent and far from each other, most frequent first."""
    rgba = thumbnail.reshape(-1, 4)
    pixels = rgba[rgba[:, 3] >= _MIN_ALPHA][:, :3].astype(np.float64)
    if not len(pixels):
        return ()
    cubes, members, counts = np.unique(
        (pixels // _CUBE_SIDE).astype(int), axis=0, return_inverse=True, return_counts=True
    )
    members = members.ravel()
    means = np.stack(
        [np.bincount(members, pixels[:, band], len(cubes)) / counts for band in range(3)], axis=1
    )
    centers: list[Plane] = []
    for cube in np.argsort(-counts, kind="stable"):
        center = means[cube]
        if all(_squared_distance(center, other) >= _MIN_COLOR_DISTANCE**2 for other in centers):
            centers.append(center)
        if len(centers) == max_colors:
            break
    nearest = _squared_distance(pixels[:, None], np.stack(centers)).argmin(axis=1)
    shares = np.bincount(nearest, minlength=len(centers)) / len(pixels)
    return tuple(
        Color(
            "#" + "".join(f"{_round_half_up(band):02x}" for band in centers[index]),
            round(float(shares[index]), 3),
        )
        for index in np.argsort(-shares, kind="stable")
    )


def _squared_distance(colors: Plane, others: Plane) -> Plane:
    """Between colors in the last axis."""
    distance: Plane = _round(((colors - others) ** 2).sum(axis=-1))
    return distance


class _Channel(Struct, frozen=True):
    """A plane's mean, its largest term, and all terms from 0 to 1, where 0.5 is none."""

    mean: float
    scale: float
    terms: list[float]


def _encode_channel(plane: Plane, x_terms: int, y_terms: int) -> _Channel:
    terms = _cosine_transform(plane[None], x_terms, y_terms, sample_at=0.5)[0]
    used = [
        float(terms[y, x])
        for y in range(y_terms)
        for x in range(x_terms)
        if x * y_terms < x_terms * (y_terms - y) and (x or y)
    ]
    scale = max(map(abs, used))
    shifted = [0.5 + 0.5 / scale * value for value in used] if scale else [0.0] * len(used)
    return _Channel(float(terms[0, 0]), scale, shifted)


def _cosine_transform(planes: Plane, x_terms: int, y_terms: int, *, sample_at: float) -> Plane:
    """Project each plane on cosines: (planes, y_terms, x_terms).

    ``sample_at`` is the place in each pixel at which cosines are taken, 0 to 1.
    """
    height, width = planes.shape[1:]
    x = np.cos(np.pi / width * np.outer(np.arange(x_terms), np.arange(width) + sample_at))
    y = np.cos(np.pi / height * np.outer(np.arange(y_terms), np.arange(height) + sample_at))
    terms: Plane = _round(y @ planes @ x.T / (width * height))
    return terms


def _flatten_on_white(thumbnail: Thumbnail) -> Plane:
    alpha = thumbnail[:, :, 3:] / 255.0
    flat: Plane = (thumbnail[:, :, :3] * alpha + 255 * (1 - alpha)).transpose(2, 0, 1)
    return flat


def _to_linear(srgb: Plane) -> Plane:
    values = srgb / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def _to_srgb(linear: float) -> int:
    value = min(max(linear, 0.0), 1.0)
    encoded = value * 12.92 if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055
    return _round_half_up(encoded * 255)


def _encode_base83(value: int, length: int) -> str:
    return "".join(_BASE83[value // 83**place % 83] for place in reversed(range(length)))


def _round_half_up(value: float) -> int:
    # As the reference implementations of ThumbHash do; `round` rounds halves to even.
    return int(np.floor(_round(value) + 0.5))


_DIGITS = 9  # far more than a level needs, far fewer than processors agree on


def _round(values: Any) -> Any:
    return np.round(values, _DIGITS)
