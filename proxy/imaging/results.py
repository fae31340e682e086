"""What rendering, detection and inspection return: values that need no image library."""

from msgspec import Struct

from proxy.formats import FormatName
from proxy.geometry import Box, Size
from proxy.imaging.headers import ImageHeader
from proxy.smartcrop.placement import Placement
from proxy.smartcrop.subject import Subject

OPTIMIZABLE: frozenset[FormatName] = frozenset(("jpeg", "png", "webp", "avif"))
"""The formats that `proxy.imaging.optimize` can make smaller."""

MIN_SAVING = 0.03
"""A rendition is not replaced for less: everybody who has it downloads the new one."""


class Rendition(Struct, frozen=True):
    """A finished image.

    ``crop_reason`` is what placed a subject-aware crop (``face`` … ``center``); empty without
    one.
    """

    body: bytes
    format: FormatName
    size: Size
    crop_reason: str = ""


class RenderResult(Struct, frozen=True):
    """A rendition, and the subject that was detected on the way.

    ``detected_subject`` belongs to the uncropped original, so it can be cached for its other sizes.
    It is None where nothing was detected, or where the subject was known before. ``header`` is that
    of the original, None where the original was decoded before.
    """

    rendition: Rendition
    detected_subject: Subject | None = None
    header: ImageHeader | None = None


class Detection(Struct, frozen=True):
    """The subject of an original, with its upright size.

    ``best_crop`` has the subject's own aspect ratio, ``crops`` are those for the requested ones.
    """

    size: Size
    frame_count: int
    subject: Subject
    area_of_interest: Box
    best_crop: Placement
    crops: tuple[Placement, ...]


class Color(Struct, frozen=True):
    """A dominant color as ``#rrggbb``, and the share of the picture that is nearest to it."""

    hex: str
    share: float


class ImageInfo(Struct, frozen=True):
    """What an `info` link returns about an original.

    ``size`` is upright, ``size_in_bytes`` the file's. ``blurhash``, ``thumbhash`` (in base64),
    ``lqip`` (a ``data:`` URI) and ``colors`` are those of the first frame. ``crops`` are for the
    requested aspect ratios.
    """

    size: Size
    format: FormatName
    size_in_bytes: int
    frame_count: int
    has_alpha: bool
    subject: Subject
    area_of_interest: Box
    crops: tuple[Placement, ...]
    blurhash: str
    thumbhash: str
    lqip: str
    colors: tuple[Color, ...]
