"""The imgproxy options of single encoders: those that have a counterpart, and why others have none.

Every value may be left out, as in ``jpeg_options::1``.
"""

from collections.abc import Mapping, Sequence

from proxy.errors import InvalidLink
from proxy.links.imgproxy.options import Setter
from proxy.links.imgproxy.state import ImgproxyState
from proxy.links.imgproxy.values import check_count, parse_bool
from proxy.links.numbers import parse_int
from proxy.links.percent_encoding import safe_excerpt

_BY_OPTIMIZER = "popular images get that by themselves (FRAMEKEEP_OPTIMIZATION_MODE)"


def _jpeg(state: ImgproxyState, option: str, args: Sequence[str]) -> None:
    check_count(option, args, 6)
    progressive, no_subsample, trellis, deringing, scans, table = _fill(args, 6)
    if progressive:
        value = parse_bool(f"{option}: progressive", progressive)
        _set(state, "jpeg", progressive=value)
    if no_subsample:
        value = parse_bool(f"{option}: no_subsample", no_subsample)
        _set(state, "jpeg", chroma_subsampling="444" if value else None)
    for name, text in (
        ("trellis_quant", trellis),
        ("overshoot_deringing", deringing),
        ("optimize_scans", scans),
    ):
        if text and parse_bool(f"{option}: {name}", text):
            raise InvalidLink(f"{option}: {name}: is not possible here: {_BY_OPTIMIZER}")
    if table and parse_int(f"{option}: quant_table", table, 0, 8):
        raise InvalidLink(f"{option}: quant_table: only 0 is possible here, not {table}")


def _png(state: ImgproxyState, option: str, args: Sequence[str]) -> None:
    check_count(option, args, 3)
    interlaced, quantize, colors = _fill(args, 3)
    if interlaced:
        _set(state, "png", progressive=parse_bool(f"{option}: interlaced", interlaced))
    if colors:
        parse_int(f"{option}: quantization_colors", colors, 2, 256)
    if quantize and parse_bool(f"{option}: quantize", quantize):
        raise InvalidLink(
            f"{option}: quantize: is not possible here: up to 256 colors become a palette without "
            "loss, and more are not reduced; use webp"
        )


def _webp(state: ImgproxyState, option: str, args: Sequence[str]) -> None:
    check_count(option, args, 3)
    compression, smart, preset = _fill(args, 3)
    if compression not in ("", "lossy", "lossless"):
        raise InvalidLink(
            f"{option}: compression: must be lossy or lossless here, not "
            f"{safe_excerpt(compression)}"
        )
    if compression:
        _set(state, "webp", lossless=compression == "lossless")
    if smart and parse_bool(f"{option}: smart_subsample", smart):
        raise InvalidLink(f"{option}: smart_subsample: is not possible here: {_BY_OPTIMIZER}")
    if preset not in ("", "default"):
        raise InvalidLink(
            f"{option}: preset: only default is possible here, not {safe_excerpt(preset)}"
        )


def _avif(state: ImgproxyState, option: str, args: Sequence[str]) -> None:
    check_count(option, args, 1)
    values = {"": None, "auto": None, "on": "420", "off": "444"}
    if args[0] not in values:
        raise InvalidLink(
            f"{option}: subsample: must be auto, on or off, not {safe_excerpt(args[0])}"
        )
    _set(state, "avif", chroma_subsampling=values[args[0]])


def _set(state: ImgproxyState, format: str, **values: object) -> None:
    state.encoders.setdefault(format, {}).update(values)


def _fill(args: Sequence[str], count: int) -> list[str]:
    return [*args, *[""] * count][:count]


ENCODER_OPTIONS: Mapping[tuple[str, ...], Setter] = {
    ("jpeg_options", "jpgo"): _jpeg,
    ("png_options", "pngo"): _png,
    ("webp_options", "webpo"): _webp,
    ("avif_options", "avifo"): _avif,
}
"""By their names."""
