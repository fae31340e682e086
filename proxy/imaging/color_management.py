"""Convert any color space to 8-bit sRGB, by the ICC profile or the numbers that describe it.

Numbers become a profile, except those of HDR, which is tone-mapped.

A profile whose curves and primaries are those of sRGB is not applied: the pixels are right already,
and applying it costs more than scaling. ICC.1 defines the profile format.
"""

import struct
from collections.abc import Mapping
from typing import Any

import pyvips
from msgspec import structs

from proxy.imaging.headers.color_tags import CodePoints, ColorTags
from proxy.imaging.metadata import PROFILE, get_field, set_fields
from proxy.imaging.rgb_spaces import build_profile
from proxy.imaging.tone_mapping import is_hdr, tone_map

_BANDS = {"RGB": 3, "GRAY": 1, "CMYK": 4}
_CMYK = "cmyk"
_LAB = ("lab", "labs")
_SRGB_OR_GRAY = ("srgb", "b-w")
_HDR = "framekeep-hdr"
"""The metadata field with primaries, transfer function and brightness of an HDR picture."""


def is_srgb(image: pyvips.Image) -> bool:
    """Whether the values are 8-bit sRGB or gray as they are."""
    return (
        image.format == "uchar"
        and image.interpretation in _SRGB_OR_GRAY
        and not needs_profile(image)
    )


def needs_profile(image: pyvips.Image) -> bool:
    """Whether colors must be converted in a way that costs more than scaling."""
    return (
        image.interpretation == _CMYK or _read_hdr(image) is not None or _has_usable_profile(image)
    )


def with_color_tags(image: pyvips.Image, tags: ColorTags) -> pyvips.Image:
    """A copy of the image that is converted by these tags, whatever its profile."""
    image = image.copy()
    image.remove(PROFILE)
    image = set_fields(image, profile=build_profile(tags, is_gray=image.bands < 3))
    if isinstance(tags, CodePoints) and is_hdr(tags):
        image.set_type(pyvips.GValue.array_int_type, _HDR, list(structs.astuple(tags)))
    return image


def _read_hdr(image: pyvips.Image) -> CodePoints | None:
    """The description of an HDR picture, also where it stands in its profile (ICC.1:2022)."""
    if (values := get_field(image, _HDR)) is not None:
        return CodePoints(*values)
    profile = get_field(image, PROFILE)
    if profile is None or profile_color_space(profile) != "RGB" or image.bands < 3:
        return None
    tag = _read_tags(profile).get(b"cicp", b"")
    tags = CodePoints(*tag[8:10]) if len(tag) >= 10 else None
    return tags if tags is not None and is_hdr(tags) else None


def to_srgb(image: pyvips.Image) -> pyvips.Image:
    """Convert to 8-bit sRGB with three bands, or four with alpha.

    CMYK without a profile uses a built-in one. The rendering intent is perceptual for CMYK and
    relative colorimetric for the rest.
    """
    image = _infer_interpretation(image)
    if (hdr := _read_hdr(image)) is not None:
        image = tone_map(image, hdr)
    elif needs_profile(image):
        image = _apply_profile(image)
    elif image.interpretation in _LAB:
        # As that of profiles, the white of CIELAB in files is D50.
        image = image.icc_export(output_profile="srgb", pcs="lab", intent="relative", depth=8)
    if image.interpretation != "srgb" or image.format != "uchar":
        image = image.colourspace("srgb").cast("uchar")
    if image.bands < 3:  # a gray image that is labeled as sRGB
        image = image[0].bandjoin(image[0]).bandjoin(image)
    if image.bands > 4:
        image = image[:4]
    return image if image.interpretation == "srgb" else image.copy(interpretation="srgb")


def _infer_interpretation(image: pyvips.Image) -> pyvips.Image:
    """Name the color space by bands and depth where the file does not name one."""
    if image.interpretation not in ("multiband", "error"):
        return image
    is_16_bit = image.format == "ushort"
    if image.bands >= 3:
        return image.copy(interpretation="rgb16" if is_16_bit else "srgb")
    return image.copy(interpretation="grey16" if is_16_bit else "b-w")


def _apply_profile(image: pyvips.Image) -> pyvips.Image:
    is_cmyk = image.interpretation == _CMYK
    options: dict[str, Any] = {
        "intent": "perceptual" if is_cmyk else "relative",
        "black_point_compensation": True,
        "depth": 8,
    }
    if _has_usable_profile(image):
        try:
            return image.icc_transform("srgb", embedded=True, **options)
        except pyvips.Error:
            # The profile is damaged; the picture is shown without it.
            pass
    return image.icc_transform("srgb", input_profile=_CMYK, **options) if is_cmyk else image


def _has_usable_profile(image: pyvips.Image) -> bool:
    """Whether a profile is embedded that fits the bands and is not sRGB itself."""
    profile = get_field(image, PROFILE)
    if profile is None:
        return False
    bands = image.bands - image.hasalpha()
    return _BANDS.get(profile_color_space(profile)) == bands and not is_srgb_profile(profile)


_SIGNATURE_OFFSET, _COLOR_SPACE_OFFSET = 36, 16

# IEC 61966-2-1 adapted to D50, in the XYZ of the profile connection space.
_SRGB_PRIMARIES: Mapping[bytes, tuple[float, float, float]] = {
    b"rXYZ": (0.4361, 0.2225, 0.0139),
    b"gXYZ": (0.3851, 0.7169, 0.0971),
    b"bXYZ": (0.1431, 0.0606, 0.7141),
}
_PRIMARY_TOLERANCE = 0.003
_SRGB_CURVE: Mapping[float, float] = {0.1: 0.01002, 0.25: 0.05088, 0.5: 0.21404, 0.75: 0.52252}
_CURVE_TOLERANCE = 0.004


def profile_color_space(profile: bytes) -> str:
    """``RGB``, ``GRAY``, ``CMYK`` or another; empty where the bytes are not an ICC profile."""
    if len(profile) < 132 or profile[_SIGNATURE_OFFSET : _SIGNATURE_OFFSET + 4] != b"acsp":
        return ""
    return profile[_COLOR_SPACE_OFFSET : _COLOR_SPACE_OFFSET + 4].decode("ascii", "replace").strip()


def is_srgb_profile(profile: bytes) -> bool:
    """Whether the profile's primaries and curves are those of sRGB, whatever its name."""
    try:
        tags = _read_tags(profile)
        if profile_color_space(profile) != "RGB" or b"A2B0" in tags:
            return False
        has_primaries = all(
            abs(found - expected) < _PRIMARY_TOLERANCE
            for name, primary in _SRGB_PRIMARIES.items()
            for found, expected in zip(_read_xyz(tags[name]), primary, strict=True)
        )
        return has_primaries and all(
            abs(_evaluate_curve(tags[name], x) - y) < _CURVE_TOLERANCE
            for name in (b"rTRC", b"gTRC", b"bTRC")
            for x, y in _SRGB_CURVE.items()
        )
    except (KeyError, struct.error, ValueError, OverflowError, ZeroDivisionError):
        return False


def _read_tags(profile: bytes) -> dict[bytes, bytes]:
    (count,) = struct.unpack_from(">I", profile, 128)
    entries = (
        struct.unpack_from(">4sII", profile, 132 + 12 * index) for index in range(min(count, 100))
    )
    return {name: profile[offset : offset + size] for name, offset, size in entries}


def _read_xyz(tag: bytes) -> tuple[float, ...]:
    return tuple(part / 65536 for part in struct.unpack_from(">iii", tag, 8))


def _evaluate_curve(tag: bytes, x: float) -> float:
    """The curve's value at x, both from 0 to 1."""
    if tag[:4] == b"para":
        return _evaluate_parametric(tag, x)
    if tag[:4] != b"curv":
        raise ValueError(f"no curve: {tag[:4]!r}")
    (count,) = struct.unpack_from(">I", tag, 8)
    if count == 0:
        return x
    if count == 1:
        return float(x ** (struct.unpack_from(">H", tag, 12)[0] / 256))
    (value,) = struct.unpack_from(">H", tag, 12 + 2 * round(x * (count - 1)))
    return float(value / 65535)


def _evaluate_parametric(tag: bytes, x: float) -> float:
    (kind,) = struct.unpack_from(">H", tag, 8)
    if kind == 0:
        return float(x ** (struct.unpack_from(">i", tag, 12)[0] / 65536))
    if kind != 3:
        raise ValueError(f"a curve of type {kind}")
    g, a, b, c, d = (part / 65536 for part in struct.unpack_from(">5i", tag, 12))
    return float((a * x + b) ** g if x >= d else c * x)
