"""Show pictures that are brighter than white (HDR) in 8-bit sRGB.

Light is counted in multiples of the white of paper in the picture, 203 nits (ITU-R BT.2408). Up to
about half of it nothing changes; what is brighter is pressed below white by the curve of ITU-R
BT.2390 for displays of less brightness. The brightest of a pixel's three values goes by the curve,
and the others keep their proportion to it, so hues stay.
"""

import numpy as np
import numpy.typing as npt
import pyvips

from proxy.imaging.headers.color_tags import CodePoints
from proxy.imaging.rgb_spaces import HLG, PQ, luminance_weights, to_srgb_matrix

_Curve = npt.NDArray[np.float64]

_WHITE_NITS = 203.0
_DEFAULT_PEAK_NITS = 1000.0  # for which most pictures are made, and all of HLG
_MAX_PEAK_NITS = 10_000.0
_HLG_SYSTEM_GAMMA = 1.2  # of a display of 1000 nits
_STEPS = 65_536

# SMPTE ST 2084.
_M1, _M2 = 2610 / 16384, 2523 / 4096 * 128
_C1, _C2, _C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32


def is_hdr(tags: CodePoints) -> bool:
    """Whether the picture may be brighter than white."""
    return tags.transfer in (PQ, HLG)


def tone_map(image: pyvips.Image, tags: CodePoints) -> pyvips.Image:
    """Convert a PQ or HLG picture of 8 or 16 bits to 8-bit sRGB; alpha stays."""
    if image.bands < 3:
        gray = image.copy(interpretation="multiband")
        image = gray[0].bandjoin(gray[0]).bandjoin(gray).copy(interpretation="srgb")
    steps = _STEPS if image.format == "ushort" else 256
    signal = np.arange(steps) / (steps - 1)
    alpha = image[3:].cast("uchar", shift=steps == _STEPS) if image.hasalpha() else None
    rgb = image[:3]
    if tags.transfer == PQ:
        peak = _peak_nits(tags) / _WHITE_NITS
        light = rgb.maplut(_table(_decode_pq(signal) / _WHITE_NITS))
    else:
        peak = _DEFAULT_PEAK_NITS / _WHITE_NITS
        scene = rgb.maplut(_table(_decode_hlg(signal)))
        luminance = scene.recomb(_matrix([luminance_weights(tags.primaries)]))
        # Black stays black: 0 to a positive power.
        light = scene * (luminance ** (_HLG_SYSTEM_GAMMA - 1)) * peak
    brightest = light[0].maxpair(light[1]).maxpair(light[2])
    # By the root, so that dark tones have enough steps.
    index = ((brightest / peak) ** 0.5 * (_STEPS - 1)).cast("ushort")
    mapped = light * index.maplut(_table(_scale_curve(peak)))
    srgb = mapped.recomb(_matrix(to_srgb_matrix(tags.primaries))).copy(interpretation="scrgb")
    srgb = srgb.colourspace("srgb").cast("uchar")
    return srgb if alpha is None else srgb.bandjoin(alpha).copy(interpretation="srgb")


def _peak_nits(tags: CodePoints) -> float:
    return min(max(tags.max_nits or _DEFAULT_PEAK_NITS, _WHITE_NITS), _MAX_PEAK_NITS)


def _table(curve: _Curve) -> pyvips.Image:
    return pyvips.Image.new_from_array(curve[None].astype(np.float32))


def _matrix(rows: list[list[float]]) -> pyvips.Image:
    return pyvips.Image.new_from_array(rows)


def _decode_pq(signal: _Curve) -> _Curve:
    """From the signal, 0 to 1, to nits."""
    power = signal ** (1 / _M2)
    nits: _Curve = 10_000 * (np.maximum(power - _C1, 0) / (_C2 - _C3 * power)) ** (1 / _M1)
    return nits


def _encode_pq(nits: _Curve) -> _Curve:
    power = (nits / 10_000) ** _M1
    signal: _Curve = ((_C1 + _C2 * power) / (1 + _C3 * power)) ** _M2
    return signal


def _decode_hlg(signal: _Curve) -> _Curve:
    """From the signal to the light of the scene, both 0 to 1 (ITU-R BT.2100)."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)


def _scale_curve(peak: float) -> _Curve:
    """The factor for each index, which is the root of the share of ``peak``."""
    light = (np.arange(_STEPS) / (_STEPS - 1)) ** 2 * peak
    shown = _compress(light * _WHITE_NITS, peak * _WHITE_NITS) / _WHITE_NITS
    return np.divide(shown, light, out=np.ones(_STEPS), where=light > 0)


def _compress(nits: _Curve, peak: float) -> _Curve:
    """The curve of BT.2390, from 0 to ``peak`` nits to 0 to white."""
    limits = _encode_pq(np.array([peak, _WHITE_NITS]))
    source = _encode_pq(nits) / limits[0]
    white = float(limits[1] / limits[0])
    knee = 1.5 * white - 0.5
    if white >= 1:
        return nits
    t = (source - knee) / (1 - knee)
    pressed = (
        (2 * t**3 - 3 * t**2 + 1) * knee
        + (t**3 - 2 * t**2 + t) * (1 - knee)
        + (-2 * t**3 + 3 * t**2) * white
    )
    mapped = np.where(source < knee, source, pressed)
    return _decode_pq(mapped * limits[0])
