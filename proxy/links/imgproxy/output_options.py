"""The imgproxy options of output and response, and those that cannot be had here."""

import re
from collections.abc import Mapping, Sequence

from proxy.errors import InvalidLink
from proxy.links.imgproxy.options import Setter
from proxy.links.imgproxy.state import ImgproxyState
from proxy.links.imgproxy.values import check_count, parse_base64, parse_bool
from proxy.links.numbers import parse_float, parse_int
from proxy.links.option_values import MAX_EXPIRES, MAX_FILENAME_LENGTH, MAX_TAGS
from proxy.links.percent_encoding import percent_decode, safe_excerpt

FORMATS: Mapping[str, str] = {
    "jpg": "jpeg",
    "jpeg": "jpeg",
    "png": "png",
    "webp": "webp",
    "avif": "avif",
    "gif": "gif",
    "heic": "heif",
    "jxl": "jxl",
    "best": "auto",
}
"""imgproxy's names of output formats, and those of the operation `convert`."""

_NO_ENCODER = ("ico", "svg", "bmp", "tiff", "pdf", "psd", "mp4")
_TAG = re.compile(r"[!#-+\--~]{1,64}")
_MAX_BYTES = 1_073_741_824


def parse_format(option: str, name: str) -> str:
    if name in FORMATS:
        return FORMATS[name]
    reason = "cannot be written" if name in _NO_ENCODER else "is unknown"
    raise InvalidLink(
        f"{option}: the format {safe_excerpt(name)} {reason}; formats: {', '.join(FORMATS)}"
    )


def _format(state: ImgproxyState, option: str, args: Sequence[str]) -> None:
    check_count(option, args, 1)
    state.format = parse_format(option, args[0])


def _quality(state: ImgproxyState, option: str, args: Sequence[str]) -> None:
    check_count(option, args, 1)
    state.quality = parse_int(option, args[0], 0, 100)


def _format_quality(state: ImgproxyState, option: str, args: Sequence[str]) -> None:
    if len(args) % 2:
        raise InvalidLink(f"{option}: takes pairs of a format and its quality")
    for name, quality in zip(args[::2], args[1::2], strict=True):
        state.format_quality[parse_format(option, name)] = parse_int(option, quality, 0, 100)


def _max_bytes(state: ImgproxyState, option: str, args: Sequence[str]) -> None:
    check_count(option, args, 1)
    state.max_bytes = parse_int(option, args[0], 0, _MAX_BYTES)


def _skip_processing(state: ImgproxyState, option: str, args: Sequence[str]) -> None:
    state.skip_formats = tuple(dict.fromkeys(parse_format(option, name) for name in args if name))


def _raw(state: ImgproxyState, option: str, args: Sequence[str]) -> None:
    check_count(option, args, 1)
    state.raw = parse_bool(option, args[0])


def _page(state: ImgproxyState, option: str, args: Sequence[str]) -> None:
    check_count(option, args, 1)
    state.page = parse_int(option, args[0], 0, 9999) + 1


def _disable_animation(state: ImgproxyState, option: str, args: Sequence[str]) -> None:
    check_count(option, args, 1)
    state.disable_animation = parse_bool(option, args[0])


def _keep_copyright(state: ImgproxyState, option: str, args: Sequence[str]) -> None:
    check_count(option, args, 1)
    state.keep_copyright = parse_bool(option, args[0])


def _cachebuster(state: ImgproxyState, _option: str, args: Sequence[str]) -> None:
    state.cachebuster = ":".join(args)


def _expires(state: ImgproxyState, option: str, args: Sequence[str]) -> None:
    check_count(option, args, 1)
    state.expires = parse_int(option, args[0], 0, MAX_EXPIRES)


def _filename(state: ImgproxyState, option: str, args: Sequence[str]) -> None:
    check_count(option, args, 2)
    encoded = args[1:] and args[1] and parse_bool(option, args[1])
    name = parse_base64(option, args[0]) if encoded else percent_decode(args[0])
    if any(character in name for character in '/\\"') or not name.isprintable():
        raise InvalidLink(f"{option}: no slashes, backslashes, quotes or unprintable characters")
    if len(name) > MAX_FILENAME_LENGTH:
        raise InvalidLink(f"{option}: must have at most {MAX_FILENAME_LENGTH} characters")
    state.filename = name


def _return_attachment(state: ImgproxyState, option: str, args: Sequence[str]) -> None:
    check_count(option, args, 1)
    state.attachment = parse_bool(option, args[0])


def _cache_tags(state: ImgproxyState, option: str, args: Sequence[str]) -> None:
    check_count(option, args, MAX_TAGS)
    tags = [percent_decode(text) for text in args if text]
    for tag in tags:
        if not _TAG.fullmatch(tag):
            raise InvalidLink(
                f"{option}: a tag is 1 to 64 visible ASCII characters without commas, not "
                f"{safe_excerpt(tag)}"
            )
    state.tags = [f"tag:{tag}" for tag in tags]


def _max_src_resolution(state: ImgproxyState, option: str, args: Sequence[str]) -> None:
    check_count(option, args, 1)
    state.max_megapixels = parse_float(option, args[0], 0, 10_000)


def _max_src_file_size(state: ImgproxyState, option: str, args: Sequence[str]) -> None:
    check_count(option, args, 1)
    state.max_source_bytes = parse_int(option, args[0], 0, _MAX_BYTES)


def _max_animation_frames(state: ImgproxyState, option: str, args: Sequence[str]) -> None:
    check_count(option, args, 1)
    state.max_frames = parse_int(option, args[0], 1, 10_000)


def _max_animation_frame_resolution(state: ImgproxyState, option: str, args: Sequence[str]) -> None:
    check_count(option, args, 1)
    state.max_frame_megapixels = parse_float(option, args[0], 0, 10_000)


def _resizing_algorithm(_state: ImgproxyState, option: str, args: Sequence[str]) -> None:
    check_count(option, args, 1)
    if args[0] != "lanczos3":
        raise InvalidLink(f"{option}: only lanczos3 is possible here, not {safe_excerpt(args[0])}")


def _only(value: bool, reason: str) -> Setter:
    """An option that may only say what holds here anyway."""

    def apply(_: ImgproxyState, option: str, args: Sequence[str]) -> None:
        check_count(option, args, 1)
        if parse_bool(option, args[0]) is not value:
            raise InvalidLink(f"{option}: {args[0]} is not possible here: {reason}")

    return apply


def _unsupported(reason: str) -> Setter:
    def apply(_: ImgproxyState, option: str, _args: Sequence[str]) -> None:
        raise InvalidLink(f"{option}: is not possible here: {reason}")

    return apply


OUTPUT_OPTIONS: Mapping[tuple[str, ...], Setter] = {
    ("format", "f", "ext"): _format,
    ("quality", "q"): _quality,
    ("format_quality", "fq"): _format_quality,
    ("max_bytes", "mb"): _max_bytes,
    ("skip_processing", "skp", "sp"): _skip_processing,
    ("raw",): _raw,
    ("page", "pg"): _page,
    ("disable_animation", "da"): _disable_animation,
    ("keep_copyright", "kcr"): _keep_copyright,
    ("cachebuster", "cb"): _cachebuster,
    ("expires", "exp"): _expires,
    ("filename", "fn"): _filename,
    ("return_attachment", "att"): _return_attachment,
    ("cache_tags", "ct"): _cache_tags,
    ("max_src_resolution", "msr"): _max_src_resolution,
    ("max_src_file_size", "msfs"): _max_src_file_size,
    ("max_animation_frames", "maf"): _max_animation_frames,
    ("max_animation_frame_resolution", "mafr"): _max_animation_frame_resolution,
    ("resizing_algorithm", "ra"): _resizing_algorithm,
    ("auto_rotate", "ar"): _only(True, "pictures are always turned upright"),
    ("strip_metadata", "sm"): _only(
        True, "metadata is always removed, but keep_copyright:1 keeps the copyright"
    ),
    ("strip_color_profile", "scp"): _only(True, "pictures are always converted to sRGB"),
    ("preserve_hdr", "ph"): _only(False, "results are standard dynamic range"),
    ("enforce_thumbnail", "eth"): _only(False, "embedded thumbnails are not used"),
}
"""The options of output and response, by their names."""

SECURITY_OPTIONS = frozenset(
    (
        "max_src_resolution",
        "max_src_file_size",
        "max_animation_frames",
        "max_animation_frame_resolution",
        "max_result_dimension",
    )
)

_NO_VIDEO = "videos are not read"

UNSUPPORTED_OPTIONS: Mapping[tuple[str, ...], Setter] = {
    names: _unsupported(reason)
    for names, reason in {
        ("crop_aspect_ratio", "crop_ar", "car"): "give crop a width and a height",
        ("objects_position", "obj_pos", "op"): "the subject is kept as central as possible",
        ("crop_objects",): "use the gravity obj",
        ("background_alpha", "bga"): "a background is opaque, or there is none",
        ("adjust", "a"): "use contrast and saturation",
        ("brightness", "br"): "only contrast and saturation are offered",
        ("duotone", "dt"): "use monochrome",
        ("unsharp_masking", "unsharp_mask", "ush"): "use sharpen",
        ("blur_areas", "ba"): "use blur_detections",
        ("progressive_blur", "pbl"): "use blur",
        ("draw_detections", "dd"): "an info link lists what is detected",
        ("colorize", "col"): "use gradient or monochrome",
        ("watermark_text", "wmt"): "use a picture as the watermark, or a native link with text",
        ("watermark_shadow", "wmsh"): "put the shadow into the picture of the watermark",
        ("style", "st"): "SVG is not written",
        ("dpi",): "metadata is removed",
        ("color_profile", "cp", "icc"): "results are sRGB",
        ("autoquality", "aq"): "use quality or max_bytes",
        ("gif_options", "gifo"): "imgproxy itself has dropped it",
        ("pages", "pgs"): "use page",
        ("video_thumbnail_second", "vts"): _NO_VIDEO,
        ("video_thumbnail_keyframes", "vtk"): _NO_VIDEO,
        ("video_thumbnail_tile", "vtt"): _NO_VIDEO,
        ("video_thumbnail_animation", "vta"): _NO_VIDEO,
        ("fallback_image_url", "fiu"): "the server sets fallback images up "
        "(FRAMEKEEP_LINKS_FALLBACK)",
        ("hashsum", "hs"): "checksums of originals are not checked",
        ("bypass_cache", "bc"): "purge the source instead",
    }.items()
}
"""Options that are refused, each with the reason."""
