"""Check what a render process says against what it was asked for.

The process has read an untrusted file. If that file has taken it over, its reply has the right type
and says anything: a format that nobody asked for, a text that becomes a header, a subject that
spoils every other crop once it is cached. Each check raises ValueError with the reason; then the
process is killed and nothing of its reply is used. The pixels cannot be checked.
"""

import re
from collections.abc import Iterable
from typing import get_args

from proxy.errors import ImageError, InvalidOperation, ProxyError, RenderFailed
from proxy.formats import FORMATS, FormatName, sniff
from proxy.geometry import Box, Size
from proxy.imaging.copyright.notice import (
    EXIF_TAGS,
    IPTC_NUMBERS,
    MAX_IPTC_TEXTS,
    MAX_TEXT_LENGTH,
    MAX_XMP_BYTES,
    CopyrightNotice,
)
from proxy.imaging.headers import ImageHeader, probe
from proxy.imaging.results import Detection, ImageInfo, RenderResult, Rendition
from proxy.imaging.shrink_on_load import MAX_BANDS, MAX_SHARED_PIXELS, DecodedInfo
from proxy.limits import Limits
from proxy.smartcrop.coco import COCO_CLASSES
from proxy.smartcrop.regions import CropReason
from proxy.smartcrop.subject import Region, RegionKind, Subject

ERRORS: tuple[type[ProxyError], ...] = (ImageError, InvalidOperation, RenderFailed)
"""What a task may raise in the worker."""

RESULT_FORMATS: frozenset[FormatName] = frozenset(
    ("jpeg", "png", "webp", "avif", "gif", "heif", "jxl")
)
"""Formats that are encoded. None of them can contain a script."""

_NEGOTIATED_BY_ALL: frozenset[FormatName] = frozenset(("jpeg", "png", "gif"))
_SIZE_IN_HEADER: frozenset[FormatName] = frozenset(("jpeg", "png", "webp", "gif"))
"""Formats whose header has the size as it is shown; others pad it."""

_CROP_REASONS = frozenset(
    ("", *(reason for part in get_args(CropReason) for reason in get_args(part) or (part,)))
)
_KINDS = frozenset(get_args(RegionKind))
_LABELS = frozenset(("", *COCO_CLASSES))

MAX_MESSAGE_CHARS = 2000
MAX_DETAIL_CHARS = 100_000
_MAX_FIELD_CHARS = 100
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")

_MAX_REGIONS = 1000
_MAX_COLORS = 32
_MAX_FRAMES = 1_000_000
_MAX_SIDE = 1 << 32
_TOLERANCE = 1e-3
_COLOR = re.compile("#[0-9a-f]{6}")
_BLURHASH = re.compile(r"[0-9A-Za-z#$%*+,\-.:;=?@\[\]^_{|}~]{6,200}")
_LQIP = re.compile("data:image/webp;base64,[0-9A-Za-z+/]{1,1366}={0,2}")
_BASE64 = re.compile("[0-9A-Za-z+/]{1,200}={0,2}")


def check_rendition(
    rendition: Rendition,
    limits: Limits,
    requested: FormatName | str | None,
    accepted: Iterable[FormatName],
) -> None:
    """``requested`` is the format of the plan: a name, "auto" or None for the original's."""
    body, format, size = rendition.body, rendition.format, rendition.size
    if requested in FORMATS:
        allowed = {requested}
    elif requested == "auto":
        allowed = {*_NEGOTIATED_BY_ALL, *accepted}
    else:
        allowed = {*RESULT_FORMATS}
    _require(format in allowed and format in RESULT_FORMATS, f"a result in {format}")
    _require(0 < len(body) <= limits.max_result_bytes, f"a result of {len(body)} bytes")
    _check_size(size, limits.max_result_dimension, limits.max_result_pixels)
    found = sniff(body[:1024])
    _require(found is not None and found.name == format, f"a result that is no {format}")
    if format in _SIZE_IN_HEADER:
        _require(_size_in_header(body, format) == size, f"a result that is not {size}")
    _require(rendition.crop_reason in _CROP_REASONS, "an unknown reason for a crop")


def check_render_result(
    result: RenderResult,
    limits: Limits,
    requested: FormatName | str | None,
    accepted: Iterable[FormatName],
) -> None:
    check_rendition(result.rendition, limits, requested, accepted)
    if result.detected_subject is not None:
        check_subject(result.detected_subject)


def check_detection(result: Detection, limits: Limits, aspect_ratios: int) -> None:
    """``aspect_ratios`` is for how many of them a crop was asked for."""
    _check_original(result.size, result.frame_count, limits)
    check_subject(result.subject)
    _require(len(result.crops) == aspect_ratios, f"{len(result.crops)} crops")
    boxes = (placement.box for placement in (result.best_crop, *result.crops))
    _check_boxes((result.area_of_interest, *boxes), result.size)


def check_subject(subject: Subject) -> None:
    _require(len(subject.regions) <= _MAX_REGIONS, f"{len(subject.regions)} regions")
    for region in subject.regions:
        _check_region(region)


def check_image_info(result: ImageInfo, limits: Limits, aspect_ratios: int) -> None:
    _check_original(result.size, result.frame_count, limits)
    check_subject(result.subject)
    _require(len(result.crops) == aspect_ratios, f"{len(result.crops)} crops")
    boxes = (placement.box for placement in result.crops)
    _check_boxes((result.area_of_interest, *boxes), result.size)
    _require(result.size_in_bytes > 0, "an original without bytes")
    _require(_BLURHASH.fullmatch(result.blurhash), "a BlurHash that is none")
    _require(_BASE64.fullmatch(result.thumbhash), "a ThumbHash that is none")
    _require(_LQIP.fullmatch(result.lqip), "a placeholder that is none")
    _require(len(result.colors) <= _MAX_COLORS, f"{len(result.colors)} colors")
    for color in result.colors:
        _require(_COLOR.fullmatch(color.hex), "a color that is none")
        _require(_is_share(color.share), "a share of a color")


def check_header(result: ImageHeader) -> None:
    _check_size(Size(result.width, result.height), _MAX_SIDE, _MAX_SIDE**2)
    _require(0 <= result.frames <= _MAX_FRAMES, f"{result.frames} frames")
    _require(0 <= result.scans <= _MAX_FRAMES, f"{result.scans} scans")


def check_decoded(result: DecodedInfo, limits: Limits) -> None:
    _check_size(result.natural_size, limits.max_source_dimension, limits.max_source_pixels)
    _check_size(result.size, limits.max_source_dimension, MAX_SHARED_PIXELS)
    _require(1 <= result.bands <= MAX_BANDS, f"{result.bands} bands")
    _check_notice(result.copyright)


def check_error(name: str, message: str, detail: str, field: str | None) -> None:
    """``name`` is that of the class, whose attribute ``field`` may be."""
    _require(len(message) <= MAX_MESSAGE_CHARS, f"a message of {len(message)} characters")
    _require(not _CONTROL.search(message), f"a message of {name} with control characters")
    _require(len(detail) <= MAX_DETAIL_CHARS, f"a detail of {len(detail)} characters")
    if field is not None:
        _require(len(field) <= _MAX_FIELD_CHARS, f"a field of {len(field)} characters")
        _require(not _CONTROL.search(field), "a field with control characters")


def _require(condition: object, what: str) -> None:
    if not condition:
        raise ValueError(f"unexpected reply: {what}")


def _check_original(size: Size, frame_count: int, limits: Limits) -> None:
    _check_size(size, limits.max_source_dimension, limits.max_source_pixels)
    _require(1 <= frame_count <= _MAX_FRAMES, f"{frame_count} frames")


def _check_size(size: Size, max_dimension: int, max_pixels: int) -> None:
    fits = min(size.width, size.height) >= 1 and max(size.width, size.height) <= max_dimension
    _require(fits and size.pixels <= max_pixels, f"a size of {size}")


def _check_notice(notice: CopyrightNotice) -> None:
    _require(notice.exif.keys() <= EXIF_TAGS, "an unknown field of a copyright")
    numbers = {number for number, _ in notice.iptc}
    _require(numbers <= IPTC_NUMBERS, "an unknown field of a copyright")
    _require(len(notice.iptc) <= MAX_IPTC_TEXTS, f"{len(notice.iptc)} fields of a copyright")
    texts = [*notice.exif.values(), *(value for _, value in notice.iptc)]
    longest = max(map(len, texts), default=0)
    _require(longest <= MAX_TEXT_LENGTH, f"a copyright of {longest} characters")
    _require(len(notice.xmp.encode()) <= MAX_XMP_BYTES, f"XMP of {len(notice.xmp)} characters")


def _check_boxes(boxes: Iterable[Box], size: Size) -> None:
    for box in boxes:
        _require(min(box.width, box.height) >= 1 and box.is_inside(size), f"a box outside {size}")


def _check_region(region: Region) -> None:
    edges = (region.left, region.top, region.right, region.bottom)
    _require(all(map(_is_share, edges)), "a region outside the picture")
    _require(region.left <= region.right and region.top <= region.bottom, "an empty region")
    _require(_is_share(region.weight), f"a weight of {region.weight}")
    _require(region.kind in _KINDS, "an unknown kind of region")
    _require(region.label in _LABELS, "an unknown class of a region")


def _is_share(value: float) -> bool:
    return -_TOLERANCE <= value <= 1 + _TOLERANCE


def _size_in_header(body: bytes, format: FormatName) -> Size | None:
    if format == "gif":  # the frames need not be counted
        return Size(*(int.from_bytes(body[at : at + 2], "little") for at in (6, 8)))
    if format == "png":
        return Size(*(int.from_bytes(body[at : at + 4], "big") for at in (16, 20)))
    try:
        header = probe(body)
    except ImageError:
        return None
    return Size(header.width, header.height)
