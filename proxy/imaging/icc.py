"""ICC profiles (ICC.1): what kind of pixels one is for, and whether it says sRGB all the same."""

import struct
from collections.abc import Mapping

_SIGNATURE_AT, _MODEL_AT = 36, 16

# IEC 61966-2-1 adapted to D50, in the XYZ of the profile connection space.
_PRIMARIES: Mapping[bytes, tuple[float, float, float]] = {
    b"rXYZ": (0.4361, 0.2225, 0.0139),
    b"gXYZ": (0.3851, 0.7169, 0.0971),
    b"bXYZ": (0.1431, 0.0606, 0.7141),
}
_NEAR = 0.003
_CURVE: Mapping[float, float] = {0.1: 0.01002, 0.25: 0.05088, 0.5: 0.21404, 0.75: 0.52252}
_NEAR_ON_CURVE = 0.004


def model(profile: bytes) -> str:
    """``RGB``, ``GRAY``, ``CMYK`` or another; empty where the bytes are no profile."""
    if len(profile) < 132 or profile[_SIGNATURE_AT : _SIGNATURE_AT + 4] != b"acsp":
        return ""
    return profile[_MODEL_AT : _MODEL_AT + 4].decode("ascii", "replace").strip()


def says_srgb(profile: bytes) -> bool:
    """Whether the profile's primaries and curves are those of sRGB, whatever it is called."""
    try:
        tags = _tags(profile)
        if model(profile) != "RGB" or b"A2B0" in tags:
            return False
        near = all(
            abs(found - wanted) < _NEAR
            for name, primary in _PRIMARIES.items()
            for found, wanted in zip(_xyz(tags[name]), primary, strict=True)
        )
        return near and all(
            abs(_at(tags[name], x) - y) < _NEAR_ON_CURVE
            for name in (b"rTRC", b"gTRC", b"bTRC")
            for x, y in _CURVE.items()
        )
    except (KeyError, struct.error, ValueError, OverflowError, ZeroDivisionError):
        return False


def _tags(profile: bytes) -> dict[bytes, bytes]:
    (count,) = struct.unpack_from(">I", profile, 128)
    entries = (struct.unpack_from(">4sII", profile, 132 + 12 * at) for at in range(min(count, 100)))
    return {name: profile[offset : offset + size] for name, offset, size in entries}


def _xyz(tag: bytes) -> tuple[float, ...]:
    return tuple(part / 65536 for part in struct.unpack_from(">iii", tag, 8))


def _at(tag: bytes, x: float) -> float:
    """What a curve makes of x, both from 0 to 1."""
    if tag[:4] == b"para":
        return _parametric(tag, x)
    if tag[:4] != b"curv":
        raise ValueError(f"no curve: {tag[:4]!r}")
    (count,) = struct.unpack_from(">I", tag, 8)
    if count == 0:
        return x
    if count == 1:
        return float(x ** (struct.unpack_from(">H", tag, 12)[0] / 256))
    (value,) = struct.unpack_from(">H", tag, 12 + 2 * round(x * (count - 1)))
    return float(value / 65535)


def _parametric(tag: bytes, x: float) -> float:
    (kind,) = struct.unpack_from(">H", tag, 8)
    if kind == 0:
        return float(x ** (struct.unpack_from(">i", tag, 12)[0] / 65536))
    if kind != 3:
        raise ValueError(f"a curve of type {kind}")
    g, a, b, c, d = (part / 65536 for part in struct.unpack_from(">5i", tag, 12))
    return float((a * x + b) ** g if x >= d else c * x)
