"""RGB color spaces by their primaries and transfer functions (ITU-T H.273), as ICC profiles.

A space that a file describes by numbers becomes a profile (ICC.1: matrix and curves), so that one
mechanism converts all of them.
"""

import struct
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from proxy.imaging.headers.color_tags import Chromaticities, CodePoints, ColorTags, GammaTags

Matrix = npt.NDArray[np.float64]

PQ, HLG = 16, 18
"""Transfer functions of pictures that are brighter than white."""

_D65 = (0.3127, 0.3290)
_SRGB: Chromaticities = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, *_D65)
_PRIMARIES: Mapping[int, Chromaticities] = {
    1: _SRGB,
    4: (0.67, 0.33, 0.21, 0.71, 0.14, 0.08, 0.310, 0.316),
    5: (0.64, 0.33, 0.29, 0.60, 0.15, 0.06, *_D65),
    6: (0.630, 0.340, 0.310, 0.595, 0.155, 0.070, *_D65),
    7: (0.630, 0.340, 0.310, 0.595, 0.155, 0.070, *_D65),
    8: (0.681, 0.319, 0.243, 0.692, 0.145, 0.049, 0.310, 0.316),
    9: (0.708, 0.292, 0.170, 0.797, 0.131, 0.046, *_D65),
    10: (1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 1 / 3, 1 / 3),
    11: (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, 0.314, 0.351),
    12: (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, *_D65),
    22: (0.630, 0.340, 0.295, 0.605, 0.155, 0.077, *_D65),
}

# Exponents of decoding. All others are shown like sRGB: video's functions describe cameras.
_GAMMAS: Mapping[int, float] = {4: 2.2, 5: 2.8, 8: 1.0, 17: 2.6}
_SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)

_GAMMA_TOLERANCE = 0.05  # that libpng allows, too: a gamma of about 2.2 means sRGB

_D50 = (0.9642, 1.0, 0.8249)
_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)


def build_profile(tags: ColorTags, *, is_gray: bool) -> bytes | None:
    """An ICC profile of the space, or None for sRGB and for what is not known."""
    if isinstance(tags, CodePoints):
        chromaticities = _PRIMARIES.get(tags.primaries, _SRGB)
        gamma = _GAMMAS.get(tags.transfer)
    else:
        chromaticities = _valid_chromaticities(tags)
        gamma = tags.gamma
    if gamma is not None and abs(gamma / 2.2 - 1) <= _GAMMA_TOLERANCE:
        gamma = None
    if gamma is None and (is_gray or np.allclose(chromaticities, _SRGB, atol=0.002)):
        return None
    curve = _parametric_curve(_SRGB_CURVE if gamma is None else (gamma,))
    if is_gray:
        return _profile(b"GRAY", {b"kTRC": curve})
    red, green, blue = _adapt_to_d50(chromaticities).T
    columns = {b"rXYZ": red, b"gXYZ": green, b"bXYZ": blue}
    curves = dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve)
    return _profile(b"RGB ", {name: _xyz(color) for name, color in columns.items()} | curves)


def to_srgb_matrix(primaries: int) -> list[list[float]]:
    """From linear light with these primaries (H.273) to linear sRGB, by rows."""
    source = _adapt_to_d50(_PRIMARIES.get(primaries, _SRGB))
    matrix: list[list[float]] = (np.linalg.inv(_adapt_to_d50(_SRGB)) @ source).tolist()
    return matrix


def luminance_weights(primaries: int) -> list[float]:
    """The share of red, green and blue in the luminance."""
    weights: list[float] = _to_xyz(_PRIMARIES.get(primaries, _SRGB))[1].tolist()
    return weights


def _valid_chromaticities(tags: GammaTags) -> Chromaticities:
    """Those of the file, or of sRGB where no white can be mixed from them."""
    found = tags.chromaticities
    if found is None or found[7] < _MIN_WHITE_Y:
        return _SRGB
    colors, white = _columns(found)
    if abs(np.linalg.det(colors)) < _MIN_DETERMINANT:
        return _SRGB
    return found if np.linalg.solve(colors, white).min() > 0 else _SRGB


_MIN_WHITE_Y, _MIN_DETERMINANT = 0.05, 0.001


def _columns(chromaticities: Chromaticities) -> tuple[Matrix, Matrix]:
    """The directions of red, green and blue in XYZ, as columns; and white with luminance 1."""
    xyz = np.array([(x, y, 1 - x - y) for x, y in np.array(chromaticities).reshape(4, 2)]).T
    return xyz[:, :3], xyz[:, 3] / xyz[1, 3]


def _to_xyz(chromaticities: Chromaticities) -> Matrix:
    """From linear RGB to XYZ, in which white has the luminance 1."""
    colors, white = _columns(chromaticities)
    matrix: Matrix = colors * np.linalg.solve(colors, white)
    return matrix


def _adapt_to_d50(chromaticities: Chromaticities) -> Matrix:
    """From linear RGB to XYZ as an eye sees it that is used to the white of profiles."""
    matrix = _to_xyz(chromaticities)
    ratio = (_BRADFORD @ _D50) / (_BRADFORD @ matrix.sum(axis=1))
    adapted: Matrix = np.linalg.inv(_BRADFORD) @ np.diag(ratio) @ _BRADFORD @ matrix
    return adapted


def _fixed(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))


def _xyz(color: Sequence[float]) -> bytes:
    return b"XYZ \0\0\0\0" + b"".join(map(_fixed, color))


def _parametric_curve(parameters: Sequence[float]) -> bytes:
    """A curve of type 0 (one exponent) or 3 (as that of sRGB)."""
    kind = 0 if len(parameters) == 1 else 3
    return b"para\0\0\0\0" + struct.pack(">HH", kind, 0) + b"".join(map(_fixed, parameters))


def _profile(color_space: bytes, tags: Mapping[bytes, bytes]) -> bytes:
    name = "Described by the file".encode("utf-16-be")
    text = b"mluc\0\0\0\0" + struct.pack(">II2s2sII", 1, 12, b"en", b"US", len(name), 28) + name
    tags = {b"desc": text, b"cprt": text, b"wtpt": _xyz(_D50), **tags}
    offset = 128 + 4 + 12 * len(tags)
    table, data = struct.pack(">I", len(tags)), b""
    for tag, value in tags.items():
        table += struct.pack(">4sII", tag, offset + len(data), len(value))
        data += value + bytes(-len(value) % 4)
    header = bytearray(128)
    struct.pack_into(
        ">I4xI4s4s4s", header, 0, offset + len(data), 0x04300000, b"mntr", color_space, b"XYZ "
    )
    struct.pack_into(">6H4s", header, 24, 2026, 1, 1, 0, 0, 0, b"acsp")
    header[68:80] = b"".join(map(_fixed, _D50))
    return bytes(header) + table + data
